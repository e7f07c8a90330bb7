"""Reports of a training run on the way: losses often, held-out PSNR now and then."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from infotok_cli.errors import OutputError
from infotok_cli.metrics import psnr_of_error
from infotok_cli.train.averages import Averages
from infotok_cli.train.checkpoint import Progress
from infotok_cli.train.heldout import HeldOut
from infotok_cli.train.options import TrainOptions
from infotok_cli.train.step import StepLosses

RECENT_STEPS = 50
"""Steps whose losses are averaged in a report."""

REPORT_STEPS = 10
"""Steps between two reports without held-out PSNR."""

FIRST_REPORT_SECONDS = 30.0
"""When held-out PSNR is first measured, where the usual interval is longer."""


@dataclass(frozen=True)
class Report:
    """News from a run: recent losses as PSNR in dB, and held-out PSNR when it was measured."""

    progress: Progress
    share_done: float
    """0 to 1"""
    psnr_full: float
    """Of clips at token rate 1; NaN before the first step."""
    psnr_masked: float
    """Of clips with tokens dropped; NaN before the first step."""
    head_error: float
    """Mean difference between predicted and true log error."""
    held: dict[float, float] | None = None
    """Held-out PSNR in dB by token rate."""
    unsaved: OutputError | None = None
    """Why the checkpoint could not be written; training continues."""

    @property
    def waiting_share(self) -> float:
        """Share of the run's time in which training waited for data."""
        return self.progress.waited_seconds / self.progress.seconds if self.progress.seconds else 0.0


class Reporter:
    """Gathers losses and passes on news of them, in the process that leads."""

    def __init__(self, options: TrainOptions, held: HeldOut, tell: Callable[[Report], None]) -> None:
        self._options = options
        self._held = held
        self._tell = tell
        self._recent: deque[tuple[float, float, float]] = deque(maxlen=RECENT_STEPS)
        self._due = time.monotonic() + min(FIRST_REPORT_SECONDS, options.report_seconds)

    def add(self, losses: StepLosses) -> None:
        """Take in the losses of a step that was taken."""
        self._recent.append((float(losses.mse_full), float(losses.mse_masked), float(losses.head)))

    @property
    def due(self) -> bool:
        """Whether it is time to measure held-out PSNR again."""
        return time.monotonic() >= self._due

    def losses(self, progress: Progress, share_done: float) -> None:
        """Report the losses after a step, unless it is too soon after the last time."""
        if progress.step % REPORT_STEPS == 0:
            self._tell(self._news(progress, share_done))

    def measured(
        self,
        progress: Progress,
        share_done: float,
        averages: Averages,
        unsaved: OutputError | None = None,
    ) -> Report:
        """Measure held-out PSNR and report it, with the losses; returns the report."""
        held = self._held.psnr(averages.model(self._options.device))
        news = replace(self._news(progress, share_done), held=held, unsaved=unsaved)
        self._tell(news)
        self._due = time.monotonic() + self._options.report_seconds
        return news

    def _news(self, progress: Progress, share_done: float) -> Report:
        rows = np.array(self._recent or [(math.nan,) * 3])
        full, masked, head = rows.mean(axis=0).tolist()
        return Report(
            progress=replace(progress),
            share_done=min(1.0, share_done),
            psnr_full=psnr_of_error(full, peak=2),
            psnr_masked=psnr_of_error(masked, peak=2) if masked > 0 else math.nan,
            head_error=head,
        )
