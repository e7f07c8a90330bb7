"""Where the tokens go: error maps and a target rate in, integer keep maps out.

Pure functions of their arguments, in float32 with ties broken by segment and grid order, so that the
same maps give the same tokens everywhere. One multiplier decides within and across segments: every
step (a block's next level, or one more position) has a worth per token, and steps are taken from the
worthiest down until the target is spent. Because all clipping (the floor of one token a block, the
ceiling of all positions) is part of that list, the target is met exactly to within the last step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from infotok_cli.blocks import Grid, block_capacity, block_grid, keep_from_levels, spread_rank
from infotok_cli.routers import AllocationName

STEP_WORTH = (1.0, 0.5, 0.25)
"""Worth per token, relative to a block's error, of going from 1/8 of its positions to 1/4, to 1/2, to all.

That is error per token, the order in which squared error was measured to fall (docs/LOG.md)."""

START_WORTHS = (2.0, 1.4)
"""What tokens in the first and second blocks in time of a segment are worth, relative to those after.

A closed loop begins with nothing, and what its first steps show well the later ones need not say again
(docs/ALLOCATION.md)."""


@dataclass(frozen=True)
class Allocation:
    """Tokens of one segment."""

    keep: NDArray[np.bool_]
    """`[t, h, w]`"""
    levels: NDArray[np.uint8] | None
    """`[bt, bh, bw]` tokens per block, None when single positions were ranked."""

    @property
    def tokens(self) -> int:
        return int(self.keep.sum())


def tokens_at_rate(rate: float | Fraction, positions: int) -> int:
    """Tokens that `rate`, in [0, 1], buys for that many positions: the nearest integer, halves up."""
    return int(Fraction(rate) * positions + Fraction(1, 2))


def least_tokens(grid: Grid, kind: AllocationName) -> int:
    """Fewest tokens that an allocation of that kind gives a segment: one a block, or one in all."""
    steps, rows, columns = block_grid(grid) if kind == "block" else (1, 1, 1)
    return steps * rows * columns


def allocate(
    errors: Sequence[NDArray[np.float32]], kind: AllocationName, rate: float | Fraction
) -> list[Allocation]:
    """`allocate_blocks` or `allocate_positions`; a rate of Fraction(n, positions) asks for n tokens."""
    return allocate_blocks(errors, rate) if kind == "block" else allocate_positions(errors, rate)


def allocate_blocks(errors: Sequence[NDArray[np.float32]], rate: float | Fraction) -> list[Allocation]:
    """Choose a level for every block of every segment.

    errors: maps `[t, h, w]`, non-negative (NaN counts as 0). rate: target average token rate in
    (0, 1]. The tokens of all segments together are the most that do not exceed the target, in whole
    steps of at most 4 tokens; never less than one a block.
    """
    grids = [_grid(error) for error in errors]
    capacities = [block_capacity(grid) for grid in grids]
    worths, costs = [], []
    for error in errors:
        worth, cost = block_steps(error)
        worths.append(worth.ravel())
        costs.append(cost.ravel())
    worth, cost = np.concatenate(worths), np.concatenate(costs)
    # Stable on (segment, doubling, grid order), so a block's doublings stay in their order too.
    order = np.argsort(-worth, kind="stable")
    floor = sum(least_tokens(grid, "block") for grid in grids)
    spent = np.cumsum(cost[order]) + floor
    taken = np.zeros(len(worth), np.uint8)
    taken[order] = (spent <= tokens_at_rate(rate, _positions(grids))) & (cost[order] > 0)
    allocations, offset = [], 0
    for grid, capacity in zip(grids, capacities, strict=True):
        size = capacity.size
        steps = taken[offset : offset + 3 * size].reshape(3, *capacity.shape).sum(axis=0)
        levels = (1 << steps).astype(np.uint8)
        allocations.append(Allocation(keep=keep_from_levels(levels, grid), levels=levels))
        offset += 3 * size
    return allocations


def allocate_blocks_worth(error: NDArray[np.float32], worth: float) -> Allocation:
    """Take every step that is worth at least `worth`, in one segment.

    error: map `[t, h, w]`, non-negative (NaN counts as 0). With 0 everything is kept; with more than any
    step is worth, one token a block.
    """
    worths, costs = block_steps(error)
    steps = ((worths >= worth) & (costs > 0)).sum(axis=0)
    levels = (1 << steps).astype(np.uint8)
    return Allocation(keep=keep_from_levels(levels, _grid(error)), levels=levels)


def allocate_positions(errors: Sequence[NDArray[np.float32]], rate: float | Fraction) -> list[Allocation]:
    """Keep the positions of highest error over all segments (the paper's rule), one at least in each.

    errors: maps `[t, h, w]`, non-negative (NaN counts as 0). rate: target average in (0, 1], met to
    within half a token, or one token a segment where that is more.
    """
    grids = [_grid(error) for error in errors]
    flat = [np.nan_to_num(np.asarray(error, np.float32)).ravel().copy() for error in errors]
    for error in flat:
        error[int(error.argmax())] = np.inf
    worth = np.concatenate(flat)
    count = max(len(flat), tokens_at_rate(rate, _positions(grids)))
    taken = np.zeros(len(worth), np.bool_)
    taken[np.argsort(-worth, kind="stable")[:count]] = True
    parts = np.split(taken, np.cumsum([error.size for error in flat])[:-1])
    return [Allocation(keep=part.reshape(grid), levels=None) for part, grid in zip(parts, grids, strict=True)]


def block_steps(error: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Worth per token and cost in tokens, `[3, bt, bh, bw]`, of each block's doublings in turn.

    A doubling that a cut block does not have is worth -1 and costs 0.
    """
    capacity = block_capacity(_grid(error))
    base = block_means(error) * _start_worths(capacity.shape[0])
    worths = np.full((3, *capacity.shape), -1, np.float32)
    costs = np.zeros((3, *capacity.shape), np.int64)
    for doubling in range(3):
        step = missing_doublings(capacity) + doubling
        exists = step < 3
        worth = base * np.asarray(STEP_WORTH, np.float32)[np.minimum(step, 2)]
        worths[doubling] = np.where(exists, worth, -1)
        costs[doubling] = np.where(exists, 1 << doubling, 0)
    return worths, costs


def _start_worths(steps: int) -> NDArray[np.float32]:
    """`[steps, 1, 1]`: `START_WORTHS` for the first blocks in time, 1 for those after."""
    worths = np.ones((steps, 1, 1), np.float32)
    known = min(steps, len(START_WORTHS))
    worths[:known, 0, 0] = START_WORTHS[:known]
    return worths


def missing_doublings(capacity: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Doublings that blocks of `capacity` positions lack: their one token is 1/n of n positions, not 1/8."""
    missing: NDArray[np.int64] = np.round(np.log2(8 / capacity)).astype(np.int64)
    return missing


def even_map(grid: Grid, kind: AllocationName = "block") -> NDArray[np.float32]:
    """A nearly constant error map whose small differences spread any rate evenly over `grid`.

    With it, an allocation of that kind is the data-agnostic baseline (`--router fixed`). The differences
    are golden-ratio sequences over blocks and inside them; the larger one is over blocks when blocks are
    chosen (too small to reorder levels), inside them when positions are. Starts are worth no more here.
    """
    blocks = block_grid(grid)
    ratio = (5**0.5 - 1) / 2
    over = (np.arange(np.prod(blocks)) * ratio % 1).reshape(blocks)
    for axis in range(3):
        over = np.repeat(over, 2, axis=axis)
    over = over[: grid[0], : grid[1], : grid[2]]
    within = spread_rank(grid) / 8
    small = 0.1 * over + 1e-3 * within if kind == "block" else 0.1 * within + 0.0125 * over
    spread: NDArray[np.float32] = (1 + small).astype(np.float32)
    if kind == "block":
        spread /= np.repeat(_start_worths(blocks[0]), 2, axis=0)[: grid[0]]
    return spread


def _grid(error: NDArray[np.float32]) -> Grid:
    t, h, w = error.shape
    return (t, h, w)


def _positions(grids: Sequence[Grid]) -> int:
    return sum(t * h * w for t, h, w in grids)


def block_means(error: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean error of the positions of each block, `[bt, bh, bw]`; NaN counts as 0."""
    capacity = block_capacity(_grid(error))
    bt, bh, bw = capacity.shape
    padded = np.zeros((2 * bt, 2 * bh, 2 * bw), np.float32)
    t, h, w = error.shape
    padded[:t, :h, :w] = np.nan_to_num(np.asarray(error, np.float32))
    sums = padded.reshape(bt, 2, bh, 2, bw, 2).sum(axis=(1, 3, 5), dtype=np.float32)
    means: NDArray[np.float32] = np.divide(sums, capacity, dtype=np.float32)
    return means
