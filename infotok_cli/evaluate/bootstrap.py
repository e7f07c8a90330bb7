"""How sure a mean over clips is: percentile intervals of the bootstrap, which draws clips with replacement.

Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13. What differs between two
curves is taken clip by clip before clips are drawn, or is computed from the same draw of clips for both
(paired), so that unlike clips do not widen the interval of a difference that all of them share.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

RESAMPLES = 1000
SEED = 18
LEVEL = 0.95
"""Probability that an interval is to hold; half of the rest is cut off at each end."""

LEAST_CLIPS = 2
"""One clip says nothing of how clips differ."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Ends of an interval of `LEVEL`, in the unit of the mean it belongs to."""

    low: float
    high: float
    resamples: int
    """How many of the `RESAMPLES` had a value: draws of none but clips without one have not."""


def settings() -> dict[str, float]:
    """How the intervals of this version are made."""
    return {"resamples": RESAMPLES, "seed": SEED, "level": LEVEL}


def draws(clips: int) -> NDArray[np.intp]:
    """Numbers of the clips in each resample, `[RESAMPLES, clips]`, each 0..clips-1; the same every time."""
    return np.random.default_rng(SEED).integers(clips, size=(RESAMPLES, clips), dtype=np.intp)


def mean_interval(values: Values) -> Interval | None:
    """Interval of the mean over clips `[N]`, NaN being a clip without a value.

    A resample draws N of the N clips; its mean is over those that have a value, as the mean itself is. None
    when fewer than two clips have one.
    """
    present = np.isfinite(values)
    if present.sum() < LEAST_CLIPS:
        return None
    drawn = draws(len(values))
    counts = present[drawn].sum(1)
    sums = np.where(present, values, 0.0)[drawn].sum(1)
    means = sums[counts > 0] / counts[counts > 0]
    low, high = np.quantile(means, tails())
    return Interval(low=float(low), high=float(high), resamples=len(means))


def tails() -> tuple[float, float]:
    """The two quantiles between which an interval lies."""
    return (1 - LEVEL) / 2, (1 + LEVEL) / 2
