"""Geometry shared by allocation, keep-map coding and the model: grids, 2x2x2 blocks, prefixes.

A token grid is `[t, h, w]`. Its first latent step is the segment's lead: the first frame as a still, which
gives the loop something to begin with and is not shown. Each other step is four frames.

A block is 2x2x2 neighbouring positions; at odd edges it is cut, so a block holds 1, 2, 4 or 8 positions.
Its level is the number of tokens it gets: a power of two, at least 1, at most its positions. A level keeps
the first positions of `SPREAD_ORDER` that exist.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from infotok_cli.config import PATCH

Grid = tuple[int, int, int]

BLOCK: Grid = (2, 2, 2)

SPREAD_ORDER: tuple[Grid, ...] = (
    (0, 0, 0), (1, 1, 1), (1, 0, 1), (0, 1, 0), (1, 1, 0), (0, 0, 1), (0, 1, 1), (1, 0, 0),
)  # fmt: skip
"""Positions (t, y, x) inside a block in the order they are kept: far corners first, nested."""


LEAD_STEPS = 1
"""Latent steps at the start of a segment that show nothing."""

LEAD_FRAMES = LEAD_STEPS * PATCH[0]
"""Frames that the model is given of a segment's lead."""


def token_grid(frames: int, height: int, width: int) -> Grid:
    """Grid `[t, h, w]` of a segment of `frames` frames of `height` x `width` pixels."""
    return (LEAD_STEPS + -(-frames // PATCH[0]), -(-height // PATCH[1]), -(-width // PATCH[2]))


def frames_of_steps(steps: int) -> int:
    """Most frames that the first `steps` latent steps of a segment show."""
    return max(0, steps - LEAD_STEPS) * PATCH[0]


def whole_block_frames(frames: int) -> int:
    """The most frames, up to `frames` but 4 at least, whose latent steps fill blocks."""
    pair = BLOCK[0] * PATCH[0]
    return max(
        pair - LEAD_STEPS * PATCH[0], (frames + LEAD_STEPS * PATCH[0]) // pair * pair - LEAD_STEPS * PATCH[0]
    )


def step_of_frame(frames: NDArray[np.int64]) -> NDArray[np.int64]:
    """Latent steps that show these frames of a segment, counted from its first coded one."""
    return LEAD_STEPS + frames // PATCH[0]


def block_grid(grid: Grid) -> Grid:
    """Number of blocks along each axis of a token grid."""
    return (-(-grid[0] // 2), -(-grid[1] // 2), -(-grid[2] // 2))


def block_capacity(grid: Grid) -> NDArray[np.uint8]:
    """Positions in each block, `[bt, bh, bw]`: 8 inside, 4, 2 or 1 at odd edges."""
    spans = [np.minimum(2, n - 2 * np.arange(-(-n // 2))) for n in grid]
    capacity = spans[0][:, None, None] * spans[1][None, :, None] * spans[2][None, None, :]
    return capacity.astype(np.uint8)


def spread_rank(grid: Grid) -> NDArray[np.uint8]:
    """Rank of each position `[t, h, w]` among the existing positions of its block, 0 first."""
    # Along each axis: 0 and 1 in a whole block, 2 in one that the edge cuts to a single position.
    t, y, x = (np.where(np.arange(n) == n - n % 2, 2, np.arange(n) % 2) for n in grid)
    return _RANKS[t[:, None, None], y[None, :, None], x]


def _ranks() -> NDArray[np.uint8]:
    """`[3, 3, 3]`: rank of a place in its block; 2 stands for 0 along an axis that the block is cut along."""
    ranks = np.zeros((3, 3, 3), np.uint8)
    for place in np.ndindex(ranks.shape):
        cut = [at == 2 for at in place]
        corner = tuple(at % 2 for at in place)
        existing = [
            c for c in SPREAD_ORDER if not any(is_cut and at for is_cut, at in zip(cut, c, strict=True))
        ]
        ranks[place] = existing.index(corner)
    return ranks


_RANKS = _ranks()


def keep_from_levels(levels: NDArray[np.uint8], grid: Grid) -> NDArray[np.bool_]:
    """Keep map `[t, h, w]` of block levels `[bt, bh, bw]` (tokens in each block)."""
    spread = levels
    for axis in range(3):
        spread = np.repeat(spread, 2, axis=axis)
    keep: NDArray[np.bool_] = spread_rank(grid) < spread[: grid[0], : grid[1], : grid[2]]
    return keep


def shortest_prefix(positions: int) -> int:
    """Fewest tokens of a segment whose tail is dropped: a sixteenth of its positions, one at least."""
    return -(-positions // 16)


def keep_from_prefix(tokens: int, grid: Grid) -> NDArray[np.bool_]:
    """Keep map `[t, h, w]` of the first `tokens` positions in grid order."""
    return (np.arange(grid[0] * grid[1] * grid[2]) < tokens).reshape(grid)


def block_levels(keep: NDArray[np.bool_]) -> NDArray[np.uint8] | None:
    """Levels `[bt, bh, bw]` whose keep map `[t, h, w]` this is, or None when no levels give it."""
    t, h, w = keep.shape
    bt, bh, bw = block_grid((t, h, w))
    padded = np.zeros((2 * bt, 2 * bh, 2 * bw), np.uint8)
    padded[:t, :h, :w] = keep
    levels = padded.reshape(bt, 2, bh, 2, bw, 2).sum(axis=(1, 3, 5), dtype=np.uint8)
    if not np.isin(levels, (1, 2, 4, 8)).all():
        return None
    return levels if np.array_equal(keep_from_levels(levels, (t, h, w)), keep) else None
