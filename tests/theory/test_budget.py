"""docs/THEORY.md, section 4: when the budget rule is optimal, what clipping costs, and how to solve it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from infotok_cli.allocation.allocate import START_WORTHS, allocate_blocks, allocate_positions
from infotok_cli.blocks import block_capacity

LOWEST, HIGHEST = 1 / 16, 1.0

Vector = NDArray[np.float64]

Fall = Callable[[float, Vector], Vector]
"""Squared error of a clip by the size of its error and its tokens."""


def clipped_mean(multiplier: float, spread: float, lowest: float = LOWEST, highest: float = HIGHEST) -> float:
    """E[clip(multiplier u, lowest, highest)] for a log-normal u of mean 1, `spread` that of its logarithm.

    From the partial expectation E[u; a < u < b] = Phi((ln b - s^2/2) / s) - Phi((ln a - s^2/2) / s).
    """

    def phi(z: float) -> float:
        return 0.5 * (1 + math.erf(z / math.sqrt(2)))

    def below(u: float) -> float:
        return (math.log(u) + spread**2 / 2) / spread

    low, high = below(lowest / multiplier), below(highest / multiplier)
    inside = multiplier * (phi(high - spread) - phi(low - spread))
    return lowest * phi(low) + inside + highest * (1 - phi(high))


def solved(target: float, spread: float) -> float:
    """The multiplier whose clipped mean is the target, by bisection."""
    low, high = 1e-6, 1e6
    for _ in range(200):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if clipped_mean(middle, spread) < target else (low, middle)
    return high


def errors(spread: float, count: int = 400_000) -> Vector:
    logs = np.random.default_rng(0).normal(-(spread**2) / 2, spread, count)
    return np.exp(logs)


@pytest.mark.parametrize("spread", [0.3, 0.5, 1.0])
def test_only_the_limits_keep_the_rule_from_its_budget(spread: float) -> None:
    """As they move away the mean rises or falls to what was asked for; each of the two pulls its own way."""
    far = [clipped_mean(0.75, spread, LOWEST / scale, HIGHEST * scale) for scale in (1, 2, 4, 1e4)]
    assert far == sorted(far)
    assert far[0] < 0.74
    assert far[-1] == pytest.approx(0.75, abs=1e-6)
    assert clipped_mean(0.75, spread, LOWEST, 1e4) >= 0.75 >= clipped_mean(0.75, spread, 1e-9, HIGHEST)


@pytest.mark.parametrize("spread", [0.3, 0.5, 1.0])
@pytest.mark.parametrize("target", [0.25, 0.5, 0.75])
def test_naive_clipping_misses_and_solving_again_meets(target: float, spread: float) -> None:
    found = errors(spread)
    naive = np.clip(target * found / found.mean(), LOWEST, HIGHEST).mean()
    assert clipped_mean(target, spread) == pytest.approx(naive, abs=2e-3)
    multiplier = solved(target, spread)
    assert clipped_mean(multiplier, spread) == pytest.approx(target, abs=1e-9)
    assert np.clip(multiplier * found, LOWEST, HIGHEST).mean() == pytest.approx(target, abs=3e-3)


def test_the_page_shows_these_numbers(page: str) -> None:
    for spread in (0.3, 0.5, 1.0):
        cells = [f"{spread:g}", *(f"{clipped_mean(target, spread):.3f}" for target in (0.25, 0.5, 0.75))]
        assert f"| {' | '.join(cells)} | {solved(0.75, spread):.3f} |" in page
    assert f"At s = 0.48 a target of 0.75 realises {clipped_mean(0.75, 0.48):.2f}." in page


def test_the_codec_meets_the_target_that_naive_clipping_misses() -> None:
    random = np.random.default_rng(1)
    maps = [
        (np.exp(random.normal(0, 0.5)) * np.exp(random.normal(0, 0.7, (4, 16, 16)))).astype(np.float32)
        for _ in range(6)
    ]
    positions = sum(error.size for error in maps)
    for target in (0.25, 0.5, 0.75):
        for allocate, step in ((allocate_blocks, 4), (allocate_positions, 1)):
            tokens = sum(allocation.tokens for allocation in allocate(maps, target))
            assert abs(tokens - target * positions) <= step
    naive = np.clip(0.75 * np.concatenate([e.ravel() for e in maps]) / np.mean(maps), LOWEST, 1).mean()
    assert naive < 0.70


def test_error_per_token_is_the_proportional_rule_in_powers_of_two() -> None:
    """Steps in the order of e / n, as the codec takes them, give n in (e / mu, 2 e / mu] between clips.

    e: a block's error, times what tokens are worth there: more in the first two blocks of a segment.
    """
    error = np.exp(np.random.default_rng(2).normal(0, 1, (4, 8, 8))).astype(np.float32)
    for axis in range(3):
        error = np.repeat(error, 2, axis=axis)
    (allocation,) = allocate_blocks([error], 0.5)
    assert allocation.levels is not None
    assert (block_capacity((8, 16, 16)) == 8).all()
    by_block = error[::2, ::2, ::2].copy()
    for place, worth in enumerate(START_WORTHS):
        by_block[place] *= worth
    block_error = by_block.ravel()
    levels = allocation.levels.ravel().astype(int)
    free = (levels > 1) & (levels < 8)
    assert free.sum() > 30
    # One multiplier for all of them: the intervals for mu have a common point.
    lowest, highest = (block_error / levels)[free].max(), (2 * block_error / levels)[free].min()
    assert lowest <= highest * (1 + 1e-6)
    assert (block_error[levels == 8] / 4 >= lowest * (1 - 1e-6)).all()
    assert (block_error[levels == 1] <= highest * (1 + 1e-6)).all()


def best_split(strengths: tuple[float, float], total: float, fall: Fall) -> tuple[float, float]:
    """The two budgets of least summed squared error, by trying many."""
    shares = np.linspace(0.001, 0.999, 99_801) * total
    summed = fall(strengths[0], shares) + fall(strengths[1], total - shares)
    best = float(shares[summed.argmin()])
    return best, total - best


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_proportional_budgets_are_optimal_where_error_falls_as_one_over_tokens(power: float) -> None:
    """D = s^2 / N^k is least at N in proportion to s^(2 / (k + 1))."""
    strengths = (1.0, 3.0)
    first, second = best_split(strengths, 100.0, lambda s, n: s**2 / n**power)
    assert second / first == pytest.approx(3 ** (2 / (power + 1)), rel=1e-3)
    assert (second / first == pytest.approx(3, rel=1e-2)) == (power == 1.0)


def test_budgets_differ_by_a_logarithm_where_error_falls_exponentially() -> None:
    """D = s^2 4^(-N / m): the Gaussian rate-distortion function of m values, N bits."""
    values = 10.0
    first, second = best_split((1.0, 3.0), 100.0, lambda s, n: s**2 * 4.0 ** (-n / values))
    assert second - first == pytest.approx(values * math.log2(3), abs=0.01)


def test_exponents_measured_for_blocks_are_near_the_proportional_rule(page: str) -> None:
    """Gains of e^2.2 to e^2.8, each doubling worth a fifth of the one before (docs/LOG.md)."""
    power = math.log2(5) - 1
    exponents = [gain / (power + 1) for gain in (2.2, 2.8)]
    assert f"so k is {power:.2f}, and" in page
    assert "in proportion to e^{:.2f} to e^{:.2f}.".format(*exponents) in page
    # The power law behind it: gain per token of a doubling falls by 2^(k + 1).
    gains = [(n**-power - (2 * n) ** -power) / n for n in (1, 2, 4)]
    assert gains[0] / gains[1] == pytest.approx(5)
    assert gains[1] / gains[2] == pytest.approx(5)
