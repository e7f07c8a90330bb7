"""Tokens for a quality: predicted from the error maps, and corrected by what decoded samples show."""

from __future__ import annotations

import numpy as np

from infotok_cli.allocation.allocate import Allocation
from infotok_cli.allocation.distortion import Distortion
from infotok_cli.allocation.planner import Group, Measure, OnePass

_CORRECTIONS = 4
"""Times at most that a group's samples are decoded to correct what is predicted for it."""

_NEAR_DB = 0.05
"""Difference from the PSNR asked for that is not worth another decode."""


class TargetPsnrPlanner(OnePass):
    """Every group gets the tokens that are predicted to give it the PSNR asked for.

    The prediction is off by a decibel or two for pictures unlike those it was fitted on, by about the same
    at all rates: it is corrected by what the group's samples show, and where that differs with the rate, by
    a straight line between the nearest tries on both sides.
    """

    def __init__(self, distortion: Distortion, psnr_db: float) -> None:
        self.distortion, self.psnr_db = distortion, psnr_db
        self.predicted_sum, self.frames = 0.0, 0

    def plan(self, group: Group, measure: Measure) -> list[Allocation]:
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
        self.predicted_sum += (predicted + correction) * sum(group.frames)
        self.frames += sum(group.frames)
        return chosen

    def _next(self, tries: dict[float, float], last: float) -> float:
        """Prediction to ask for, from what was shown, both in dB, at the predictions tried."""
        below = [(shown, predicted) for predicted, shown in tries.items() if shown < self.psnr_db]
        above = [(shown, predicted) for predicted, shown in tries.items() if shown >= self.psnr_db]
        if not below or not above:
            return last + self.psnr_db - tries[last]
        (low, start), (high, end) = max(below), min(above)
        return start + (self.psnr_db - low) / (high - low) * (end - start)

    def _shown_less_predicted(self, group: Group, chosen: list[Allocation]) -> float:
        """Mean over the frames, dB, each sample standing for the segments up to the next one."""
        gaps, frames = [], []
        numbers = sorted(group.trials)
        for number, end in zip(numbers, [*numbers[1:], len(group.frames)], strict=False):
            predicted = self.distortion.psnr_db(group.errors[number], chosen[number])
            gaps.append(group.trials[number].psnr_db(chosen[number]) - predicted)
            frames.append(sum(group.frames[number:end]))
        return float(np.average(gaps, weights=frames))

    @property
    def predicted_psnr_db(self) -> float:
        """Predicted mean over all frames so far."""
        return self.predicted_sum / self.frames
