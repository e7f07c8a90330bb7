"""Curves put side by side: BD-rates of one against another, anchors at our bits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from infotok_cli.evaluate.bd import Point, bd_quality, bd_rate, quality_at
from infotok_cli.evaluate.bootstrap import Interval, Values, mean_interval
from infotok_cli.evaluate.metric_table import measured, signed
from infotok_cli.evaluate.results import ClipKey, ClipResult, Setting, curve_key, curve_names
from infotok_cli.evaluate.summary import setting_of


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One curve against another, means over the clips where they overlap."""

    reference: str
    test: str
    metric: str
    clips: int
    of_clips: int
    """Clips that both curves have; where they reach no common quality there is no BD-rate."""
    bd_rate_percent: float
    """Bits that `test` needs beyond those of `reference` at equal quality; -50 is half of them."""
    bd_rate_deviation: float
    """Standard deviation over clips."""
    bd_rate_interval: Interval | None
    """Of `bd_rate_percent`, paired by clip; None for a single clip, as the other intervals."""
    bd_quality: float | None
    """What `test` has of the metric beyond `reference` at equal bits (of LPIPS and DISTS less is better);
    over the clips where they share bits as well, None if there are none."""
    bd_quality_deviation: float | None
    bd_quality_interval: Interval | None
    bd_token_percent: float | None
    """As `bd_rate_percent`, tokens in place of bits; None unless both curves are ours."""
    bd_token_interval: Interval | None
    overlap: float
    """Mean over clips of the share of the shorter curve's quality range that both curves cover."""


@dataclass(frozen=True, kw_only=True)
class Matched:
    """A curve read at the real bits of our rows of one setting, means over the clips where it has them."""

    curve: str
    setting: Setting
    against: str
    clips: int
    of_clips: int
    bpp: float
    psnr_db: float
    """Ours, over those clips."""
    against_psnr_db: float
    """The other curve's at the same bits, between two of its points."""


def curves(results: Sequence[ClipResult]) -> dict[str, dict[ClipKey, list[ClipResult]]]:
    """Rows by curve and clip. At rate 1 all routers are one: its row serves all of one `at_rate_1`."""
    names = curve_names(results)
    gathered: dict[str, dict[ClipKey, list[ClipResult]]] = {name: {} for name in names.values()}
    for row in results:
        gathered[names[curve_key(row)]].setdefault(row.clip_key, []).append(row)
    for row in results:
        if row.codec == "infotok" and row.rate == 1:
            for key, name in names.items():
                rows = gathered[name].get(row.clip_key, [])
                same = key.at_rate_1 == curve_key(row).at_rate_1
                if same and all(other.rate != 1 for other in rows):
                    gathered[name][row.clip_key] = [row, *rows]
    return gathered


def reference_curve(results: Sequence[ClipResult]) -> str:
    """The curve that tables and plots compare with: the first anchor's, or the first if there are none."""
    names = curve_names(results)
    anchors = [name for key, name in names.items() if key.model is None]
    return next(iter(anchors or names.values()))


def compare(results: Sequence[ClipResult]) -> list[Comparison]:
    """Every curve against every other, for every metric that all rows have."""
    gathered = curves(results)
    metrics = [metric.key for metric in measured(results)]
    found = []
    for metric in metrics:
        for reference in gathered:
            for test in gathered:
                comparison = _compare(gathered, reference, test, metric) if test != reference else None
                if comparison is not None:
                    found.append(comparison)
    return found


def _compare(
    gathered: dict[str, dict[ClipKey, list[ClipResult]]], reference: str, test: str, metric: str
) -> Comparison | None:
    # In the order of the rows, so that resamples are the same every time.
    shared = [clip for clip in gathered[reference] if clip in gathered[test]]
    pairs = [(gathered[reference][clip], gathered[test][clip]) for clip in shared]
    by_clip = np.array([_deltas(one, other, metric) for one, other in pairs], np.float64).reshape(-1, 4)
    rates, qualities, tokens, overlaps = by_clip.T
    compared = np.isfinite(rates)
    if not compared.any():
        return None
    tokens_too = bool(np.isfinite(tokens[compared]).all())
    return Comparison(
        reference=reference,
        test=test,
        metric=metric,
        clips=int(compared.sum()),
        of_clips=len(shared),
        bd_rate_percent=float(np.nanmean(rates)),
        bd_rate_deviation=float(np.nanstd(rates)),
        bd_rate_interval=mean_interval(rates),
        bd_quality=_present(np.mean, qualities),
        bd_quality_deviation=_present(np.std, qualities),
        bd_quality_interval=mean_interval(qualities),
        bd_token_percent=float(np.nanmean(tokens)) if tokens_too else None,
        bd_token_interval=mean_interval(tokens) if tokens_too else None,
        overlap=float(np.nanmean(overlaps)),
    )


def _deltas(one: list[ClipResult], other: list[ClipResult], metric: str) -> tuple[float, float, float, float]:
    """BD-rate, BD-quality, BD-rate in tokens and overlap of one clip's curves; NaN for what there is not."""
    rate = bd_rate(_points(one, metric), _points(other, metric))
    if rate is None:
        return (math.nan,) * 4
    quality = bd_quality(_points(one, metric), _points(other, metric))
    tokens = None
    if all(row.token_rate is not None for row in [*one, *other]):
        tokens = bd_rate(*(_points(rows, metric, lambda row: row.token_rate or 0) for rows in (one, other)))
    return (
        rate.value,
        math.nan if quality is None else signed(metric, quality.value),
        math.nan if tokens is None else tokens.value,
        rate.overlap,
    )


def _present(figure: Callable[[Values], np.floating[Any]], values: Values) -> float | None:
    """A figure of the values that are not NaN, None if all are."""
    present = values[np.isfinite(values)]
    return float(figure(present)) if len(present) else None


def match(results: Sequence[ClipResult]) -> list[Matched]:
    """Every anchor at the bits of every point of ours."""
    gathered = curves(results)
    anchors = [name for name, clips in gathered.items() if _is_anchor(clips)]
    found = []
    for curve, clips in gathered.items():
        if curve in anchors:
            continue
        settings = dict.fromkeys(setting_of(row) for rows in clips.values() for row in rows)
        for setting in filter(None, settings):
            ours = [row for rows in clips.values() for row in rows if setting_of(row) == setting]
            found += [
                matched
                for against in anchors
                if (matched := _match(curve, setting, ours, against, gathered[against]))
            ]
    return found


def _match(
    curve: str,
    setting: Setting,
    ours: list[ClipResult],
    against: str,
    others: dict[ClipKey, list[ClipResult]],
) -> Matched | None:
    shared = [row for row in ours if row.clip_key in others]
    pairs = [(row, quality_at(_points(others[row.clip_key], "psnr_db"), row.bpp)) for row in shared]
    inside = [(row, quality) for row, quality in pairs if quality is not None]
    if not inside:
        return None
    return Matched(
        curve=curve,
        setting=setting,
        against=against,
        clips=len(inside),
        of_clips=len(ours),
        bpp=float(np.mean([row.bpp for row, _ in inside])),
        psnr_db=float(np.mean([row.psnr_db for row, _ in inside])),
        against_psnr_db=float(np.mean([quality for _, quality in inside])),
    )


def _is_anchor(clips: dict[ClipKey, list[ClipResult]]) -> bool:
    return all(row.codec != "infotok" for rows in clips.values() for row in rows)


def _points(
    rows: Iterable[ClipResult], metric: str, rate: Callable[[ClipResult], float] = lambda row: row.bpp
) -> list[Point]:
    return [(rate(row), signed(metric, getattr(row, metric))) for row in rows]
