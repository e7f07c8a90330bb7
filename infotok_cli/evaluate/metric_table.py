"""The metrics there are: what each is called, and which way it gets better."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One measure of how near decoded pictures are to their source."""

    key: str
    """Its field in rows and summaries."""
    shown: str
    """As tables and plots call it."""
    better: Literal["up", "down"] = "up"
    decimals: int = 4


_ALL = (
    Metric(key="psnr_db", shown="PSNR dB", decimals=2),
    Metric(key="ssim", shown="SSIM"),
    Metric(key="ms_ssim", shown="MS-SSIM"),
    Metric(key="vmaf", shown="VMAF", decimals=1),
)

METRICS: dict[str, Metric] = {metric.key: metric for metric in _ALL}
"""By their field in a row, in the order of tables."""


def measured(rows: Iterable[object]) -> list[Metric]:
    """Metrics that all rows have, rows being anything with their fields."""
    rows = list(rows)
    return [
        metric for metric in METRICS.values() if all(getattr(row, metric.key) is not None for row in rows)
    ]


def signed(key: str, value: float) -> float:
    """The value of a metric such that more is better: negated where less is."""
    return value if METRICS[key].better == "up" else -value
