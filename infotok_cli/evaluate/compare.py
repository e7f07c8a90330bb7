"""Curves put side by side: BD-rates of one against another, anchors at our bits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from infotok_cli.evaluate.bd import Delta, Point, bd_quality, bd_rate, quality_at
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
    bd_rate_percent: float
    """Bits that `test` needs beyond those of `reference` at equal quality; -50 is half of them."""
    bd_rate_deviation: float
    """Standard deviation over clips."""
    bd_quality: float | None
    """What `test` has of the metric beyond `reference` at equal bits (of LPIPS and DISTS less is better);
    over the clips where they share bits as well, None if there are none."""
    bd_token_percent: float | None
    """As `bd_rate_percent`, tokens in place of bits; None unless both curves are ours."""
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
    rates: list[Delta] = []
    qualities: list[float] = []
    tokens: list[Delta | None] = []
    for clip in gathered[reference].keys() & gathered[test].keys():
        one, other = gathered[reference][clip], gathered[test][clip]
        rate = bd_rate(_points(one, metric), _points(other, metric))
        quality = bd_quality(_points(one, metric), _points(other, metric))
        if rate is None:
            continue
        rates.append(rate)
        if quality is not None:
            qualities.append(signed(metric, quality.value))
        ours = all(row.token_rate is not None for row in [*one, *other])
        token_points = [_points(rows, metric, lambda row: row.token_rate or 0) for rows in (one, other)]
        tokens.append(bd_rate(*token_points) if ours else None)
    if not rates:
        return None
    counted = [delta.value for delta in tokens if delta is not None]
    return Comparison(
        reference=reference,
        test=test,
        metric=metric,
        clips=len(rates),
        bd_rate_percent=float(np.mean([delta.value for delta in rates])),
        bd_rate_deviation=float(np.std([delta.value for delta in rates])),
        bd_quality=float(np.mean(qualities)) if qualities else None,
        bd_token_percent=float(np.mean(counted)) if len(counted) == len(rates) else None,
        overlap=float(np.mean([delta.overlap for delta in rates])),
    )


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
