"""Motion of video: found by the encoder in the source, and followed on both sides of the loop."""

from __future__ import annotations

import math
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from infotok_cli.blocks import LEAD_STEPS
from infotok_cli.config import PATCH
from infotok_cli.model.bands import by_bands, pixel_rows, row_bands, step_runs
from infotok_cli.model.grid import pad_video
from infotok_cli.model.pixels import to_signal
from infotok_cli.motion import DISPLACEMENTS, MOTION_SIDE, STILL, VECTORS

SIDES = (MOTION_SIDE * PATCH[1], MOTION_SIDE * PATCH[2])
"""Rows and columns of pixels of a block of one vector."""

REACH = max(DISPLACEMENTS)

OVERLAP = 6
"""Pixels on either side of an edge between blocks where what their vectors show is mixed."""

PRICE = 0.003
"""Added to a vector's error (of two frames, on the [-1, 1] scale) for each octave of its displacements."""

SHARED = 0.006
"""What it is worth, in the same unit, to have the vector of a neighbour in space or time."""

ROUNDS = 2
"""Times that blocks look at their neighbours' vectors."""

_LUMA = (0.299, 0.587, 0.114)

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
            for some in _alike(run):
                _measure(video, some, costs[:, some.start - LEAD_STEPS : some.stop - LEAD_STEPS])
        return torch.cat([lead, _smooth(costs)], dim=1)


def _alike(run: slice) -> list[slice]:
    """The steps of a run that have the same `frame_times`."""
    if run.start == LEAD_STEPS and run.stop > LEAD_STEPS + 1:
        return [slice(LEAD_STEPS, LEAD_STEPS + 1), slice(LEAD_STEPS + 1, run.stop)]
    return [run]


