"""docs/THEORY.md, sections 1 and 2: what a lossless code costs, and what errors change."""

from __future__ import annotations

import heapq
import itertools
import math

import numpy as np
import pytest

DYADIC = (1 / 2, 1 / 4, 1 / 8, 1 / 8)


def entropy(p: tuple[float, ...], symbols: int = 2) -> float:
    """Entropy in code symbols of an alphabet of that size."""
    return -sum(x * math.log(x, symbols) for x in p if x > 0)


def mean(p: tuple[float, ...], values: tuple[float, ...]) -> float:
    return sum(x * value for x, value in zip(p, values, strict=True))


def huffman_lengths(p: tuple[float, ...]) -> tuple[int, ...]:
    """Lengths of a binary Huffman code."""
    heap = [(x, [number]) for number, x in enumerate(p)]
    heapq.heapify(heap)
    lengths = [0] * len(p)
    while len(heap) > 1:
        (first, left), (second, right) = heapq.heappop(heap), heapq.heappop(heap)
        for number in left + right:
            lengths[number] += 1
        heapq.heappush(heap, (first + second, left + right))
    return tuple(lengths)


@pytest.mark.parametrize("symbols", [2, 3])
@pytest.mark.parametrize("p", [DYADIC, (0.4, 0.3, 0.2, 0.1), (0.97, 0.01, 0.01, 0.01)])
def test_no_prefix_code_beats_the_entropy(p: tuple[float, ...], symbols: int) -> None:
    """Every set of lengths a prefix code can have (Kraft), up to 6 symbols, on a source of four."""
    means = [
        mean(p, lengths)
        for lengths in itertools.product(range(1, 7), repeat=4)
        if sum(symbols**-length for length in lengths) <= 1 + 1e-12
    ]
    assert min(means) >= entropy(p, symbols) - 1e-12
    shannon = tuple(math.ceil(-math.log(x, symbols) - 1e-12) for x in p)
    assert sum(symbols**-length for length in shannon) <= 1
    assert mean(p, shannon) < entropy(p, symbols) + 1


def test_huffman_meets_the_bound_on_a_dyadic_source() -> None:
    assert entropy(DYADIC) == pytest.approx(1.75)
    assert huffman_lengths(DYADIC) == (1, 2, 3, 3)
    assert mean(DYADIC, huffman_lengths(DYADIC)) == 1.75


def test_huffman_is_within_one_symbol_of_the_entropy(fresh_seed: int) -> None:
    random = np.random.default_rng(fresh_seed)
    for _ in range(50):
        p = tuple(random.dirichlet(np.ones(8) * 0.5).clip(1e-9).tolist())
        p = tuple(x / sum(p) for x in p)
        assert entropy(p) - 1e-9 <= mean(p, huffman_lengths(p)) < entropy(p) + 1


def test_lengths_told_on_the_side_hide_part_of_the_cost(page: str) -> None:
    """Codewords that are only one-to-one, because a map tells their lengths, go below the entropy."""
    lengths = (0, 1, 1, 2)
    length_chances = (DYADIC[0], DYADIC[1] + DYADIC[2], DYADIC[3])
    tokens = mean(DYADIC, lengths)
    assert tokens == 0.625
    assert tokens < entropy(DYADIC)
    # The bound that does hold: E[length] + H(length) >= H(X), here 2.03 against 1.75 bits.
    assert f"here {tokens:.3f} + {entropy(length_chances):.3f} ≥ {entropy(DYADIC):.2f}." in page
    assert tokens + entropy(length_chances) >= entropy(DYADIC)


@pytest.mark.parametrize("p", [DYADIC, (0.4, 0.3, 0.2, 0.1)])
def test_tokens_and_lengths_together_cost_the_entropy(p: tuple[float, ...]) -> None:
    """Over every one-to-one code of four outcomes with at most 2^n codewords of n bits."""
    for lengths in itertools.product(range(4), repeat=4):
        if any(lengths.count(length) > 2**length for length in set(lengths)):
            continue
        chances = tuple(
            sum(x for x, own in zip(p, lengths, strict=True) if own == length) for length in set(lengths)
        )
        assert mean(p, lengths) + entropy(chances) >= entropy(p) - 1e-12


def best_squared_error(values: list[float], points: int) -> float:
    """Least mean squared error of equally likely sorted values on `points` reconstruction points."""

    def cost(first: int, last: int) -> float:
        part = np.array(values[first:last])
        return float(((part - part.mean()) ** 2).sum())

    least = {0: 0.0}
    for _ in range(points):
        least = {
            last: min(least[first] + cost(first, last) for first in least if first < last)
            for last in range(1, len(values) + 1)
            if any(first < last for first in least)
        }
    return least[len(values)] / len(values)


def test_equal_entropies_do_not_mean_equal_errors(page: str) -> None:
    """Two sources, 4 bits each without loss; with 1 bit one is told but for noise, the other is lost."""
    noise = [100.0 * side + grain for side in (0, 1) for grain in range(8)]
    spread = [100.0 * step for step in range(16)]
    assert len(set(noise)) == len(set(spread)) == 16
    told, lost = best_squared_error(noise, 2), best_squared_error(spread, 2)
    assert f"a squared error of {told:.2f}, all of it in W; the second with {lost:,.0f} at best" in page
    assert best_squared_error(spread, 8) > 5.25
    assert best_squared_error(spread, 16) == best_squared_error(noise, 16) == 0
