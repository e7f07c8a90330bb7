"""Motion of video: found by the encoder in the source, and followed on both sides of the loop."""

from __future__ import annotations

import math
from itertools import pairwise, product
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from infotok_cli.blocks import LEAD_STEPS
from infotok_cli.config import PATCH
from infotok_cli.metrics import LUMA_BT601
from infotok_cli.model.bands import by_bands, pixel_rows, row_bands, step_runs
from infotok_cli.model.grid import pad_video
from infotok_cli.model.pixels import to_signal
from infotok_cli.motion import DISPLACEMENTS, MOTION_SIDE, STILL, VECTORS
from infotok_kernels.constants import constant

SIDES = (MOTION_SIDE * PATCH[1], MOTION_SIDE * PATCH[2])
"""Rows and columns of pixels of a block of one vector."""

REACH = max(DISPLACEMENTS)

OVERLAP = 6
"""Pixels on either side of an edge between blocks where what their vectors show is mixed."""

PRICE = 0.003
"""Added to a vector's error (of two frames, on the [-1, 1] scale) for each octave of its displacements."""

SHARED = 0.006
"""What it is worth, in the same unit, to have the vector of a neighbour in space or time."""

_TOGETHER = 2048
"""Positions that are moved at once, at most, where they are picked."""

_ALL_TOGETHER = 1 << 14
"""The same where all are moved alike."""

ROUNDS = 2
"""Times that blocks look at their neighbours' vectors."""

_COMPARED = (1, 3)
"""Frames of a step that vectors are judged by."""

_ROWS = 2
"""One row in this many is compared."""