def _measure(video: Tensor, steps: slice, costs: Tensor) -> None:
    """Set what each vector costs each block, `[B, t, bh, bw, VECTORS]`, in steps that are alike."""
    times = frame_times(steps.start)
    end = video.shape[1] - 1
    first = range(PATCH[0] * steps.start, PATCH[0] * steps.stop, PATCH[0])
    last = _luma(video[:, [frame - 1 for frame in first]])
    shape = last.shape[:2]
    _, height, width = last.flatten(0, 1).shape
    around = F.pad(last.flatten(0, 1)[:, None], (REACH,) * 4, mode="replicate")[:, 0]
    compared = [
        # The last frame is repeated.
        (_luma(video[:, [min(frame + at, end) for frame in first]]).flatten(0, 1)[:, ::_ROWS], times[at])
        for at in _COMPARED
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
    turns = (torch.arange(steps)[:, None, None] + torch.arange(bh)[:, None] + torch.arange(bw)) % 2
    for turn in list(range(2)) * ROUNDS:
        near = torch.stack(_neighbours(chosen), dim=-1)
        offered = torch.cat([own[..., None], near.clamp_min(0)], dim=-1)
        shared = (offered[..., :, None] == near[..., None, :]).sum(dim=-1)
        price = costs.gather(-1, offered) - SHARED * shared
        better = offered.gather(-1, price.argmin(dim=-1, keepdim=True))[..., 0]
        chosen = torch.where(turns.to(chosen.device) == turn, better, chosen)
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
    weights = torch.tensor(_LUMA, device=frames.device)

    def lit(band: slice) -> Tensor:
        rows = pad_video(frames[:, :, pixel_rows(band)], (1, *PATCH[1:]))
        return to_signal(rows).float() @ weights

    bands = row_bands((batch, count, -(-height // PATCH[1]), -(-width // PATCH[2])), frames.device)
    return pad_video(by_bands(lit, bands, axis=2)[..., None], (1, *SIDES))[..., 0]


def displacements(motion: Tensor) -> Tensor:
    """Pixels down and to the right in four frames, float32 `[..., 2]`, of vectors `[...]`."""
    table = torch.tensor(DISPLACEMENTS, dtype=torch.float32, device=motion.device)
    numbers = motion.long()
    return torch.stack([table[numbers // len(table)], table[numbers % len(table)]], dim=-1)


def at_positions(blocks: Tensor, h: int, w: int) -> Tensor:
    """What blocks `[B, bh, bw, ...]` have, at each of their positions `[B, h, w, ...]`."""
    rows = torch.arange(h, device=blocks.device) // MOTION_SIDE
    columns = torch.arange(w, device=blocks.device) // MOTION_SIDE
    return blocks[:, rows[:, None], columns]


def compensated(frame: Tensor, motion: Tensor, times: tuple[float, ...], rows: slice) -> Tensor:
    """A frame moved by its blocks' vectors: `[B, len(times), rows, W, 3]` of the picture at these times.

    frame: `[B, H, W, 3]`, uint8 or in [-1, 1]. motion: `[B, bh, bw]`. rows: of pixels, the picture's.
    Bilinear between pixels; beyond the edges the outermost ones are repeated. Along the edges between blocks
    what the vectors of both sides show is mixed (overlapped block motion compensation, Orchard and Sullivan
    1994, with a window that is flat in the middle).
    """
    _, height, width, _ = frame.shape
    # No vector leads further, and one more row to mix with.
    near = slice(max(0, rows.start - REACH - 1), min(height, rows.stop + REACH + 1))
    pictures = to_signal(frame[:, near]).float().permute(0, 3, 1, 2)
    y = torch.arange(rows.start, rows.stop, device=frame.device)
    x = torch.arange(width, device=frame.device)

    def taken(pictures: Tensor, y: Tensor, x: Tensor, moves: Tensor) -> Tensor:
        """What is shown `[B, r, c, 3]` at rows and columns that `moves` `[B, r, c, 2]` lead to."""
        across = (x + 0.5 - moves[..., 1]) * (2 / width) - 1
        down = (y + 0.5 - near.start - moves[..., 0]) * (2 / (near.stop - near.start)) - 1
        where = torch.stack([across, down], dim=-1)
        found = F.grid_sample(pictures, where, mode="bilinear", padding_mode="border", align_corners=False)
        return found.permute(0, 2, 3, 1)

    row, next_row, next_rows_share = _blocks_near(y, motion.shape[1], SIDES[0])
    column, next_column, next_columns_share = _blocks_near(x, motion.shape[2], SIDES[1])
    own = motion[:, row[:, None], column]
    vectors = displacements(own)
    still = to_signal(frame[:, rows]).float()
    shown = torch.stack(
        [taken(pictures, y[:, None], x, vectors * time) if time else still for time in times], dim=1
    )
    # The next block up or down, the next one to the left or right, and the one next to both: [3, rows, W].
    others = torch.stack([
        motion[:, next_row[:, None], column],
        motion[:, row[:, None], next_column],
        motion[:, next_row[:, None], next_column],
    ], dim=1)  # fmt: skip
    shares = torch.stack([
        next_rows_share[:, None] * (1 - next_columns_share),
        (1 - next_rows_share[:, None]) * next_columns_share,
        next_rows_share[:, None] * next_columns_share,
    ])  # fmt: skip
    for each in range(len(frame)):
        mixed = ((others[each] != own[each]) & (shares > 0)).nonzero(as_tuple=True)
        _, r, c = mixed
        if not len(r):
            continue
        share = shares[mixed][:, None]
        vectors = displacements(others[each][mixed])[None, None]
        for number, time in enumerate(times):
            if time:
                picture = shown[each, number]
                theirs = taken(pictures[each : each + 1], y[r], x[c], vectors * time)[0, 0]
                picture.index_put_((r, c), share * (theirs - picture[r, c]), accumulate=True)
    return shown


def _blocks_near(pixels: Tensor, count: int, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of pixels along an axis: their blocks, the blocks next to them, and what share those have of a mixture.

    At the edge of the picture the next block is the pixel's own.
    """
    own, place = pixels // side, pixels % side
    before = 2 * place < side
    following = torch.where(before, own - 1, own + 1).clamp(0, count - 1)
    depth = torch.where(before, place, side - 1 - place) + 0.5
    return own, following, (0.5 - depth / (2 * OVERLAP)).clamp_min(0)


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
