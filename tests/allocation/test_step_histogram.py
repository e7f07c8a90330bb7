"""A histogram finds the multiplier that allocation over all maps at once would find."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from infotok_cli.allocation.allocate import allocate
from infotok_cli.allocation.step_histogram import StepHistogram
from infotok_cli.routers import AllocationName

GRID = (5, 9, 7)


def maps(seed: int, count: int) -> list[NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    scales = 10.0 ** random.uniform(-3, 0, count)
    return [(scale * random.gamma(1, 1, GRID)).astype(np.float32) for scale in scales]


@pytest.mark.parametrize("kind", ["block", "position"])
@pytest.mark.parametrize("rate", [0.25, 0.4, 0.77])
def test_parts_take_what_they_would_take_together(kind: AllocationName, rate: float, fresh_seed: int) -> None:
    errors = maps(fresh_seed, 12)
    positions = sum(error.size for error in errors)
    tokens = round(rate * positions)
    together = StepHistogram(kind)
    together.add(errors)
    assert together.positions == positions
    cut = together.cut_for(tokens)
    assert abs(together.tokens_at(cut) - tokens) <= 1
    exact = [chosen.tokens for chosen in allocate(errors, kind, Fraction(tokens, positions))]
    for error, expected in zip(errors, exact, strict=True):
        alone = StepHistogram(kind)
        alone.add([error])
        # Worths in the bin of the cut, 1/128 wide, are shared out evenly.
        assert abs(alone.tokens_at(cut) - expected) <= 0.02 * GRID[0] * GRID[1] * GRID[2] + 4


def test_limits(fresh_seed: int) -> None:
    errors = [*maps(fresh_seed, 2), np.full(GRID, np.nan, np.float32), np.zeros(GRID, np.float32)]
    histogram = StepHistogram("block")
    histogram.add(errors)
    assert histogram.tokens_at(histogram.cut_for(0)) == histogram.floor == 4 * 3 * 5 * 4
    assert histogram.tokens_at(histogram.cut_for(10**9)) == histogram.positions == 4 * 5 * 9 * 7


def test_what_is_subtracted_is_gone(fresh_seed: int) -> None:
    first, second = maps(fresh_seed, 2)
    both, one, other = (StepHistogram("block") for _ in range(3))
    both.add([first, second])
    one.add([first])
    other.add([second])
    both.subtract(one)
    for tokens in (70, 120, 260):
        assert both.cut_for(tokens) == other.cut_for(tokens)
    assert (both.floor, both.positions) == (other.floor, other.positions)