def estimate_motion(video: Tensor) -> Tensor:
    """Motion map, uint8 `[B, t, bh, bw]`, of a segment with its lead.

    video: `[B, T, H, W, 3]`, uint8 or in [-1, 1], its first four frames the lead. A vector leads from the
    last frame before a step to the step's frames, at a steady speed. Each block is tried with all vectors;
    then neighbours that do nearly as well with one vector share it, which costs fewer bits.
    """
    steps = -(-video.shape[1] // PATCH[0])
    bh, bw = (-(-side // block) for side, block in zip(video.shape[2:4], SIDES, strict=True))
    lead = torch.full((len(video), LEAD_STEPS, bh, bw), STILL, dtype=torch.uint8, device=video.device)
    if steps == LEAD_STEPS:
        return lead
    costs = torch.empty((len(video), steps - LEAD_STEPS, bh, bw, VECTORS), device=video.device)
    size = (len(video), steps, MOTION_SIDE * bh, MOTION_SIDE * bw)
    # In float32: what half precision would round away decides between vectors.
    with torch.autocast(video.device.type, enabled=False):
        for run in step_runs(size, video.device, first=LEAD_STEPS):
            for some in _alike(run, video.shape[1]):
                _measure(video, some, costs[:, some.start - LEAD_STEPS : some.stop - LEAD_STEPS])
        return torch.cat([lead, _smooth(costs)], dim=1)


def _alike(run: slice, frames: int) -> list[slice]:
    """Parts of a run whose steps have the same `frame_times` and as many of the `frames` of the segment."""
    edges = (LEAD_STEPS + 1, frames // PATCH[0])
    inside = {edge for edge in edges if run.start < edge < run.stop}
    return [slice(*pair) for pair in pairwise(sorted({run.start, run.stop} | inside))]


def _measure(video: Tensor, steps: slice, costs: Tensor) -> None:
    """Set what each vector costs each block, `[B, t, bh, bw, VECTORS]`, in steps that are alike."""
    times = frame_times(steps.start)

    def each(at: int) -> Tensor:
        """The frame at this place of every step."""
        last = PATCH[0] * (steps.stop - 1) + at
        return _luma(video[:, PATCH[0] * steps.start + at : last + 1 : PATCH[0]])

    last = each(-1)
    shape = last.shape[:2]
    _, height, width = last.flatten(0, 1).shape
    around = F.pad(last.flatten(0, 1)[:, None], (REACH,) * 4, mode="replicate")[:, 0]
    # A last step of fewer frames is judged by those that it has.
    there = video.shape[1] - 1 - PATCH[0] * (steps.stop - 1)
    compared = [
        (each(at).flatten(0, 1)[:, ::_ROWS], times[at]) for at in (min(at, there) for at in _COMPARED)
    ]
    for vector, (down, right) in enumerate(product(DISPLACEMENTS, repeat=2)):
        error: Tensor | None = None
        for frame, time in compared:
            y, x = REACH - round(down * time), REACH - round(right * time)
            part = (around[:, y : y + height : _ROWS, x : x + width] - frame).abs_()
            error = part if error is None else error.add_(part)
        assert error is not None
        mean = F.avg_pool2d(error[:, None], (SIDES[0] // _ROWS, SIDES[1]))[:, 0]
        mean += PRICE * (math.log2(1 + abs(down)) + math.log2(1 + abs(right)))
        costs[..., vector] = mean.view(*shape, *mean.shape[1:])


def _smooth(costs: Tensor) -> Tensor:
    """The cheapest vectors, uint8 `[B, t, bh, bw]`, where those that neighbours have are cheaper."""
    own = costs.argmin(dim=-1)
    chosen = own
    _, steps, bh, bw = own.shape
    # Neighbours do not choose at the same time.
    t, y, x = (torch.arange(side, device=own.device) for side in (steps, bh, bw))
    turns = (t[:, None, None] + y[:, None] + x) % 2
    for turn in list(range(2)) * ROUNDS:
        near = torch.stack(_neighbours(chosen), dim=-1)
        offered = torch.cat([own[..., None], near.clamp_min(0)], dim=-1)
        shared = (offered[..., :, None] == near[..., None, :]).sum(dim=-1)
        price = costs.gather(-1, offered) - SHARED * shared
        better = offered.gather(-1, price.argmin(dim=-1, keepdim=True))[..., 0]
        chosen = torch.where(turns == turn, better, chosen)
    return chosen.to(torch.uint8)


def _neighbours(vectors: Tensor) -> list[Tensor]:
    """Vectors `[B, t, bh, bw]` of the blocks on either side along each axis, -1 beyond the edges.

    Before the first step lies the lead, which is still.
    """
    around = F.pad(vectors, (1,) * 6, value=-1)
    around[:, 0] = STILL
    middle = slice(1, -1)
    return [
        around[:, before, middle, middle] if axis == 0
        else around[:, middle, before, middle] if axis == 1
        else around[:, middle, middle, before]
        for axis in range(3)
        for before in (slice(0, -2), slice(2, None))
    ]  # fmt: skip


def frame_times(step: int) -> tuple[float, ...]:
    """When the frames of a latent step are shown, from the last frame before it on, in units of four frames.

    The step behind the lead begins with the very frame that the lead is a still of.
    """
    first = 0 if step == LEAD_STEPS else 1
    return tuple((first + frame) / PATCH[0] for frame in range(PATCH[0]))


def _luma(frames: Tensor) -> Tensor:
    """`[B, T, H', W']` in [-1, 1], whole blocks."""
    batch, count, height, width, _ = frames.shape
    weights = constant(LUMA_BT601, torch.float32, frames.device)

    def lit(band: slice) -> Tensor:
        rows = pad_video(frames[:, :, pixel_rows(band)], (1, *PATCH[1:]))
        return to_signal(rows).float() @ weights

    bands = row_bands((batch, count, -(-height // PATCH[1]), -(-width // PATCH[2])), frames.device)
    return pad_video(by_bands(lit, bands, axis=2)[..., None], (1, *SIDES))[..., 0]


def displacements(motion: Tensor) -> Tensor:
    """Pixels down and to the right in four frames, float32 `[..., 2]`, of vectors `[...]`."""
    table = constant(DISPLACEMENTS, torch.float32, motion.device)
    numbers = motion.long()
    return torch.stack([table[numbers // len(table)], table[numbers % len(table)]], dim=-1)


def at_positions(blocks: Tensor, h: int, w: int) -> Tensor:
    """What blocks `[B, bh, bw, ...]` have, at each of their positions `[B, h, w, ...]`."""
    rows = torch.arange(h, device=blocks.device) // MOTION_SIDE
    columns = torch.arange(w, device=blocks.device) // MOTION_SIDE
    return blocks[:, rows[:, None], columns]


def compensated(frame: Tensor, motion: Tensor, times: tuple[float, ...], rows: slice) -> Tensor:
    """A frame moved by its blocks' vectors: `[B, len(times), rows, W, 3]` of the picture at these times.

    frame: `[B, H, W, 3]`, uint8 or in [-1, 1]. motion: `[B, bh, bw]`. times: see `frame_times`. rows: of
    pixels, the picture's. Frame and rows are of whole positions.
    Bilinear between pixels; beyond the edges the outermost ones are repeated. Along the edges between blocks
    what the vectors of both sides show is mixed (overlapped block motion compensation, Orchard and Sullivan
    1994, with a window that is flat in the middle).
    """
    still = to_signal(frame[:, rows]).float()
    shown = torch.stack([still] * len(times), dim=1)
    moved = times[1:] if times[0] == 0 else times
    positions = slice(rows.start // PATCH[1], rows.stop // PATCH[1])
    h, w = positions.stop - positions.start, frame.shape[2] // PATCH[2]
    vectors = _vectors_near(motion, positions, w)
    own = vectors[..., :1]
    mixed = (vectors != own).any(dim=-1)
    single = (own[..., 0] != STILL) & ~mixed
    # No vector leads further, and one more row to mix with.
    near = slice(max(0, rows.start - REACH - 1), min(frame.shape[1], rows.stop + REACH + 1))
    moves = _Moves(
        to_signal(frame[:, near]).float().permute(0, 3, 1, 2), vectors, moved, rows.start - near.start,
        positions.start,
    )  # fmt: skip
    # A view: what is put into it is put into `shown`.
    patches = shown[:, len(times) - len(moved) :].view(-1, len(moved), h, PATCH[1], w, PATCH[2], 3)
    if frame.device.type == "cpu":
        _move_some(patches, moves, single, mixed)
    else:
        _move_all(patches, moves, single | mixed)
    return shown


class _Moves(NamedTuple):
    """How some rows of positions are moved."""

    pictures: Tensor
    """`[B, 3, H, W]`"""
    vectors: Tensor
    """`[B, h, w, 4]`, see `_vectors_near`."""
    times: tuple[float, ...]
    top: int
    """The row of the pictures where the positions begin."""
    first: int
    """The first row of positions, counted from the top of the frame."""


def _move_some(patches: Tensor, moves: _Moves, single: Tensor, mixed: Tensor) -> None:
    """Set `patches` `[B, len(times), h, 8, w, 8, 3]` to what is shown there, where something moves.

    single, mixed: bool `[B, h, w]`, positions moved by the first vector, or by all four.
    """
    for each, picture in enumerate(torch.split(moves.pictures, 1)):
        for places, count in ((single[each].nonzero(), 1), (mixed[each].nonzero(), 4)):
            for y, x in (some.unbind(dim=1) for some in torch.split(places, _TOGETHER) if len(some)):
                corners = torch.stack([PATCH[1] * y + moves.top, PATCH[2] * x], dim=-1)
                (seen,) = _patches(picture, corners, moves.vectors[each, y, x, :count][None], moves.times)
                if count > 1:
                    seen = (seen * _shares(moves.first + y, x)).sum(dim=3, keepdim=True)
                patches[each][:, y, :, x] = seen[:, :, :, 0].permute(2, 0, 3, 4, 1)


def _move_all(patches: Tensor, moves: _Moves, moving: Tensor) -> None:
    """The same with all positions alike, for devices that would have to be waited for to pick some.

    moving: bool `[B, h, w]`, positions that do not stay as they are.
    """
    batch, h, w = moving.shape
    rows = max(1, _ALL_TOGETHER // (batch * w))
    for run in (slice(start, min(h, start + rows)) for start in range(0, h, rows)):
        y = torch.arange(run.start, run.stop, device=moving.device).repeat_interleave(w)
        x = torch.arange(w, device=moving.device).repeat(run.stop - run.start)
        corners = torch.stack([PATCH[1] * y + moves.top, PATCH[2] * x], dim=-1)
        seen = _patches(moves.pictures, corners, moves.vectors[:, run].flatten(1, 2), moves.times)
        seen = (seen * _shares(moves.first + y, x)).sum(dim=4)
        seen = seen.view(*seen.shape[:3], -1, w, *PATCH[1:]).permute(0, 1, 3, 5, 4, 6, 2)
        changes = moving[:, None, run, None, :, None, None]
        patches[:, :, run] = torch.where(changes, seen, patches[:, :, run])


def _patches(pictures: Tensor, corners: Tensor, vectors: Tensor, times: tuple[float, ...]) -> Tensor:
    """What each of the vectors `[B, n, v]` shows at each of n positions, `[B, len(times), 3, n, v, 8, 8]`.

    pictures: `[B, 3, H, W]`. corners: row and column of a position's first pixel there, `[n, 2]`.
    """
    # Grid coordinates are x before y and lead from -1 to 1.
    unit = constant((2 / pictures.shape[3], 2 / pictures.shape[2]), torch.float32, pictures.device)
    down, right = (torch.arange(side, device=pictures.device) for side in PATCH[1:])
    inside = torch.stack([right.expand(PATCH[1:]), down[:, None].expand(PATCH[1:])], dim=-1)
    here = (corners.flip(-1)[:, None, None, None] + inside + 0.5) * unit - 1
    moves = (displacements(vectors).flip(-1) * unit)[:, :, :, None, None]
    where = torch.stack([torch.sub(here, moves, alpha=time) for time in times], dim=1)
    # One picture for each time, because threads share out pictures.
    found = F.grid_sample(
        pictures[:, None].expand(-1, len(times), -1, -1, -1).flatten(0, 1),
        where.flatten(0, 1).flatten(1, 2).flatten(2, 3),
        mode="bilinear", padding_mode="border", align_corners=False,
    )  # fmt: skip
    return found.view(len(pictures), len(times), 3, *vectors.shape[1:], *PATCH[1:])


def _vectors_near(motion: Tensor, rows: slice, columns: int) -> Tensor:
    """The vectors that a position's pixels may move by, uint8 `[B, rows, columns, 4]`.

    Those of its block, of the nearest one above or below, of the nearest one to the left or right, and of
    the one next to both; beyond the edges of the picture its own block is the nearest.
    """

    def blocks(positions: Tensor, count: int) -> tuple[Tensor, Tensor]:
        own = positions // MOTION_SIDE
        return own, torch.where(positions % MOTION_SIDE == 0, own - 1, own + 1).clamp(0, count - 1)

    y = torch.arange(rows.start, rows.stop, device=motion.device)
    x = torch.arange(columns, device=motion.device)
    return torch.stack(
        [
            motion[:, row[:, None], column]
            for column in blocks(x, motion.shape[2])
            for row in blocks(y, motion.shape[1])
        ],
        dim=-1,
    )


def _shares(y: Tensor, x: Tensor) -> Tensor:
    """What shares the vectors of `_vectors_near` have of the pixels of positions (y, x), `[n, 4, 8, 8]`."""

    def along(positions: Tensor, size: int) -> Tensor:
        """Of the own block and of the nearest one, `[n, 2, 8]`."""
        from_edge = torch.arange(size, device=positions.device) + 0.5
        other = (0.5 - from_edge / (2 * OVERLAP)).clamp_min(0)
        other = torch.where((positions % MOTION_SIDE == 0)[:, None], other, other.flip(0))
        return torch.stack([1 - other, other], dim=1)

    down, right = along(y, PATCH[1]), along(x, PATCH[2])
    return (right[:, :, None, None, :] * down[:, None, :, :, None]).flatten(1, 2)


def followed(values: Tensor, motion: Tensor, band: slice) -> Tensor:
    """What positions `[B, h, w, D]` hold, moved by `motion` `[B, bh, bw]` to the nearest position.

    Of the rows `band` of positions: `[B, rows, w, D]`.
    """
    batch, h, w, _ = values.shape
    down, right = at_positions(displacements(motion), h, w)[:, band].unbind(dim=-1)
    y = torch.arange(band.start, band.stop, device=values.device)[:, None] - (down / PATCH[1]).round().long()
    x = torch.arange(w, device=values.device) - (right / PATCH[2]).round().long()
    each = torch.arange(batch, device=values.device)[:, None, None]
    return values[each, y.clamp(0, h - 1), x.clamp(0, w - 1)]
