"""Training on the CPU for a few steps: it learns, stops, resumes, and its weights encode."""

from __future__ import annotations

import signal
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from infotok_cli.allocation import allocate as allocate_module
from infotok_cli.allocation.allocate import allocate, allocate_blocks
from infotok_cli.blocks import block_levels
from infotok_cli.codec.decode import decode_file
from infotok_cli.codec.encode import encode_file
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.config import ModelConfig
from infotok_cli.errors import InputError, OutputError, UsageError
from infotok_cli.model.engine import Engine, choose_runtime
from infotok_cli.model.weights import load_model
from infotok_cli.routers import AllocationName
from infotok_cli.train import finish
from infotok_cli.train.checkpoint import read_checkpoint
from infotok_cli.train.distributed import StopSignals, World
from infotok_cli.train.fit_to_model import Fitted
from infotok_cli.train.frame_cache import CropShape, FrameCache
from infotok_cli.train.loop import train
from infotok_cli.train.make_cache import make_cache
from infotok_cli.train.masking import draw_keep, keep_at_rate
from infotok_cli.train.optimizing import learning_rate_factor
from infotok_cli.train.options import TrainOptions
from infotok_cli.train.reporting import Report
from make_video import make_video, moving_shapes

TINY = ModelConfig(name="tiny", width=64, head_width=32, compressor_blocks=1, decoder_blocks=1, mlp_width=64)


def options(cache: Path, output: Path, steps: int) -> TrainOptions:
    return TrainOptions(
        coder_steps=3,
        cache=cache,
        output=output,
        config=TINY,
        steps=steps,
        batch=2,
        crops=(CropShape(8, 32), CropShape(16, 16)),
        report_seconds=0.0,
    )


