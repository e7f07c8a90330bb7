"""Segments whose pixels are kept until their group is allocated, to see what an allocation shows."""

from __future__ import annotations

import numpy as np

from infotok_cli.allocation.allocate import Allocation
from infotok_cli.blocks import keep_from_prefix, token_grid
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.metrics import average_psnr, psnr
from infotok_cli.model.engine import Engine, Footage

TRIAL_EVERY = 4
"""One segment in this many of a group is a trial; all are in a group of no more than these."""


def may_be_trial(number: int) -> bool:
    """Whether a segment of this number in its group is a trial in a group of some length."""
    return number < TRIAL_EVERY or number % TRIAL_EVERY == 0


def is_trial(number: int, segments: int) -> bool:
    """Whether it is one in a group of this many segments."""
    return segments <= TRIAL_EVERY or number % TRIAL_EVERY == 0


class Trial:
    """One segment, coded when asked for."""

    def __init__(self, engine: Engine, footage: Footage, refine: int = 0) -> None:
        self._engine, self._footage, self._refine = engine, footage, refine

    def psnr_db(self, allocation: Allocation) -> float:
        """Mean over frames of PSNR, dB, of what a decoder would show."""
        shown = self._engine.encode(self._footage, allocation.keep, self._refine).shown
        return average_psnr(psnr(self._footage.frames, shown))


class PrefixErrors:
    """Errors as the decoder would make them, measured when asked for; holds the segment's pixels."""

    def __init__(self, engine: Engine, footage: Footage) -> None:
        self.grid = token_grid(*footage.frames.shape[:3])
        self._engine = engine
        self._footage = footage

    def error(self, tokens: int) -> float:
        """Mean squared error, pixels in 0..255, of the picture from the first `tokens` positions."""
        keep = keep_from_prefix(tokens, self.grid)
        shown = self._engine.encode(self._footage, keep).shown
        return float(np.square(shown.astype(np.float32) - self._footage.frames).mean(dtype=np.float64))


def takes_trials(options: EncodeOptions) -> bool:
    """Whether the planner of these options asks for trials."""
    return options.budget is not None and options.budget.planner.takes_trials
