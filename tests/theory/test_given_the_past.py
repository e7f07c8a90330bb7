"""Section 6: what is new in a step, loops that are closed and open, and what early tokens are worth."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray

STEP = 0.1
"""Of the quantizer, for values of unit variance: fine."""


def entropy(symbols: NDArray[np.float64]) -> float:
    """Bits a symbol, each coded by its own frequency."""
    _, counts = np.unique(symbols, return_counts=True)
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


def sequence(correlation: float, count: int = 60_000) -> NDArray[np.float64]:
    """Values of unit variance of which each follows the one before."""
    news = np.random.default_rng(0).normal(0, math.sqrt(1 - correlation**2), count)
    values = np.zeros(count)
    for t in range(1, count):
        values[t] = correlation * values[t - 1] + news[t]
    return values


def looped(values: NDArray[np.float64], correlation: float, *, closed: bool) -> tuple[float, float]:
    """Bits a value, and squared error in units of the quantizer's own, of coding differences."""
    shown, symbols = np.zeros_like(values), np.zeros_like(values)
    for t in range(1, len(values)):
        past = shown[t - 1] if closed else values[t - 1]
        symbols[t] = round((values[t] - correlation * past) / STEP)
        shown[t] = correlation * shown[t - 1] + STEP * symbols[t]
    return entropy(symbols), float(np.square(shown - values).mean()) / (STEP**2 / 12)


@pytest.mark.parametrize("correlation", [0.9, 0.95])
def test_a_closed_loop_saves_the_past_and_an_open_one_adds_up_its_errors(
    correlation: float, page: str
) -> None:
    values = sequence(correlation)
    alone = entropy(np.round(values / STEP))
    saved, growth = -0.5 * math.log2(1 - correlation**2), 1 / (1 - correlation**2)
    assert f"| {correlation:g} | {saved:.2f} | 1 | {growth:.1f} |" in page
    bits, error = looped(values, correlation, closed=True)
    assert alone - bits == pytest.approx(saved, abs=0.03)
    assert error == pytest.approx(1, abs=0.03)
    bits, error = looped(values, correlation, closed=False)
    assert alone - bits == pytest.approx(saved, abs=0.03)
    assert error == pytest.approx(growth, rel=0.1)


def test_what_is_new_in_a_bit_that_mostly_stays(page: str) -> None:
    """The chain rule, on all sequences of four."""
    stays = 0.9
    chances = []
    for bits in itertools.product((0, 1), repeat=4):
        same = sum(first == second for first, second in itertools.pairwise(bits))
        chances.append(0.5 * stays**same * (1 - stays) ** (3 - same))
    whole = -sum(chance * math.log2(chance) for chance in chances)
    new = -stays * math.log2(stays) - (1 - stays) * math.log2(1 - stays)
    assert whole == pytest.approx(1 + 3 * new)
    assert f"that is 1 bit a step, where {new:.3f} are new" in page


def best_bits(correlation: float, steps: int = 4, bits: int = 8) -> tuple[int, ...]:
    """Whole bits for each step at the least summed squared error of a Gaussian closed loop."""

    def error(shares: tuple[int, ...]) -> float:
        left, total = 1.0, 0.0
        for share in shares:
            left = 4.0**-share * (correlation**2 * left + 1 - correlation**2)
            total += left
        return total

    return min((s for s in itertools.product(range(bits + 1), repeat=steps) if sum(s) == bits), key=error)


def test_early_steps_deserve_more_the_longer_their_news_lasts(page: str) -> None:
    found = {correlation: best_bits(correlation) for correlation in (0, 0.9, 0.99, 1)}
    for correlation, shares in found.items():
        assert f"| {correlation:g} | {', '.join(map(str, shares))} |" in page
    firsts = [shares[0] for shares in found.values()]
    assert firsts == sorted(firsts)
    assert found[0] == (2, 2, 2, 2)
    assert found[1] == (8, 0, 0, 0)
