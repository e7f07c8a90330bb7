"""Curves of means over clips less a reference's at equal bits, with the interval of that difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from infotok_cli.evaluate.bd import qualities_at, rising
from infotok_cli.evaluate.bootstrap import LEAST_CLIPS, Values, draws, tails
from infotok_cli.evaluate.metric_table import signed
from infotok_cli.evaluate.results import ClipKey, ClipResult

RATES = 25
"""Places along the bits at which a difference is computed."""

LEAST_SHARE = 0.9
"""Of the resamples that must have a value for an interval to be given."""

Rows = Mapping[ClipKey, Sequence[ClipResult]]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Arrays `[RATES]`; the interval is None for one clip, NaN where too few resamples have a value."""

    bpp: Values
    value: Values
    """Of the metric, the curve less the reference."""
    low: Values | None
    high: Values | None
    clips: int


def difference(reference: Rows, test: Rows, metric: str) -> Difference | None:
    """How far `test` is from `reference` at the bits that both reach, over the clips that both have.

    The clips of a resample are the same for both (paired). None when the curves share no bits.
    """
    clips = [clip for clip in reference if clip in test]
    curves = [_figures([rows[clip] for clip in clips], metric) for rows in (reference, test)]
    if not clips or any(figures.shape[1] < 2 for figures in curves):
        return None
    means = [rising(figures.mean(2).T.tolist()) for figures in curves]
    low, high = max(mean[0, 0] for mean in means), min(mean[-1, 0] for mean in means)
    if high <= low:
        return None
    rates = np.linspace(low, high, RATES)
    one, other = (qualities_at(mean, rates) for mean in means)
    value = other - one
    ends = None if len(clips) < LEAST_CLIPS else _band(curves, rates)
    if signed(metric, 1) < 0:
        value, ends = -value, None if ends is None else (-ends[1], -ends[0])
    low_end, high_end = ends or (None, None)
    return Difference(bpp=np.exp(rates), value=value, low=low_end, high=high_end, clips=len(clips))


def _band(curves: Sequence[Values], rates: Values) -> tuple[Values, Values]:
    """Ends of the interval at log rates `[M]`; curves: figures `[2, settings, clips]`."""
    found = np.array(
        [
            qualities_at(rising(curves[1][:, :, drawn].mean(2).T.tolist()), rates)
            - qualities_at(rising(curves[0][:, :, drawn].mean(2).T.tolist()), rates)
            for drawn in draws(curves[0].shape[2])
        ]
    )
    ends = np.full((2, len(rates)), np.nan)
    enough = np.isfinite(found).mean(0) >= LEAST_SHARE
    if enough.any():
        ends[:, enough] = np.nanquantile(found[:, enough], tails(), axis=0)
    return ends[0], ends[1]


def _figures(clips: Sequence[Sequence[ClipResult]], metric: str) -> Values:
    """Bits and signed quality `[2, settings, clips]` at the settings that all clips have."""
    by_setting = [{(row.rate, row.crf): row for row in rows} for rows in clips]
    shared = (
        [setting for setting in by_setting[0] if all(setting in rows for rows in by_setting)] if clips else []
    )
    return np.array(
        [
            [[rows[setting].bpp for rows in by_setting] for setting in shared],
            [[signed(metric, getattr(rows[setting], metric)) for rows in by_setting] for setting in shared],
        ],
        np.float64,
    ).reshape(2, len(shared), len(clips))
