"""Prefixes of equal error, found with few trials, that meet the rate."""

from __future__ import annotations

import numpy as np
import pytest

from infotok_cli.allocation.elastic import LENGTHS, allocate_prefixes
from infotok_cli.blocks import Grid, shortest_prefix


class Curve:
    """A segment of 512 positions whose error is `scale / tokens`, with steps of noise if asked for."""

    grid: Grid = (2, 16, 16)

    def __init__(self, scale: float, noise: float = 0.0) -> None:
        self.scale = scale
        self.asked: list[int] = []
        self._noise = np.random.default_rng(round(scale)).normal(0, noise, 513)

    def error(self, tokens: int) -> float:
        self.asked.append(tokens)
        return float(self.scale / tokens * np.exp(self._noise[tokens]))


@pytest.mark.parametrize("rate", [0.125, 0.3, 0.5, 0.77, 0.99])
def test_rate_is_met_to_the_token_by_prefixes_of_equal_error(rate: float) -> None:
    segments = [Curve(scale) for scale in (1, 10, 30, 40, 100)]
    allocations = allocate_prefixes(segments, rate)
    assert sum(allocation.tokens for allocation in allocations) == int(rate * 5 * 512 + 0.5)
    floor, step = shortest_prefix(512), -(-512 // LENGTHS)
    for segment, allocation in zip(segments, allocations, strict=True):
        assert allocation.levels is None
        assert allocation.keep.ravel()[: allocation.tokens].all()
        assert floor <= allocation.tokens <= 512
        # Kept answers, few questions: a search of all lengths would ask 65 times.
        assert len(segment.asked) == len(set(segment.asked)) < 32
    # Nobody has an error above the common one while somebody else could do with a step less.
    errors = [
        curve.scale / allocation.tokens for curve, allocation in zip(segments, allocations, strict=True)
    ]
    for worse, allocation in zip(errors, allocations, strict=True):
        for curve, other in zip(segments, allocations, strict=True):
            shorter = other.tokens - 3 * step
            if allocation.tokens < 512 and shorter >= floor:
                assert curve.scale / shorter > worse


def test_errors_that_do_not_fall_steadily_still_meet_the_rate() -> None:
    segments = [Curve(scale, noise=0.3) for scale in range(1, 9)]
    for rate in (0.2, 0.5, 0.9):
        assert sum(a.tokens for a in allocate_prefixes(segments, rate)) == int(rate * 8 * 512 + 0.5)


def test_the_whole_sequence_needs_no_trial() -> None:
    segment = Curve(1)
    assert allocate_prefixes([segment], 1.0)[0].keep.all()
    assert not segment.asked


def test_a_floor_above_the_rate_wins() -> None:
    class OnePosition(Curve):
        grid = (1, 1, 1)

    assert [a.tokens for a in allocate_prefixes([OnePosition(1), OnePosition(2)], 0.125)] == [1, 1]
