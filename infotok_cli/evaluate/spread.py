"""How far clips lie apart in the figures that are means over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from infotok_cli.evaluate.bootstrap import Interval, mean_interval
from infotok_cli.evaluate.metric_table import METRICS
from infotok_cli.evaluate.results import ClipResult

RATE = "bpp"


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Of one figure over the clips that have it."""

    mean: float
    deviation: float
    """Standard deviation over clips."""
    interval: Interval | None
    """Of the mean, for other clips of the kind; mostly how unlike clips are. None for a single clip."""


def spread_over_clips(rows: Sequence[ClipResult]) -> dict[str, Spread]:
    """Spread of bits per pixel and of each metric, rows being the clips at one setting."""
    found = {}
    for name in (RATE, *METRICS):
        values = np.array([value for row in rows if (value := getattr(row, name)) is not None], np.float64)
        if len(values):
            found[name] = Spread(
                mean=float(values.mean()), deviation=float(values.std()), interval=mean_interval(values)
            )
    return found
