"""Segments whose pixels are kept until their group is allocated, to see what a prediction is worth."""

from __future__ import annotations

from infotok_cli.config import EncodeOptions
from infotok_cli.metrics import average_psnr, psnr
from infotok_cli.model.allocation import Allocation
from infotok_cli.model.engine import Engine
from infotok_cli.video.clip import Frame

SAMPLE_EVERY = 4
"""One segment in so many of a group is a sample; all are in a group of no more than these."""


def may_be_sample(number: int) -> bool:
    """Whether a segment of this number in its group is a sample in a group of some length."""
    return number < SAMPLE_EVERY or number % SAMPLE_EVERY == 0


def is_sample(number: int, segments: int) -> bool:
    """Whether it is one in a group of so many segments."""
    return segments <= SAMPLE_EVERY or number % SAMPLE_EVERY == 0


class Sample:
    """One segment, coded when asked for."""

    def __init__(self, engine: Engine, frames: Frame, refine: int = 0) -> None:
        self._engine, self._frames, self._refine = engine, frames, refine

    def psnr_db(self, allocation: Allocation) -> float:
        """Mean over frames of PSNR, dB, of what a decoder would show."""
        shown = self._engine.encode(self._frames, allocation.keep, self._refine).shown
        return average_psnr(psnr(self._frames, shown))


def takes_samples(options: EncodeOptions) -> bool:
    """Whether the planner of these options asks for samples."""
    return options.budget is not None and options.budget.kind == "target-psnr"
