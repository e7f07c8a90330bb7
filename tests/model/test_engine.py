"""The engine: numpy in, numpy out, and a real error map for the exact router."""

from __future__ import annotations

import copy
import dataclasses
import shutil
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from infotok_cli.blocks import token_grid
from infotok_cli.errors import UsageError
from infotok_cli.model import engine as engine_of_model
from infotok_cli.model.engine import Engine, Footage, Runtime, choose_runtime
from infotok_cli.model.weights import LoadedModel, load_model
from infotok_cli.segment_tokens import Tokens
from made_motion import made_motion
from tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    write_tiny_model(path)
    return Engine(load_model(path), Runtime(torch.device("cpu"), "fp32"))


def lively(engine: Engine) -> LoadedModel:
    """The same model with other weights, so that every part of the loop has its say."""
    loaded = load_model(engine.loaded.path)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in loaded.tokenizer.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return loaded


@pytest.mark.parametrize("shape", [(8, 16, 24), (5, 17, 9), (1, 1, 1)], ids=str)
def test_exact_error_is_that_of_the_decoded_picture(engine: Engine, shape: tuple[int, int, int]) -> None:
    frames = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    footage = Footage(frames, made_motion(token_grid(*shape)))
    (error,) = engine.exact_errors([footage])
    assert error.dtype == np.float32
    keep = np.ones(error.shape, np.bool_)
    shown = engine.decode(engine.encode(footage, keep).tokens, *shape)
    assert shown.shape == frames.shape
    difference = np.abs(frames.astype(float) - shown).mean(axis=-1) / 127.5
    assert error.shape == token_grid(*shape)
    for t, y, x in np.ndindex(*error[1:].shape):
        cell = difference[4 * t : 4 * t + 4, 8 * y : 8 * y + 8, 8 * x : 8 * x + 8]
        # Pictures are rounded to whole levels and clipped; the map is not.
        assert error[1 + t, y, x] == pytest.approx(cell.mean(), abs=0.01)


def test_predicted_error_is_positive_and_has_the_grid(engine: Engine) -> None:
    frames = np.zeros((6, 20, 20, 3), np.uint8)
    (error,) = engine.predicted_errors([engine.footage(frames)])
    assert error.shape == (3, 3, 3)
    assert error.dtype == np.float32
    assert (error > 0).all()


def test_same_input_same_ids(engine: Engine) -> None:
    frames = np.random.default_rng(2).integers(0, 256, (8, 24, 24, 3), dtype=np.uint8)
    keep = np.random.default_rng(3).random((3, 3, 3)) < 0.5
    first = engine.encode(engine.footage(frames), keep)
    again = engine.encode(engine.footage(frames), keep)
    for one, other in zip(first.tokens, again.tokens, strict=True):
        assert np.array_equal(one, other)
    assert np.array_equal(first.shown, again.shown)
    assert first.tokens.ids.dtype == np.uint16
    assert len(first.tokens.ids) == keep.sum()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("shape", [(32, 24, 40), (5, 17, 9), (1, 1, 1)], ids=str)
def test_an_encode_shows_what_its_ids_show(
    engine: Engine, precision: Literal["bf16", "fp32"], shape: tuple[int, int, int], fresh_seed: int
) -> None:
    """As the decoder does, of the very last frame of a segment too."""
    one = Engine(lively(engine), Runtime(torch.device("cpu"), precision))
    random = np.random.default_rng(fresh_seed)
    frames = random.integers(0, 256, (*shape, 3), dtype=np.uint8)
    keep = random.random(token_grid(*shape)) < 0.7
    coded = one.encode(Footage(frames, made_motion(keep.shape, fresh_seed)), keep)
    decoded = one.decode(coded.tokens, *shape)
    assert coded.shown.shape == decoded.shape == frames.shape
    assert coded.shown.dtype == decoded.dtype == np.uint8
    assert np.abs(coded.shown.astype(int) - decoded).max() <= 1
    assert coded.shown.std() > 1 or shape == (1, 1, 1), "a picture"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("shape", [(32, 24, 40), (5, 17, 9), (1, 1, 1)], ids=str)
def test_steps_are_those_of_the_whole(
    engine: Engine, precision: Literal["bf16", "fp32"], shape: tuple[int, int, int], fresh_seed: int
) -> None:
    one = Engine(lively(engine), Runtime(torch.device("cpu"), precision))
    random = np.random.default_rng(fresh_seed)
    keep = random.random(token_grid(*shape)) < 0.7
    ids = random.integers(0, 64000, int(keep.sum()), dtype=np.uint16)
    tokens = Tokens(keep, made_motion(keep.shape, fresh_seed), ids)
    steps = list(one.decode_steps(tokens, *shape))
    assert [len(step) for step in steps] == [min(4, shape[0] - at) for at in range(0, shape[0], 4)]
    assert np.array_equal(np.concatenate(steps), one.decode(tokens, *shape))


def test_a_step_needs_no_later_one(engine: Engine) -> None:
    """The first steps come before, and without, the tokens of the rest being decoded."""
    one = Engine(lively(engine), Runtime(torch.device("cpu"), "fp32"))
    keep = np.ones((5, 2, 3), np.bool_)
    ids = np.arange(30, dtype=np.uint16) * 999
    other = np.concatenate([ids[:18], ids[:17:-1]])
    motion = made_motion((5, 2, 3))
    first, second = (one.decode_steps(Tokens(keep, motion, some), 16, 16, 24) for some in (ids, other))
    for step in range(4):
        assert np.array_equal(next(first), next(second)) == (step < 2)
        assert not torch.is_inference_mode_enabled(), "what is between the steps runs as it would without"


