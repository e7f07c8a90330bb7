"""Where training begins: a linear closed loop that shows a picture before the first step."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from infotok_cli.config import ModelConfig
from infotok_cli.errors import UsageError
from infotok_cli.model.motion import estimate_motion
from infotok_cli.model.tokenizer import Tokenizer
from infotok_cli.motion import STILL
from infotok_cli.train.initial_weights import check_overlap, start_from_principal_axes, with_overlap

CONFIG = ModelConfig(
    name="tiny", width=64, head_width=32, compressor_blocks=1, decoder_blocks=1, mlp_width=64
)

WORST_MEAN_PSNR = 22.0
"""What made-up moving clips must reach untrained, dB; flat pictures of their colour have 16."""


def panned(count: int, frames: int, side: int, seed: int) -> NDArray[np.uint8]:
    """Clips `[count, frames, side, side, 3]` of smooth random textures, each moving its own way."""
    random = np.random.default_rng(seed)
    rows, columns, times = np.meshgrid(range(side), range(side), range(frames), indexing="ij", sparse=True)
    clips = np.empty((count, frames, side, side, 3))
    for clip in clips:
        down, right = random.uniform(-1, 1, 2)
        picture = np.zeros((side, side, frames, 3))
        for _ in range(12):
            tall, wide = random.normal(0, 0.12, 2)
            turn = tall * (rows - down * times) + wide * (columns - right * times) + random.uniform(0, 6.3)
            picture += random.normal(0, 18, 3) * np.sin(turn)[..., None]
        clip[:] = picture.transpose(2, 0, 1, 3) + random.uniform(90, 165)
    return np.clip(clips, 0, 255).astype(np.uint8)


def psnr_db(shown: Tensor, source: Tensor) -> list[float]:
    """PSNR of each clip."""
    squared = (shown.clamp(-1, 1) - source).square().mean(dim=(1, 2, 3, 4))
    return [10 * math.log10(4 / float(each)) for each in squared]


def scaled(clips: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(clips).float() / 127.5 - 1


def started(overlap: int, seed: int = 0) -> Tokenizer:
    torch.manual_seed(seed)
    model = Tokenizer(replace(CONFIG, overlap=overlap)).eval()
    start_from_principal_axes(model, torch.from_numpy(panned(16, 16, 64, seed)))
    return model


@pytest.fixture(scope="module", params=[0, 2], ids=lambda overlap: f"overlap-{overlap}")
def model(request: pytest.FixtureRequest) -> Tokenizer:
    return started(request.param)


def by_step(shown: Tensor, source: Tensor) -> NDArray[np.float64]:
    """PSNR of each latent step and clip, `[t, N]`."""
    steps = zip(shown.chunk(shown.shape[1] // 4, 1), source.chunk(source.shape[1] // 4, 1), strict=True)
    return np.array([psnr_db(*step) for step in steps])


@torch.no_grad()
def test_moving_clips_are_shown_before_any_training(model: Tokenizer) -> None:
    """Clips that the axes were not found on, longer than those they were."""
    video = scaled(panned(6, 32, 64, seed=100))
    keep = torch.ones(6, 8, 8, 8, dtype=torch.bool)
    motion = estimate_motion(video)
    ids, shown = model.encode(video, keep, motion)
    found = psnr_db(shown, video)
    flat = psnr_db(video.mean(dim=(1, 2, 3), keepdim=True).expand_as(video), video)
    assert np.mean(found) > WORST_MEAN_PSNR
    assert all(one > other + 2.5 for one, other in zip(found, flat, strict=True)), (found, flat)
    assert (by_step(shown, video).mean(axis=1) > WORST_MEAN_PSNR).all(), "to the last step"
    assert len(set(ids.flatten().tolist())) > 1000, "the whole range of tokens is in use"
    torch.testing.assert_close(model.decode(ids, keep, motion), shown, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_still_clip_gets_better_than_its_first_step_and_stays_so(model: Tokenizer) -> None:
    still = scaled(panned(6, 1, 64, seed=100)).expand(-1, 32, -1, -1, -1)
    keep = torch.ones(6, 8, 8, 8, dtype=torch.bool)
    _, shown = model.encode(still, keep, torch.full((6, 8, 4, 4), STILL, dtype=torch.uint8))
    found = by_step(shown, still)
    grey = by_step(torch.zeros_like(still), still)
    assert (found[1:] > grey[1:] + 5).all()
    assert (found[1] > found[0] + 0.5).all(), "residuals of what is shown already"
    # Even levels have no 0: with nothing left to say, tokens still say a little.
    assert (found[2:] > found[1] - 2).all()


@torch.no_grad()
def test_what_is_dropped_is_what_was_shown_before(model: Tokenizer) -> None:
    """Untrained, a step that gets hardly a token repeats the last frame."""
    still = scaled(panned(6, 1, 64, seed=100)).expand(-1, 8, -1, -1, -1)
    keep = torch.ones(6, 2, 8, 8, dtype=torch.bool)
    motion = torch.full((6, 2, 4, 4), STILL, dtype=torch.uint8)
    keep[:, 1] = False
    _, shown = model.encode(still, keep, motion)
    last = shown[:, 3:4]
    assert psnr_db(shown[:, 4:], last.expand(-1, 4, -1, -1, -1))[0] > 25
    first, second = by_step(shown, still)
    assert (second > first - 1.5).all()


@torch.no_grad()
def test_patches_go_in_and_come_out_along_the_same_axes() -> None:
    """In and out again is a projection on as many axes as the model is wide."""
    model = started(0)
    both = model.patch_out.weight @ model.residual_in.weight
    torch.testing.assert_close(both, both.T, atol=1e-4, rtol=0)
    torch.testing.assert_close(both @ both, both, atol=1e-4, rtol=0)
    assert float(both.trace()) == pytest.approx(CONFIG.width, abs=0.01)
    # The axes are those of the clips: what goes through keeps nearly all that moves.
    assert not model.residual_in.bias.any()
    assert not model.patch_out.bias.any()


@torch.no_grad()
def test_first_steps_are_quantized_more_coarsely() -> None:
    """Whole pictures vary more than residuals; the leading axis, brightness, by far."""
    gain = started(0).first_gain.exp()
    assert float(gain[0]) > 2
    assert gain.isfinite().all()


@torch.no_grad()
def test_margins_begin_at_nothing() -> None:
    plain, wide = started(0), started(2)
    margins = wide.patch_out.weight.view(4, 12, 12, 3, -1)
    inner = margins[:, 2:10, 2:10].reshape(plain.patch_out.weight.shape)
    torch.testing.assert_close(inner, plain.patch_out.weight)
    assert float(margins.abs().sum() - inner.abs().sum()) == pytest.approx(0, abs=1e-2)


def test_other_margins_are_refused() -> None:
    model = started(2)
    assert with_overlap(model, 2) is model
    check_overlap(model.config, 2)
    with pytest.raises(UsageError, match="overlap 3 does not fit the model to start from, which has 2"):
        with_overlap(model, 3)
