"""Tensor views of a token grid: patches, 2x2x2 blocks in spread order, ranks of kept tokens."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from infotok_cli.blocks import LEAD_FRAMES, SPREAD_ORDER
from infotok_cli.config import PATCH

CELLS = len(SPREAD_ORDER)
"""Positions in a whole block."""

_ORDER = [4 * t + 2 * y + x for t, y, x in SPREAD_ORDER]
_BACK = sorted(range(CELLS), key=_ORDER.__getitem__)


def pad_video(video: Tensor, multiple: tuple[int, int, int]) -> Tensor:
    """Repeat the last frame, row and column of `[B, T, H, W, 3]` up to multiples of `multiple`."""
    for axis, side in enumerate(multiple, start=1):
        size = video.shape[axis]
        if size % side:
            index = torch.arange(-(-size // side) * side, device=video.device).clamp_max(size - 1)
            video = video.index_select(axis, index)
    return video


def with_lead(video: Tensor) -> Tensor:
    """`[B, T, H, W, 3]` behind its lead: the first frame for one latent step, `[B, 4 + T, H, W, 3]`."""
    return torch.cat([video[:, :1].expand(-1, LEAD_FRAMES, -1, -1, -1), video], dim=1)


def patchify(video: Tensor) -> Tensor:
    """`[B, 4t, 8h, 8w, 3]` to patches `[B, t, h, w, 768]`."""
    batch, frames, height, width, _ = video.shape
    steps, rows, columns = PATCH
    cells = video.reshape(batch, frames // steps, steps, height // rows, rows, width // columns, columns, 3)
    return cells.permute(0, 1, 3, 5, 2, 4, 6, 7).flatten(4)


def patch_values(overlap: int = 0) -> int:
    """Values of a patch that reaches `overlap` pixels over its neighbours: 768 without."""
    return PATCH[0] * (PATCH[1] + 2 * overlap) * (PATCH[2] + 2 * overlap) * 3


def unpatchify(patches: Tensor, overlap: int = 0) -> Tensor:
    """Patches `[B, t, h, w, patch_values(overlap)]` to `[B, 4t, 8h, 8w, 3]`, added up where they overlap.

    What reaches beyond the edge of the grid is cut off.
    """
    batch, t, h, w, _ = patches.shape
    sides = (PATCH[1] + 2 * overlap, PATCH[2] + 2 * overlap)
    cells = patches.reshape(batch, t, h, w, PATCH[0], *sides, 3)
    if overlap:
        cells = _AddMargins.apply(cells, 2, 5, overlap)  # type: ignore[no-untyped-call]
        cells = _AddMargins.apply(cells, 3, 6, overlap)  # type: ignore[no-untyped-call]
    cells = cells.permute(0, 1, 4, 2, 5, 3, 6, 7)
    return cells.reshape(batch, t * PATCH[0], h * PATCH[1], w * PATCH[2], 3)


class _AddMargins(torch.autograd.Function):
    """Add the margins along axis `inside` of patches to their neighbours along axis `over`; drop them.

    With its own gradient, which only copies: torch's for each of the slices would fill, and then add up, a
    tensor of the whole picture.
    """

    @staticmethod
    def forward(ctx: Any, cells: Tensor, over: int, inside: int, margin: int) -> Tensor:
        ctx.axes = over, inside, margin
        side, more = cells.shape[inside] - 2 * margin, cells.shape[over] - 1
        own = cells.narrow(inside, margin, side).clone()
        before = cells.narrow(over, 0, more).narrow(inside, margin + side, margin)
        after = cells.narrow(over, 1, more).narrow(inside, 0, margin)
        own.narrow(over, 1, more).narrow(inside, 0, margin).add_(before)
        own.narrow(over, 0, more).narrow(inside, side - margin, margin).add_(after)
        return own

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = gradients
        over, inside, margin = ctx.axes
        side, more = gradient.shape[inside], gradient.shape[over] - 1
        shape = list(gradient.shape)
        shape[inside] += 2 * margin
        cells = gradient.new_empty(shape)
        cells.narrow(inside, margin, side).copy_(gradient)
        first, last = cells.narrow(inside, 0, margin), cells.narrow(inside, margin + side, margin)
        before, after = gradient.narrow(over, 0, more), gradient.narrow(over, 1, more)
        first.narrow(over, 1, more).copy_(before.narrow(inside, side - margin, margin))
        last.narrow(over, 0, more).copy_(after.narrow(inside, 0, margin))
        # Nothing lies beyond the edges of the grid.
        first.narrow(over, 0, 1).zero_()
        last.narrow(over, more, 1).zero_()
        return cells, None, None, None


def widened(values: Tensor, overlap: int) -> Tensor:
    """Values of patches `[768, ...]` with margins of 0: `[patch_values(overlap), ...]`."""
    inner = values.reshape(*PATCH, 3, -1)
    outer = torch.nn.functional.pad(inner, (0, 0, 0, 0, *(overlap,) * 4))
    return outer.reshape(patch_values(overlap), *values.shape[1:])


def to_blocks(x: Tensor) -> Tensor:
    """`[B, t, h, w, C]` to `[B, bt, bh, bw, 8, C]`, cells in spread order.

    Cells beyond an odd edge are zeros.
    """
    _, t, h, w, _ = x.shape
    x = torch.nn.functional.pad(x, (0, 0, 0, w % 2, 0, h % 2, 0, t % 2))
    batch, t, h, w, channels = x.shape
    cells = x.reshape(batch, t // 2, 2, h // 2, 2, w // 2, 2, channels)
    cells = cells.permute(0, 1, 3, 5, 2, 4, 6, 7).flatten(4, 6)
    return cells[..., _ORDER, :]


def from_blocks(cells: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """Inverse of `to_blocks`: `[B, bt, bh, bw, 8, C]` to `[B, t, h, w, C]`, cut to `grid`."""
    batch, bt, bh, bw, _, channels = cells.shape
    x = cells[..., _BACK, :].reshape(batch, bt, bh, bw, 2, 2, 2, channels)
    x = x.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(batch, 2 * bt, 2 * bh, 2 * bw, channels)
    return x[:, : grid[0], : grid[1], : grid[2]]


AROUND = 8
"""Pixels beyond a patch that its context sees of the last shown frame."""

AROUND_VALUES = 3 * (PATCH[1] + 2 * AROUND) * (PATCH[2] + 2 * AROUND)


def around(frame: Tensor, band: slice) -> Tensor:
    """Pixels of positions of `frame` `[B, 8h, 8w, 3]` and those around them, `[B, rows, w, AROUND_VALUES]`.

    band: the rows of positions that are asked for. Nine patches each, row by row; beyond the edges the
    outermost pixels are repeated.
    """
    batch, height, width, _ = frame.shape
    rows, columns = PATCH[1:]
    first, last = (band.start - 1) * rows, (band.stop + 1) * rows
    within = frame[:, max(0, first) : min(height, last)]
    padded = torch.nn.functional.pad(
        within.permute(0, 3, 1, 2),
        (columns, columns, max(0, -first), max(0, last - height)),
        mode="replicate",
    )
    h, w = band.stop - band.start, width // columns
    cells = padded.reshape(batch, 3, h + 2, rows, w + 2, columns).permute(0, 2, 4, 3, 5, 1).flatten(3)
    return torch.cat([cells[:, y : y + h, x : x + w] for y in range(3) for x in range(3)], dim=-1)


def kept_places(keep: Tensor) -> tuple[Tensor, Tensor]:
    """What each position is told of a keep map, bool `[B, t, h, w]`: two int64 maps of that shape.

    Its rank among the kept positions of its 2x2x2 block (8 where it is not kept), and the block's tokens.
    """
    grid = (keep.shape[1], keep.shape[2], keep.shape[3])
    ranks, counts = kept_ranks(keep)
    cells = torch.stack([ranks, counts[..., None].expand_as(ranks)], dim=-1)
    places = from_blocks(cells, grid)
    return places[..., 0], places[..., 1]


def kept_ranks(keep: Tensor) -> tuple[Tensor, Tensor]:
    """Rank of each kept position among its block's kept ones, and the block's tokens.

    keep: bool `[B, t, h, w]`. Returns ranks `[B, bt, bh, bw, 8]` int64, cells in spread order, 8
    where nothing is kept, and counts `[B, bt, bh, bw]` int64.
    """
    cells = to_blocks(keep[..., None].to(torch.int64))[..., 0]
    ranks = cells.cumsum(dim=-1) - 1
    return torch.where(cells > 0, ranks, CELLS), cells.sum(dim=-1)
