"""The closed loop on both backends: the same ids but at near-ties, and nearly the same pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from infotok_cli.config import PATCH, ModelConfig
from infotok_cli.errors import UsageError
from infotok_cli.model.engine import Engine, Runtime, choose_runtime
from infotok_cli.model.grid import kept_places, pad_video
from infotok_cli.model.tokenizer import Memory, Tokenizer
from infotok_cli.model.weights import LoadedModel
from infotok_kernels import backend, select_backend
from made_motion import motion_for

pytest.importorskip("triton", reason="triton exists for Linux only")

NEAR_TIE = 1e-3
"""In steps between levels. Float32 rounding, through a few layers, moves values by less."""


@pytest.fixture(autouse=True)
def _choice_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "_selected", {})


def small_model(head_dim: int = 32) -> Tokenizer:
    """Random weights in which, unlike in a fresh model, every block has its say."""
    config = ModelConfig(
        name="tiny", width=64, head_dim=head_dim, head_width=32, compressor_blocks=2, decoder_blocks=2,
        mlp_width=64,
    )  # fmt: skip
    model = Tokenizer(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


@dataclass(frozen=True)
class Step:
    """Everything a codec takes from the model in one step, and the values before rounding."""

    ids: Tensor
    values: Tensor
    codes: Tensor
    picture: Tensor
    memory: Memory


@torch.inference_mode()
def through(
    model: Tokenizer, source: Tensor, keep: Tensor, t: int, before: Step | None, kernels: str
) -> Step:
    """Code step `t` on one backend, after what the step `before` left."""
    select_backend(kernels, source.device.type)
    hidden: list[Tensor] = []
    handle = model.compressor.register_forward_hook(lambda *facts: hidden.append(facts[2]))
    ranks, counts = kept_places(keep)
    context = model.context(before.memory if before else None, keep[:, t], motion_for(keep)[:, t], t)
    codes, ids = model.compress(source, context, ranks[:, t], counts[:, t])
    handle.remove()
    values = F.linear(hidden[0][:, 0].float(), model.to_code.weight, model.to_code.bias) / context.gain
    # The picture is that of codes which both backends are given, whatever they found themselves.
    shown = codes_of(codes.shape, model.config.levels, source.device, seed=t)
    picture, state = model.show(shown, context, keep[:, t], ranks[:, t], counts[:, t])
    return Step(ids, values, codes, picture, model.remember(state, picture))


def codes_of(shape: torch.Size, levels: tuple[int, ...], device: torch.device, seed: int) -> Tensor:
    """Random codes on the levels."""
    sizes = torch.tensor(levels) - 1
    random = torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    return ((random * sizes).round() * 2 / sizes - 1).to(device)


def check_model(device: str) -> None:
    model = small_model().to(device)
    video = torch.rand(1, 12, 67, 80, 3, device=device) * 2 - 1
    keep = torch.rand(1, 3, 9, 10, device=device) < 0.7
    predicted = []
    for kernels in ("reference", "triton"):
        select_backend(kernels, device)
        with torch.inference_mode():
            predicted.append(model.predict(video, motion_for(keep)))
    torch.testing.assert_close(predicted[1], predicted[0], atol=1e-4, rtol=1e-4)
    steps = torch.tensor(model.config.levels, device=device) - 1
    before, seen = None, []
    for t, source in enumerate(pad_video(video, PATCH).chunk(3, dim=1)):
        one = through(model, source, keep, t, before, "reference")
        other = through(model, source, keep, t, before, "triton")
        scaled = (one.values.clamp(-1, 1) + 1) * steps / 2
        near = ((scaled - scaled.floor() - 0.5).abs() < NEAR_TIE).any(dim=-1)
        assert near.float().mean() < 0.2, "most positions must count"
        kept = keep[:, t]
        assert bool(((one.ids == other.ids) | near)[kept].all())
        torch.testing.assert_close(other.codes[~near], one.codes[~near])
        torch.testing.assert_close(other.picture, one.picture, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(other.memory.hidden, one.memory.hidden, atol=1e-4, rtol=1e-4)
        assert float(one.picture.std()) > 0.01
        seen.append(one.ids[kept])
        before = one
    ids = torch.cat(seen)
    assert len(set(ids.tolist())) > 50, "the ids must say something"
    whole = torch.randint(0, 64000, keep.shape, device=device)
    pictures = []
    for kernels in ("reference", "triton"):
        select_backend(kernels, device)
        with torch.inference_mode():
            pictures.append(model.decode(whole, keep, motion_for(keep)))
    # Over the steps of a loop with random weights, rounding grows.
    torch.testing.assert_close(pictures[1], pictures[0], atol=0.03, rtol=0.03)


def test_interpreted(fresh_seed: int) -> None:
    torch.manual_seed(fresh_seed)
    check_model("cpu")


@pytest.mark.gpu
def test_on_gpu(fresh_seed: int) -> None:
    if not torch.cuda.is_available():
        pytest.fail("this test needs a CUDA device, and torch finds none", pytrace=False)
    torch.manual_seed(fresh_seed)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        check_model("cuda")
    finally:
        torch.set_float32_matmul_precision(before)


def engine(head_dim: int, kernels: str | None) -> Engine:
    model = small_model(head_dim)
    loaded = LoadedModel(model, model.config, "0" * 64, Path("tiny.safetensors"))
    choose_runtime("cpu", kernels)
    return Engine(loaded, Runtime(torch.device("cpu"), "fp32"))


def test_an_engine_says_what_runs() -> None:
    frames = np.zeros((4, 16, 16, 3), np.uint8)
    assert engine(64, None).runtime.backend == "reference"
    chosen = engine(32, "triton")
    assert chosen.runtime.backend == "triton"
    footage = chosen.footage(frames)
    assert chosen.predicted_errors([footage])[0].shape == (2, 2, 2)
    assert chosen.encode(footage, np.ones((2, 2, 2), np.bool_)).shown.shape == frames.shape


def test_an_engine_refuses_a_model_its_kernels_cannot_run() -> None:
    with pytest.raises(UsageError, match=r"head size 16.*kernels reference"):
        engine(16, "triton")


def test_an_unknown_backend_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="'cuda' is unknown"):
        choose_runtime("cpu", "cuda")
