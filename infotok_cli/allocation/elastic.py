"""The elastic router: how long a prefix of its tokens each segment keeps, found by trial decoding.

A baseline without routing, after ElasticTok (Yan et al., arXiv 2410.08368): a model that was trained
with tails dropped at random is asked, by bisection, for the shortest prefix whose picture is good
enough. To meet a token rate, the error that counts as good enough is itself found by bisection over a
group of segments. Every question costs one run of compressor and decoder, which is what makes this
slow; the answers are kept, so that none is asked twice. A given error takes seven questions a segment,
a given rate 10 to 30.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from infotok_cli.allocation.allocate import Allocation, tokens_at_rate
from infotok_cli.blocks import Grid, keep_from_prefix, shortest_prefix

LENGTHS = 64
"""Steps between the shortest prefix of a segment and all of it that a search looks at."""

BISECTIONS = 40
"""Most thresholds that are tried for a group."""

CLOSE_SHARE = 0.01
"""Share of a group's tokens that may be left to hand out, a step at a time, when the search ends."""


class Prefixes(Protocol):
    """Squared error of one segment by how many of its tokens are kept."""

    @property
    def grid(self) -> Grid: ...

    def error(self, tokens: int) -> float: ...


def allocate_prefixes(segments: Sequence[Prefixes], rate: float) -> list[Allocation]:
    """Choose how many tokens every segment keeps, so that all have about the same error.

    rate: target average token rate in (0, 1], met to the token, or exceeded where a sixteenth of every
    segment is more. Errors should fall as tokens are added; where they do not, the rate is still met.
    """
    searches = [_Search(segment) for segment in segments]
    positions = sum(search.positions for search in searches)
    target = tokens_at_rate(rate, positions)
    if target >= positions:
        return [_allocation(search, search.positions) for search in searches]
    lengths = _shortest_for(searches, target)
    _spend(searches, lengths, target - sum(lengths))
    return [_allocation(search, length) for search, length in zip(searches, lengths, strict=True)]


class _Search:
    """The lengths a segment may have, and the errors measured so far."""

    def __init__(self, segment: Prefixes) -> None:
        self.grid = segment.grid
        self.positions = self.grid[0] * self.grid[1] * self.grid[2]
        steps = np.linspace(shortest_prefix(self.positions), self.positions, LENGTHS + 1)
        self.lengths: list[int] = np.unique(steps.astype(np.int64)).tolist()
        self._segment = segment
        self._known: dict[int, float] = {}

    def error(self, length: int) -> float:
        if length not in self._known:
            self._known[length] = self._segment.error(length)
        return self._known[length]

    def shortest(self, threshold: float) -> int:
        """By bisection, the shortest length whose error is at most `threshold`; all if there is none.

        A lower threshold never gives a shorter length, even where errors do not fall steadily.
        """
        low, high = 0, len(self.lengths) - 1
        while low < high:
            middle = (low + high) // 2
            if self.error(self.lengths[middle]) <= threshold:
                high = middle
            else:
                low = middle + 1
        return self.lengths[low]


def _shortest_for(searches: Sequence[_Search], target: int) -> list[int]:
    """Lengths for the lowest common error at which they do not exceed `target` tokens in all."""
    lengths = [search.lengths[0] for search in searches]
    low = min(search.error(search.positions) for search in searches) + 1e-9
    high = max(search.error(length) for search, length in zip(searches, lengths, strict=True))
    for _ in range(BISECTIONS):
        threshold = (low * high) ** 0.5
        tried = [search.shortest(threshold) for search in searches]
        if sum(tried) <= target:
            lengths, high = tried, threshold
        else:
            low = threshold
        if target - sum(lengths) <= target * CLOSE_SHARE or high - low <= 1e-6 * high:
            break
    return lengths


def _spend(searches: Sequence[_Search], lengths: list[int], spare: int) -> None:
    """Lengthen the prefixes of the worst segments by a step each, until `spare` tokens are used up."""
    while spare > 0:
        growing = [number for number, search in enumerate(searches) if lengths[number] < search.positions]
        growing.sort(key=lambda number: -searches[number].error(lengths[number]))
        for number in growing:
            search = searches[number]
            step = -(-search.positions // LENGTHS)
            more = min(spare, step, search.positions - lengths[number])
            lengths[number] += more
            spare -= more


def _allocation(search: _Search, tokens: int) -> Allocation:
    return Allocation(keep=keep_from_prefix(tokens, search.grid), levels=None)
