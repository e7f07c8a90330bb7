"""Allocation: exact, pure, and on target whatever the maps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from infotok_cli.allocation.allocate import (
    START_WORTHS,
    allocate_blocks,
    allocate_positions,
    block_steps,
    even_map,
)
from infotok_cli.blocks import block_capacity, keep_from_levels

Maps = list[NDArray[np.float32]]

GRIDS = st.tuples(st.integers(1, 8), st.integers(1, 9), st.integers(1, 9))
WHOLE_GRIDS = st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5)).map(
    lambda grid: (2 * grid[0], 2 * grid[1], 2 * grid[2])
)
RATES = st.floats(0.125, 1)


@st.composite
def maps(draw: st.DrawFn, grids: st.SearchStrategy[tuple[int, int, int]]) -> Maps:
    """Maps of one video: random, flat, tied, huge, tiny, with zeros and NaN."""
    grid = draw(grids)
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["gamma", "flat", "tied", "wild"]))
    made = []
    for _ in range(draw(st.integers(1, 5))):
        if kind == "gamma":
            values = random.gamma(0.5, 1.0, grid)
        elif kind == "flat":
            values = np.full(grid, float(random.random()))
        elif kind == "tied":
            values = random.integers(0, 3, grid) / 2
        else:
            values = 10.0 ** random.uniform(-30, 12, grid)
            values[random.random(grid) < 0.1] = np.nan
        made.append(values.astype(np.float32))
    return made


@given(maps(WHOLE_GRIDS), RATES)
@settings(max_examples=150, deadline=None)
def test_blocks_meet_the_rate_within_one_step(errors: Maps, rate: float) -> None:
    allocations = allocate_blocks(errors, rate)
    positions = sum(error.size for error in errors)
    tokens = sum(allocation.tokens for allocation in allocations)
    largest_step = 4
    assert rate * positions - largest_step <= tokens <= rate * positions + 0.5


@given(maps(GRIDS), RATES)
@settings(max_examples=150, deadline=None)
def test_blocks_are_legal_on_any_grid(errors: Maps, rate: float) -> None:
    allocations = allocate_blocks(errors, rate)
    positions = sum(error.size for error in errors)
    tokens = sum(allocation.tokens for allocation in allocations)
    floor = 0
    for error, allocation in zip(errors, allocations, strict=True):
        grid = error.shape
        assert len(grid) == 3
        levels = allocation.levels
        assert levels is not None
        capacity = block_capacity(grid)
        floor += capacity.size
        assert (levels >= 1).all()
        assert (levels <= capacity).all()
        assert set(np.unique(levels)) <= {1, 2, 4, 8}
        assert np.array_equal(allocation.keep, keep_from_levels(levels, grid))
        assert allocation.tokens == int(levels.sum())
    # Cut blocks make the floor of one token a block dearer than 1/8; it wins over the target.
    assert floor <= tokens <= max(floor, rate * positions + 0.5)
    assert tokens >= min(positions, rate * positions - 4) or tokens == floor


@given(maps(GRIDS), RATES)
@settings(max_examples=150, deadline=None)
def test_positions_meet_the_rate_exactly(errors: Maps, rate: float) -> None:
    allocations = allocate_positions(errors, rate)
    positions = sum(error.size for error in errors)
    tokens = sum(allocation.tokens for allocation in allocations)
    assert abs(tokens - rate * positions) <= 0.5 or tokens == len(errors)
    assert all(allocation.tokens >= 1 for allocation in allocations)


@given(maps(GRIDS), RATES)
@settings(max_examples=50, deadline=None)
def test_pure_and_repeatable(errors: Maps, rate: float) -> None:
    before = [error.copy() for error in errors]
    for allocate in (allocate_blocks, allocate_positions):
        first, second = allocate(errors, rate), allocate(errors, rate)
        assert all(np.array_equal(a.keep, b.keep) for a, b in zip(first, second, strict=True))
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(before, errors, strict=True))


def test_more_error_never_gets_fewer_tokens_in_the_same_place() -> None:
    """Nor over all places, once what a start is worth is counted in."""
    random = np.random.default_rng(3)
    errors = [random.gamma(1, 1, (8, 8, 8)).astype(np.float32) for _ in range(3)]
    allocations = allocate_blocks(errors, 0.4)
    places = np.array([*START_WORTHS, 1, 1])[:, None, None]
    means, levels = [], []
    for error, allocation in zip(errors, allocations, strict=True):
        assert allocation.levels is not None
        means.append((error.reshape(4, 2, 4, 2, 4, 2).mean(axis=(1, 3, 5)) * places).ravel())
        levels.append(allocation.levels.ravel())
    order = np.argsort(np.concatenate(means))
    assert (np.diff(np.concatenate(levels)[order].astype(int)) >= 0).all()


def test_a_still_segment_pays_for_a_busy_one() -> None:
    still, busy = np.full((4, 8, 8), 0.01, np.float32), np.full((4, 8, 8), 0.3, np.float32)
    first, second = allocate_blocks([still, busy], 0.5)
    assert first.tokens == 32
    assert second.tokens == 224
    assert first.tokens + second.tokens == 256


@pytest.mark.parametrize("rate", [0.125, 0.3, 0.5, 0.75, 1.0])
def test_even_map_spreads_tokens_evenly(rate: float) -> None:
    grid = (4, 16, 24)
    (blocks,) = allocate_blocks([even_map(grid)], rate)
    assert blocks.levels is not None
    assert len(np.unique(blocks.levels)) <= 2
    for half in (blocks.keep[:2], blocks.keep[2:], blocks.keep[:, :8], blocks.keep[..., 12:]):
        assert abs(half.mean() - rate) < 0.02
    (positions,) = allocate_positions([even_map(grid, "position")], rate)
    assert abs(positions.keep[:, :8].mean() - rate) < 0.05
    per_block = positions.keep.reshape(2, 2, 8, 2, 12, 2).sum(axis=(1, 3, 5))
    assert per_block.max() - per_block.min() <= 1
    assert abs(per_block.mean() - 8 * rate) < 0.05


def test_starts_of_segments_get_more_for_the_same_error_and_ends_do_not() -> None:
    error = np.full((16, 16, 16), 0.1) * np.random.default_rng(0).lognormal(0, 0.4, (16, 16, 16))

    def tokens(error: NDArray[np.float64]) -> NDArray[np.int64]:
        (allocation,) = allocate_blocks([error.astype(np.float32)], 0.4)
        by_time: NDArray[np.int64] = allocation.keep.reshape(8, -1).sum(axis=1)
        return by_time

    plain = tokens(error)
    assert plain[0] > 1.15 * plain[1] > 1.15 * 1.15 * plain[2:].max()
    assert abs(plain[-1] / plain[2:-1].mean() - 1) < 0.1
    evened = error.copy()
    for block, worth in enumerate(START_WORTHS):
        evened[2 * block : 2 * block + 2] /= worth
    assert abs(tokens(evened) / tokens(evened).mean() - 1).max() < 0.1


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 16])
def test_a_block_gets_what_its_error_times_the_worth_of_its_place_deserves(steps: int) -> None:
    """Only the first two blocks in time count for more, however long the segment is."""
    error = np.random.default_rng(steps).gamma(2, 0.1, (steps, 6, 8)).astype(np.float32)
    worths, costs = block_steps(error)
    blocks = -(-steps // 2)
    places = [*START_WORTHS, *[1.0] * blocks][:blocks]
    means = np.stack([error[2 * b : 2 * b + 2].mean(axis=0) for b in range(blocks)])
    means = means.reshape(blocks, 3, 2, 4, 2).mean(axis=(2, 4))
    expected = means * np.array(places)[:, None, None]
    whole = slice(0, steps // 2)
    for doubling, share in enumerate((1, 0.5, 0.25)):
        np.testing.assert_allclose(worths[doubling, whole], share * expected[whole], rtol=1e-5)
    assert (costs[:, whole] == np.array([1, 2, 4])[:, None, None, None]).all()
    if steps % 2:
        # A block that is cut in time has a doubling less, and begins with the second.
        np.testing.assert_allclose(worths[0, -1], 0.5 * expected[-1], rtol=1e-5)
        assert (costs[2, -1] == 0).all()


@pytest.mark.parametrize("steps", [2, 4, 6, 16])
@pytest.mark.parametrize("rate", [0.3, 0.5, 0.8])
def test_even_maps_are_even_over_time(steps: int, rate: float) -> None:
    (allocation,) = allocate_blocks([even_map((steps, 8, 10))], rate)
    tokens = allocation.keep.reshape(steps // 2, -1).sum(axis=1)
    assert tokens.max() - tokens.min() <= 8