def test_runtime_is_chosen_or_refused_by_name(tmp_path: Path) -> None:
    assert choose_runtime("cpu").device.type == "cpu"
    with pytest.raises(UsageError, match="'tpu'"):
        choose_runtime("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="no CUDA device"):
            choose_runtime("cuda")


@pytest.mark.slow
def test_compiled_blocks_give_the_same(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_seed: int
) -> None:
    if not any(shutil.which(name) for name in ("g++", "clang++")):
        pytest.skip("no C++ compiler")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    compiled = Engine(load_model(engine.loaded.path), Runtime(torch.device("cpu"), "fp32", compiled=True))
    frames = np.random.default_rng(fresh_seed).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    keep = np.ones((2, 2, 2), np.bool_)
    ids = np.random.default_rng(fresh_seed).integers(0, 64000, 8).astype(np.uint16)
    footage = engine.footage(frames)
    for one in (compiled, engine):
        assert len(one.encode(footage, keep).tokens.ids) == 8
    (found,), (wanted,) = compiled.predicted_errors([footage]), engine.predicted_errors([footage])
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > before
    np.testing.assert_allclose(found, wanted, atol=1e-5, rtol=1e-5)
    tokens = Tokens(keep, footage.motion, ids)
    shown = [one.decode(tokens, 4, 16, 16).astype(int) for one in (compiled, engine)]
    assert np.abs(shown[0] - shown[1]).max() <= 1


def check_batches(device: str, precision: Literal["bf16", "fp32"], path: Path) -> None:
    """Segments together and alone: nearly the same, and exactly where that is promised."""
    runtime = Runtime(torch.device(device), precision, batch_segments=3)
    engine = Engine(load_model(path), runtime)
    alone = Engine(load_model(path), dataclasses.replace(runtime, deterministic=True))
    assert (engine.batch(6), alone.batch(6)) == (3, 1)
    random = np.random.default_rng(4)
    frames = [engine.pinned(random.integers(0, 256, (5, 17, 20, 3), dtype=np.uint8)) for _ in range(3)]
    found = engine.motion(frames)
    for one, motion in zip(frames, found, strict=True):
        assert np.array_equal(alone.motion([one])[0], motion)
    segments = [Footage(one, made_motion((3, 3, 3), place)) for place, one in enumerate(frames)]
    predicted, exact = engine.predicted_errors(segments), engine.exact_errors(segments)
    keeps = [random.random((3, 3, 3)) < 0.6 for _ in range(3)]
    together = engine.start_encode(list(zip(segments, keeps, strict=True)))()
    tokens = [coded.tokens for coded in together]
    shown = engine.start_decode(tokens, 5, 17, 20)()
    close = {"bf16": 5e-2, "fp32": 1e-4}[precision]
    levels = 1 if precision == "fp32" else 8
    for place, footage in enumerate(segments):
        (own_predicted,), (own_exact,) = alone.predicted_errors([footage]), alone.exact_errors([footage])
        np.testing.assert_allclose(own_predicted, predicted[place], atol=close, rtol=close)
        np.testing.assert_allclose(own_exact, exact[place], atol=close)
        ids = alone.encode(footage, keeps[place]).tokens.ids
        assert np.array_equal(ids, alone.encode(footage, keeps[place]).tokens.ids)
        assert len(ids) == len(tokens[place].ids) == keeps[place].sum()
        if precision == "fp32":
            assert (ids != tokens[place].ids).mean() < 0.05
        picture = alone.decode(tokens[place], 5, 17, 20)
        assert picture.shape == (5, 17, 20, 3)
        assert np.abs(picture.astype(int) - shown[place]).max() <= levels
        assert np.abs(together[place].shown.astype(int) - shown[place]).max() <= levels


def test_segments_together_and_alone(engine: Engine) -> None:
    check_batches("cpu", "fp32", engine.loaded.path)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_segments_together_and_alone_on_gpu(precision: Literal["bf16", "fp32"], tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.fail("this test needs a CUDA device, and torch finds none", pytrace=False)
    write_tiny_model(tmp_path / "tiny.safetensors")
    check_batches("cuda", precision, tmp_path / "tiny.safetensors")


def test_a_gpu_takes_several_segments_and_a_cpu_one(engine: Engine) -> None:
    assert engine.batch(14592) == 1
    # Where nothing is computed, no device is needed.
    on_gpu = copy.copy(engine)
    on_gpu.runtime = Runtime(torch.device("cuda"), "bf16")
    assert (on_gpu.batch(29184), on_gpu.batch(1 << 20)) == (8, 1)
    on_gpu.runtime = Runtime(torch.device("cuda"), "fp32", deterministic=True)
    assert on_gpu.batch(14592) == 1


def test_compile_and_deterministic_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="compile does not go with deterministic: leave compile out"):
        choose_runtime("cpu", compiled=True, deterministic=True)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (ValueError("CUDA error: out of memory"), False),
    ],
    ids=str,
)
def test_lack_of_memory_is_known_by_its_words(error: Exception, expected: bool) -> None:
    assert engine_of_model._lacks_memory(error) is expected
