"""What tokens a whole video would take, by worth, in constant memory.

Allocation takes steps (a block's next level, or one more position) from the worthiest down. Over a
video of any length, the multiplier at which a number of tokens is spent is found from a histogram of
the steps' tokens over their worth, so that no map has to be kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infotok_cli.allocation.allocate import block_steps, least_tokens
from infotok_cli.routers import AllocationName

_BITS = 16
"""Low bits of a float32 worth that are dropped: bins are 1/128 of their worth wide."""


@dataclass(frozen=True)
class Cut:
    """Steps in bins above `bin` are taken, and `share` (0..1) of the tokens in it."""

    bin: int
    share: float


class StepHistogram:
    """Tokens of the steps of all segments added, by worth."""

    def __init__(self, kind: AllocationName) -> None:
        self.kind = kind
        self.floor = 0
        """Tokens that every allocation spends: one a block, or one a segment."""
        self.positions = 0
        self._tokens = np.zeros(1 << (31 - _BITS), np.int64)

    def add(self, errors: Iterable[NDArray[np.float32]]) -> None:
        """Count segments by their error maps `[t, h, w]`, non-negative (NaN counts as 0)."""
        for error in errors:
            if self.kind == "block":
                worth, cost = block_steps(error)
            else:
                worth = np.nan_to_num(np.asarray(error, np.float32)).ravel()
                cost = np.ones(worth.size, np.int64)
                cost[int(worth.argmax())] = 0
            self.floor += least_tokens(error.shape, self.kind)
            self.positions += error.size
            # Positive floats order as the integers of their bits.
            bins = np.maximum(worth, 0).astype(np.float32).ravel().view(np.uint32) >> _BITS
            self._tokens += np.bincount(bins, cost.ravel(), self._tokens.size).astype(np.int64)

    def subtract(self, other: StepHistogram) -> None:
        """Take away segments that were added."""
        self.floor -= other.floor
        self.positions -= other.positions
        # Another run of the network may round a worth into the next bin.
        self._tokens = np.maximum(self._tokens - other._tokens, 0)

    def cut_for(self, tokens: int) -> Cut:
        """Where to stop so that all segments together take `tokens`, or the nearest to it they can."""
        spare = tokens - self.floor
        from_top = np.cumsum(self._tokens[::-1])
        if spare <= 0:
            return Cut(self._tokens.size, 0.0)
        if spare >= from_top[-1]:
            return Cut(-1, 0.0)
        place = int(np.searchsorted(from_top, spare))
        bin_ = self._tokens.size - 1 - place
        above = int(from_top[place]) - int(self._tokens[bin_])
        return Cut(bin_, (spare - above) / int(self._tokens[bin_]))

    def tokens_at(self, cut: Cut) -> int:
        """Tokens that the segments take at a cut, which may be that of a larger histogram."""
        above = int(self._tokens[cut.bin + 1 :].sum())
        partly = cut.share * float(self._tokens[cut.bin]) if 0 <= cut.bin < self._tokens.size else 0.0
        return self.floor + above + round(partly)
