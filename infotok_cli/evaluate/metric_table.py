"""The metrics there are: what each is called, which way it gets better, and how much of it is measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from infotok_cli.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One measure of how near decoded pictures are to their source."""

    name: str
    """As --metrics takes it."""
    key: str
    """Its field in rows and summaries."""
    shown: str
    """As tables and plots call it."""
    better: Literal["up", "down"] = "up"
    decimals: int = 4
    every: int = 1
    """One frame in this many is measured; odd, so that every place in a latent step has its turn."""
    cpu_seconds: float
    """Processor time of a measured frame of 456x256."""
    smallest_side: int = 1
    """Pixels a side of the smallest picture that has it; rows of smaller ones have None."""


SAMPLED = 5
SPARSELY = 15

_ALL = (
    Metric(name="psnr", key="psnr_db", shown="PSNR dB", decimals=2, cpu_seconds=0.001),
    Metric(name="ssim", key="ssim", shown="SSIM", cpu_seconds=0.014),
    Metric(name="ms-ssim", key="ms_ssim", shown="MS-SSIM", cpu_seconds=0.02),
    Metric(
        name="lpips-vgg", key="lpips_vgg", shown="LPIPS VGG", better="down", every=SPARSELY,
        cpu_seconds=2.2, smallest_side=16,
    ),
    Metric(
        name="lpips-alex", key="lpips_alex", shown="LPIPS Alex", better="down", every=SAMPLED,
        cpu_seconds=0.12, smallest_side=31,
    ),
    Metric(
        name="dists", key="dists", shown="DISTS", better="down", every=SPARSELY, cpu_seconds=2.5,
        smallest_side=16,
    ),
    Metric(
        name="ssimulacra2", key="ssimulacra2", shown="SSIMULACRA2", decimals=1, every=SAMPLED,
        cpu_seconds=0.2, smallest_side=225,
    ),
    Metric(name="vmaf", key="vmaf", shown="VMAF", decimals=1, cpu_seconds=0.018, smallest_side=17),
    Metric(
        name="vmaf-v1", key="vmaf_v1", shown="VMAF v1", decimals=1, cpu_seconds=0.015, smallest_side=216
    ),
)  # fmt: skip

METRICS: dict[str, Metric] = {metric.key: metric for metric in _ALL}
"""By their field in a row, in the order of tables."""

METRIC_NAMES: dict[str, Metric] = {metric.name: metric for metric in _ALL}

DEFAULT_METRICS = ("psnr", "ssim", "ms-ssim")


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Names of metrics in the order of the table, each once, PSNR always among them: seams are told by it.

    Raises UsageError for a name that is not in the table.
    """
    wanted = {"psnr": None, **dict.fromkeys(names)}
    for name in wanted:
        if name not in METRIC_NAMES:
            raise UsageError(f"`metrics` {name!r} is unknown", way_out=f"choose {', '.join(METRIC_NAMES)}")
    return tuple(name for name in METRIC_NAMES if name in wanted)


def measured(rows: Iterable[object]) -> list[Metric]:
    """Metrics that all rows have, rows being anything with their fields."""
    rows = list(rows)
    return [
        metric for metric in METRICS.values() if all(getattr(row, metric.key) is not None for row in rows)
    ]


def shares(metrics: Iterable[Metric], spelled: Literal["name", "shown"]) -> str:
    """Which of them are measured on a share of the frames, in words."""
    groups: dict[int, list[str]] = {}
    for metric in metrics:
        groups.setdefault(metric.every, []).append(getattr(metric, spelled))
    return "; ".join(
        f"{', '.join(names)}: one frame in {every}" for every, names in groups.items() if every > 1
    )


def signed(key: str, value: float) -> float:
    """The value of a metric such that more is better: negated where less is."""
    return value if METRICS[key].better == "up" else -value
