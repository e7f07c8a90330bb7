"""Motion is found where there is some, and followed as it says."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from infotok_cli.model import bands
from infotok_cli.model import motion as motion_of_model
from infotok_cli.model.grid import with_lead
from infotok_cli.model.motion import (
    at_positions,
    compensated,
    displacements,
    estimate_motion,
    followed,
    frame_times,
)
from infotok_cli.model.pixels import to_signal
from infotok_cli.motion import DISPLACEMENTS, STILL, VECTORS, motion_grid, no_motion
from made_motion import made_motion, panned, textured

SIDE = len(DISPLACEMENTS)


@pytest.mark.parametrize(
    ("down", "right"), [(0, 0), (4, 0), (0, -4), (-16, 24), (24, 24), (-24, -16), (4, -16)], ids=str
)
def test_a_pan_is_found(down: int, right: int, fresh_seed: int) -> None:
    motion = estimate_motion(with_lead(panned(down, right, seed=fresh_seed)))
    assert motion.dtype == torch.uint8
    assert motion.shape == (1, 4, 6, 6)
    assert (motion[:, 0] == STILL).all(), "the lead is a still"
    expected = SIDE * DISPLACEMENTS.index(down) + DISPLACEMENTS.index(right)
    # Blocks that come in over the edge have nothing to be found by.
    inside = motion[0, 1:, 2:4, 2:4]
    assert (inside == expected).all(), inside


@pytest.mark.parametrize("frames", [2, 3, 5, 6, 7])
def test_a_last_step_of_fewer_frames_is_judged_by_those_it_has(frames: int, fresh_seed: int) -> None:
    motion = estimate_motion(with_lead(panned(4, -16, seed=fresh_seed)[:, :frames]))
    expected = SIDE * DISPLACEMENTS.index(4) + DISPLACEMENTS.index(-16)
    inside = motion[0, 1:, 2:4, 2:4]
    assert (inside == expected).all(), inside


def test_one_thing_moves_before_a_still_ground(fresh_seed: int) -> None:
    video = panned(0, 0, seed=fresh_seed).expand(-1, 12, -1, -1, -1).clone()
    thing = torch.from_numpy(textured(32, 32, fresh_seed + 1).round().astype(np.uint8))
    for time in range(12):
        video[0, time, 32:64, 16 + time : 48 + time] = thing
    motion = estimate_motion(with_lead(video))[0]
    right = SIDE * DISPLACEMENTS.index(0) + DISPLACEMENTS.index(4)
    assert (motion[1:, 2:4, 2] == right).all()
    ground = torch.ones(6, 6, dtype=torch.bool)
    ground[2:4] = False
    assert (motion[:, ground] == STILL).all()


def test_noise_and_flat_pictures_do_not_move(fresh_seed: int) -> None:
    """Where vectors do equally well the shortest is taken, and neighbours share one."""
    flat = torch.full((1, 12, 64, 64, 3), 77, dtype=torch.uint8)
    assert (estimate_motion(with_lead(flat)) == STILL).all()
    torch.manual_seed(fresh_seed)
    noise = torch.randint(118, 138, (1, 12, 96, 96, 3), dtype=torch.uint8)
    assert (estimate_motion(with_lead(noise)) == STILL).float().mean() > 0.9


@pytest.mark.parametrize("size", [(1, 1, 1), (5, 17, 9), (8, 40, 33), (13, 16, 48)], ids=str)
def test_a_segment_may_have_any_size(size: tuple[int, int, int], fresh_seed: int) -> None:
    torch.manual_seed(fresh_seed)
    video = with_lead(torch.randint(0, 256, (2, *size, 3), dtype=torch.uint8))
    motion = estimate_motion(video)
    grid = (video.shape[1] // 4 + (video.shape[1] % 4 > 0), -(-size[1] // 8), -(-size[2] // 8))
    assert tuple(motion.shape[1:]) == motion_grid(grid)
    assert int(motion.max()) < VECTORS
    assert torch.equal(estimate_motion(to_signal(video)), motion), "pixels as they are read, and signals"


@torch.no_grad()
def test_steps_searched_in_turn_and_together(monkeypatch: pytest.MonkeyPatch) -> None:
    video = with_lead(panned(7, -11, steps=5, side=100))
    whole = estimate_motion(video)
    assert (whole != STILL).any()
    for positions, runs in ((200, [1, 3, 5]), (40, [1, 2, 3, 4, 5])):
        monkeypatch.setattr(bands, "BAND_POSITIONS", positions)
        size = (1, 6, 14, 14)
        assert [run.start for run in bands.step_runs(size, video.device, first=1)] == runs
        assert torch.equal(estimate_motion(video), whole)


@pytest.mark.parametrize("dtype", [torch.bfloat16])
def test_half_precision_does_not_reach_the_search(dtype: torch.dtype) -> None:
    video = with_lead(panned(4, -2))
    with torch.autocast("cpu", dtype):
        assert torch.equal(estimate_motion(video), estimate_motion(to_signal(video)))
        found = estimate_motion(video)
    assert torch.equal(found, estimate_motion(video))


def test_times_of_the_step_behind_the_lead_begin_with_the_leads_own_frame() -> None:
    assert frame_times(1) == (0, 0.25, 0.5, 0.75)
    assert frame_times(2) == frame_times(7) == (0.25, 0.5, 0.75, 1)


def window(place: int) -> dict[int, float]:
    """Shares of blocks in a pixel along one axis, by how far they are from its own."""
    if place < 6:
        other = 0.5 - (place + 0.5) / 12
        return {-1: other, 0: 1 - other}
    if place >= 10:
        other = 0.5 - (15.5 - place) / 12
        return {0: 1 - other, 1: other}
    return {0: 1.0}


def by_loops(
    frame: NDArray[np.float32], motion: NDArray[np.uint8], times: tuple[float, ...]
) -> NDArray[np.float64]:
    """What `compensated` makes of one frame, pixel by pixel."""
    height, width, _ = frame.shape
    shown = np.zeros((len(times), height, width, 3))
    for (number, time), row, column in product(enumerate(times), range(height), range(width)):
        for (up, of_row), (aside, of_column) in product(
            window(row % 16).items(), window(column % 16).items()
        ):
            block = (row // 16 + up, column // 16 + aside)
            vector = int(motion[tuple(np.clip(block, 0, np.array(motion.shape) - 1))])
            y = np.clip(row - DISPLACEMENTS[vector // SIDE] * time, 0, height - 1)
            x = np.clip(column - DISPLACEMENTS[vector % SIDE] * time, 0, width - 1)
            top, left = int(y), int(x)
            below, right = min(top + 1, height - 1), min(left + 1, width - 1)
            upper = frame[top, left] * (1 - (x - left)) + frame[top, right] * (x - left)
            lower = frame[below, left] * (1 - (x - left)) + frame[below, right] * (x - left)
            shown[number, row, column] += of_row * of_column * (upper * (1 - (y - top)) + lower * (y - top))
    return shown


@pytest.mark.parametrize("size", [(8, 8), (24, 40), (56, 32)], ids=str)
@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("together", [3, 2048])
def test_a_frame_is_moved_block_by_block(
    size: tuple[int, int], step: int, together: int, fresh_seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(motion_of_model, "_TOGETHER", together)
    height, width = size
    frames = np.random.default_rng(fresh_seed).random((2, height, width, 3)).astype(np.float32)
    motion = np.stack([made_motion((2, height // 8, width // 8), fresh_seed + at)[1] for at in range(2)])
    given = (torch.from_numpy(frames), torch.from_numpy(motion), frame_times(step))
    found = compensated(*given, slice(0, height))
    for at in range(2):
        expected = by_loops(frames[at], motion[at], frame_times(step))
        np.testing.assert_allclose(found[at].numpy(), expected, atol=1e-3)
    if height > 8:
        torch.testing.assert_close(compensated(*given, slice(8, height)), found[:, :, 8:])


@pytest.mark.parametrize("together", [20, 1 << 14])
@pytest.mark.parametrize("rows", [slice(0, 40), slice(16, 32)], ids=str)
@pytest.mark.parametrize("step", [1, 2])
def test_all_positions_alike_where_none_are_picked(
    step: int, rows: slice, together: int, monkeypatch: pytest.MonkeyPatch, fresh_seed: int
) -> None:
    """As on devices that would have to be waited for: the same pictures and the same gradients."""
    monkeypatch.setattr(motion_of_model, "_ALL_TOGETHER", together)
    frame = torch.rand(2, 40, 56, 3, requires_grad=True)
    motion = torch.from_numpy(np.stack([made_motion((2, 5, 7), fresh_seed + at)[1] for at in range(2)]))
    motion[0, :2] = STILL
    weights = torch.rand(2, 4, rows.stop - rows.start, 56, 3)

    def shown_and_gradient() -> tuple[Tensor, Tensor]:
        shown = compensated(frame, motion, frame_times(step), rows)
        return shown.detach(), torch.autograd.grad((shown * weights).sum(), frame)[0]

    picked = shown_and_gradient()

    def move_all(patches: Tensor, moves: Any, single: Tensor, mixed: Tensor) -> None:
        motion_of_model._move_all(patches, moves, single | mixed)

    monkeypatch.setattr(motion_of_model, "_move_some", move_all)
    shown, gradient = shown_and_gradient()
    torch.testing.assert_close(shown, picked[0])
    torch.testing.assert_close(gradient, picked[1], rtol=1e-4, atol=1e-5)
    assert torch.equal(shown[0, :, :8], picked[0][0, :, :8]), "what is still stays as it was"


def test_gradients_are_those_of_the_pixels_that_were_taken(fresh_seed: int) -> None:
    """The sum over the picture is linear in the frame, so a difference is exact."""
    torch.manual_seed(fresh_seed)
    frame = torch.rand(2, 32, 48, 3, requires_grad=True)
    motion = torch.from_numpy(np.stack([made_motion((2, 4, 6), fresh_seed + at)[1] for at in range(2)]))
    weights = torch.rand(2, 4, 32, 48, 3)

    def told(frame: Tensor) -> Tensor:
        return (compensated(frame, motion, frame_times(2), slice(0, 32)) * weights).sum()

    (gradient,) = torch.autograd.grad(told(frame), frame)
    other = torch.rand_like(frame)
    difference = told(other).detach() - told(frame).detach()
    torch.testing.assert_close((gradient * (other - frame.detach())).sum(), difference, rtol=1e-3, atol=0.05)


def test_still_blocks_are_the_frame_itself() -> None:
    frame = torch.rand(2, 40, 24, 3)
    still = torch.from_numpy(np.stack([no_motion((1, 5, 3))[0]] * 2))
    found = compensated(frame, still, frame_times(2), slice(0, 40))
    assert torch.equal(found, frame[:, None].expand_as(found))


def test_what_is_remembered_moves_to_the_nearest_position(fresh_seed: int) -> None:
    values = torch.rand(2, 7, 5, 3)
    motion = torch.from_numpy(np.stack([made_motion((2, 7, 5), fresh_seed + at)[1] for at in range(2)]))
    found = followed(values, motion, slice(0, 7))
    assert torch.equal(followed(values, motion, slice(2, 5)), found[:, 2:5])
    for each, y, x in np.ndindex(2, 7, 5):
        vector = int(motion[each, y // 2, x // 2])
        # Half a position is rounded to an even number of them.
        row = min(max(y - round(DISPLACEMENTS[vector // SIDE] / 8), 0), 6)
        column = min(max(x - round(DISPLACEMENTS[vector % SIDE] / 8), 0), 4)
        assert torch.equal(found[each, y, x], values[each, row, column])


def test_displacements_of_numbers() -> None:
    found = displacements(torch.arange(VECTORS, dtype=torch.uint8))
    assert found.tolist() == [[down, right] for down in DISPLACEMENTS for right in DISPLACEMENTS]
    assert found[STILL].tolist() == [0, 0]
    blocks = torch.arange(6).view(1, 2, 3)
    assert at_positions(blocks, 3, 5).tolist() == [[[0, 0, 1, 1, 2], [0, 0, 1, 1, 2], [3, 3, 4, 4, 5]]]
