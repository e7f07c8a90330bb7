"""Tokens for a quality: predicted from the error maps, and corrected by what decoded trials show."""

from __future__ import annotations

import numpy as np

from infotok_cli.allocation.allocate import Allocation
from infotok_cli.allocation.fits import Fits
from infotok_cli.allocation.planner import BudgetPlanner, Group, Measure, Outcome
from infotok_cli.container.header import Header
from infotok_cli.errors import UsageError

_CORRECTIONS = 4
"""Times at most that a group's trials are decoded to correct what is predicted for it."""

_NEAR_DB = 0.05
"""Difference from the PSNR asked for that is not worth another decode."""

_SHORT_DB = 0.1
"""Shortfall that is not worth a warning."""


class TargetPsnrPlanner(BudgetPlanner):
    """Every group gets the tokens that are predicted to give it the PSNR asked for.

    The prediction is off by a decibel or two for pictures unlike those it was fitted on, by about the same
    at all rates: it is corrected by what the group's trials show, and where that differs with the rate, by
    a straight line between the nearest tries on both sides.
    """

    name, unit = "target-psnr", "dB"
    fitted = takes_trials = by_group = True

    def __init__(self, value: float, header: Header, fits: Fits) -> None:
        self.psnr_db = value
        self.distortion = fits.distortions[header.router]
        self.predicted_sum, self.frames = 0.0, 0
        self.tokens = self.positions = 0
        self.is_short = False
        """Whether a group came out below the PSNR asked for with all its positions kept."""

    @classmethod
    def has_fit(cls, fits: Fits, router: str) -> bool:
        return router in fits.distortions

    def plan(self, group: Group, measure: Measure) -> list[Allocation]:
        chosen, predicted = self._plan(group)
        self.predicted_sum += predicted * sum(group.frames)
        self.frames += sum(group.frames)
        tokens = sum(one.tokens for one in chosen)
        self.tokens += tokens
        self.positions += group.positions
        if tokens == group.positions and predicted < self.psnr_db - _SHORT_DB:
            self.is_short = True
        return chosen

    def _plan(self, group: Group) -> tuple[list[Allocation], float]:
        """Tokens of a group, and the PSNR in dB that is expected of them."""
        chosen, predicted = self.distortion.allocate_for(group.errors, group.frames, self.psnr_db)
        correction = 0.0
        tries: dict[float, float] = {}
        for _ in range(_CORRECTIONS if group.trials else 0):
            correction = self._shown_less_predicted(group, chosen)
            tries[predicted] = predicted + correction
            if abs(tries[predicted] - self.psnr_db) <= _NEAR_DB:
                break
            wanted = self._next(tries, predicted)
            chosen, predicted = self.distortion.allocate_for(group.errors, group.frames, wanted)
            if predicted in tries:  # the floor, or all positions
                correction = tries[predicted] - predicted
                break
        return chosen, predicted + correction

    def _next(self, tries: dict[float, float], last: float) -> float:
        """Prediction to ask for, from what was shown, both in dB, at the predictions tried."""
        below = [(shown, predicted) for predicted, shown in tries.items() if shown < self.psnr_db]
        above = [(shown, predicted) for predicted, shown in tries.items() if shown >= self.psnr_db]
        if not below or not above:
            return last + self.psnr_db - tries[last]
        (low, start), (high, end) = max(below), min(above)
        return start + (self.psnr_db - low) / (high - low) * (end - start)

    def _shown_less_predicted(self, group: Group, chosen: list[Allocation]) -> float:
        """Mean over the frames, dB, each trial standing for the segments up to the next one."""
        gaps, frames = [], []
        numbers = sorted(group.trials)
        for number, end in zip(numbers, [*numbers[1:], len(group.frames)], strict=False):
            predicted = self.distortion.psnr_db(group.errors[number], chosen[number])
            gaps.append(group.trials[number].psnr_db(chosen[number]) - predicted)
            frames.append(sum(group.frames[number:end]))
        return float(np.average(gaps, weights=frames))

    @property
    def predicted_psnr_db(self) -> float | None:
        return self.predicted_sum / self.frames if self.frames else None

    def warnings(self) -> tuple[UsageError, ...]:
        came = self.predicted_psnr_db
        if not self.is_short or came is None or came >= self.psnr_db - _SHORT_DB:
            return ()
        if self.tokens == self.positions:
            end = f"{came:.1f} dB is the most this model can give here"
        else:
            end = f"{came:.1f} dB is expected, as parts of this video fall short with all their tokens"
        return (UsageError(f"`{self.name}` {self.psnr_db:g} was asked for, {end}"),)

    @classmethod
    def in_words(cls, value: float, came: Outcome) -> str:
        return f"{came.predicted_psnr_db:.2f} dB predicted for {value:g} dB"


PLANNERS: tuple[type[BudgetPlanner], ...] = (TargetPsnrPlanner,)