def test_cache_refuses_what_is_none(tmp_path: Path, cache: Path, clips: list[Path]) -> None:
    with pytest.raises(InputError, match="is not a frame cache"):
        FrameCache(tmp_path)
    with pytest.raises(OutputError, match="exists already"):
        make_cache(clips, cache)
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(InputError):
        make_cache([clips[0], tmp_path / "text.mp4"], tmp_path / "new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["text.mp4"]
    (tmp_path / "tiles-cut.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(InputError, match="not a whole"):
        FrameCache(tmp_path)
    (tmp_path / "tiles-cut.npy").write_bytes(b"")
    with pytest.raises(InputError, match="not a whole"):
        FrameCache(tmp_path)
    with (tmp_path / "tiles-cut.npy").open("wb") as file:
        np.savez(file, tiles=np.zeros((1, 8, 8, 8, 3), np.uint8))
    with pytest.raises(InputError, match="not a frame-cache shard"):
        FrameCache(tmp_path)
    (tmp_path / "tiles-cut.npy").unlink()
    np.save(tmp_path / "tiles-bad.npy", np.zeros(3))
    with pytest.raises(InputError, match="not a frame-cache shard"):
        FrameCache(tmp_path)


def test_a_cache_needs_tiles_to_learn_from(tmp_path: Path) -> None:
    """Of five clips the last one is held out."""
    frames = (4, 4, 4, 4, 16)
    clips = [
        make_video(tmp_path / f"{n}.mp4", moving_shapes(count, 32, 32)) for n, count in enumerate(frames)
    ]
    with pytest.raises(InputError, match="none of the files to learn from has at least 8 frames"):
        make_cache(clips, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_an_interrupted_run_leaves_weights_without_what_takes_minutes(cache: Path, tmp_path: Path) -> None:
    reports: list[Report] = []

    def interrupt(report: Report) -> None:
        reports.append(report)
        if len(reports) == 1:
            raise KeyboardInterrupt

    output = tmp_path / "tiny.safetensors"
    train(options(cache, output, 50), interrupt)
    stopped = load_model(output)
    assert stopped.token_net is None
    assert not stopped.fits.distortions
    train(options(cache, output, 2), lambda report: None)
    assert load_model(output).token_net is not None


@pytest.mark.usefixtures("hears_interrupts")
def test_a_run_interrupted_while_it_fits_leaves_these_weights_too(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> Fitted:
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("nobody heard the signal")

    output = tmp_path / "tiny.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr(finish, "fit_to_model", interrupted)
        train(options(cache, output, 1), lambda report: None)
    stopped = load_model(output)
    assert stopped.token_net is None
    assert not stopped.fits.distortions
    train(options(cache, output, 1), lambda report: None)
    assert load_model(output).token_net is not None


@pytest.mark.usefixtures("hears_interrupts")
def test_signals_that_are_kept_act_again_while_that_is_suspended() -> None:
    with StopSignals(World(rank=0, size=2)) as signals:
        with pytest.raises(KeyboardInterrupt), signals.suspended():
            signal.raise_signal(signal.SIGINT)
        assert not signals.received
        signal.raise_signal(signal.SIGINT)
        assert signals.received == signal.SIGINT
        reached = False
        with pytest.raises(KeyboardInterrupt), signals.suspended():
            reached = True
        assert not reached, "a signal that waited"
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_samples_have_the_asked_shape_whatever_the_tiles(cache: Path) -> None:
    frames = FrameCache(cache)
    for shape in (CropShape(8, 32), CropShape(40, 96)):
        batch = frames.sample(3, shape, np.random.default_rng(0))
        assert batch.shape == (3, shape.frames, shape.side, shape.side, 3)
        assert batch.std() > 1


def test_training_writes_weights_that_encode_and_decode(
    cache: Path, clips: list[Path], tmp_path: Path
) -> None:
    reports: list[Report] = []
    output = tmp_path / "tiny.safetensors"
    digest = train(options(cache, output, 2), reports.append)
    loaded = load_model(output)
    assert loaded.sha256 == digest
    assert loaded.config == TINY
    assert set(loaded.fits.distortions) == set(loaded.fits.rate_scales) == {"fast", "exact"}
    assert reports[-1].progress.step == 2
    assert reports[-1].held is not None
    assert set(reports[-1].held) == {1.0, 0.75, 0.5, 0.25}
    # Two steps from the principal axes it must already show the picture.
    assert reports[-1].held[1.0] > 15
    engine = Engine(loaded, choose_runtime("cpu"))
    encoded = encode_file(clips[0], tmp_path / "a.itk", engine, EncodeOptions(rate=0.5))
    decoded = decode_file(tmp_path / "a.itk", tmp_path / "a.mp4", engine)
    assert decoded.frames == encoded.frames == 40


def test_a_run_goes_on_where_it_stopped(cache: Path, tmp_path: Path) -> None:
    output = tmp_path / "tiny.safetensors"
    train(options(cache, output, 2), lambda report: None)
    tensors, progress, _ = read_checkpoint(options(cache, output, 2).checkpoint)
    assert progress.step == 2
    assert any(name.startswith("optimizer.0.") for name in tensors)
    reports: list[Report] = []
    train(options(cache, output, 3), reports.append)
    assert reports[0].progress.step == 3
    again, progress, _ = read_checkpoint(options(cache, output, 3).checkpoint)
    assert progress.step == 3
    moved = [n for n, t in again.items() if n.startswith("model.") and not torch.equal(t, tensors[n])]
    assert len(moved) > 20
    # One small step away from where the first run ended, with the optimizers' own count going on.
    for name in ("model.residual_in.weight", "model.decoder.blocks.0.qkv.weight"):
        far = (again[name] - tensors[name]).norm() / tensors[name].norm()
        assert 0 < far < 0.05
    steps = [float(t) for n, t in again.items() if n.startswith("optimizer.1.") and n.endswith(".step")]
    assert steps
    assert set(steps) == {3.0}


def test_a_run_that_is_over_or_another_is_not_gone_on_with(cache: Path, tmp_path: Path) -> None:
    output = tmp_path / "tiny.safetensors"
    train(options(cache, output, 2), lambda report: None)
    before = output.read_bytes()
    with pytest.raises(UsageError, match=r"finished run \(2 steps, 0.\d minutes\): give more"):
        train(options(cache, output, 2), lambda report: None)
    other = tmp_path / "other.safetensors"
    other.write_bytes(before)
    with pytest.raises(UsageError, match=r"did not start from .*other.safetensors: name another output"):
        train(replace(options(cache, output, 3), init=other), lambda report: None)
    assert output.read_bytes() == before
    onward = tmp_path / "onward.safetensors"
    for steps in (1, 2):
        train(replace(options(cache, onward, steps), init=other), lambda report: None)


def test_crop_shapes_are_read_from_text() -> None:
    assert CropShape.parse("32x96") == CropShape(32, 96)
    assert str(CropShape(32, 96)) == "32x96"
    for text in ("", "16", "x", "16x", "0x16", "14x128", "16x100", "-8x16"):
        with pytest.raises(UsageError, match=r"^crop "):
            CropShape.parse(text)


def test_learning_rate_warms_up_holds_and_falls() -> None:
    assert learning_rate_factor(0.0, 0, 0.5) == pytest.approx(0.01)
    assert learning_rate_factor(0.3, 1000, 0.5) == 1
    # A twentieth of a short run is enough to warm up.
    assert learning_rate_factor(0.025, 4, 0.5) == pytest.approx(0.5)
    assert learning_rate_factor(0.05, 9, 0.5) == 1
    assert learning_rate_factor(0.75, 1000, 0.5) == pytest.approx(0.5)
    assert learning_rate_factor(1.0, 1000, 0.5) == 0


@pytest.mark.parametrize("rate", [0.125, 0.4, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("steps", [1, 4, 8, 16])
def test_training_masks_are_those_of_the_codec(steps: int, rate: float) -> None:
    log_error = torch.rand(3, steps, 9, 8, generator=torch.Generator().manual_seed(steps)).mul(3)
    keep = keep_at_rate(log_error, rate, "error").numpy()
    for mask, error in zip(keep, log_error.exp().numpy(), strict=True):
        (allocation,) = allocate_blocks([error], rate)
        assert np.array_equal(mask, allocation.keep)


@pytest.mark.parametrize("steps", [8, 16])
def test_training_masks_have_more_tokens_at_the_starts_of_segments(
    steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a rule without starts would get wrong shows only where blocks come after them."""
    log_error = torch.randn(4, steps // 2, 6, 6, generator=torch.Generator().manual_seed(0))
    for axis in (1, 2, 3):
        log_error = log_error.repeat_interleave(2, dim=axis)
    keep = keep_at_rate(log_error, 0.5, "error")
    monkeypatch.setattr(allocate_module, "START_WORTHS", ())
    flat = keep_at_rate(log_error, 0.5, "error")
    assert float((keep != flat).float().mean()) > 0.02
    assert keep[:, :2].float().mean() > flat[:, :2].float().mean() + 0.02


def test_drawn_masks_are_allocations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without noise they are what the codec makes of the error at the rates drawn, blocks or positions."""
    monkeypatch.setattr(torch, "randn", lambda shape, generator: torch.zeros(shape))
    log_error = torch.rand(40, 8, 9, 8, generator=torch.Generator().manual_seed(1))
    by_position = 0
    for error, mask in zip(
        log_error.exp().numpy(), draw_keep(log_error, torch.Generator().manual_seed(2)).numpy(), strict=True
    ):
        kind: AllocationName = "block" if block_levels(mask) is not None else "position"
        by_position += kind == "position"
        (allocation,) = allocate([error], kind, Fraction(int(mask.sum()), mask.size))
        assert np.array_equal(mask, allocation.keep)
    assert 2 <= by_position <= 16


def test_drawn_masks_cover_the_rates() -> None:
    generator = torch.Generator().manual_seed(0)
    rates = draw_keep(torch.randn(64, 4, 8, 8), generator).float().mean(dim=(1, 2, 3))
    assert rates.min() >= 0.12
    assert rates.max() <= 1
    assert rates.min() < 0.25
    assert rates.max() > 0.75
