"""Bjontegaard deltas: how far apart two rate-distortion curves lie, on average over what they share.

Bjontegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33, 2001, with a
monotone piecewise cubic in place of his one polynomial, which swings between points and beyond
them. Slopes at the points are those of Fritsch and Butland, "A method for constructing local monotone
piecewise cubic interpolants", SIAM J. Sci. Stat. Comput. 5(2), 1984. Nothing is extrapolated.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Point = tuple[float, float]
"""Rate (any unit, above 0) and quality (any unit, higher is better)."""


@dataclass(frozen=True, kw_only=True)
class Delta:
    """A mean difference and what it was taken over."""

    value: float
    low: float
    high: float
    """Ends of the common interval, in quality for a rate delta, in rate for a quality delta."""
    overlap: float
    """Length of the common interval over that of the shorter curve, 0..1; logarithmic for rates."""


def bd_rate(reference: Sequence[Point], test: Sequence[Point]) -> Delta | None:
    """Mean difference in rate at equal quality, in percent: -50 when `test` needs half the rate.

    The mean is over the quality that both curves reach. None when they share none, or when one has
    fewer than two points.
    """
    one, other = rising(reference), rising(test)
    if min(len(one), len(other)) < 2:
        return None
    delta = _mean_gap(one[:, ::-1], other[:, ::-1])
    if delta is None:
        return None
    percent = 100 * float(np.expm1(delta.value))
    return Delta(value=percent, low=delta.low, high=delta.high, overlap=delta.overlap)


def bd_quality(reference: Sequence[Point], test: Sequence[Point]) -> Delta | None:
    """Mean difference in quality at equal rate, over the logarithm of the rates both curves reach.

    None as in `bd_rate`.
    """
    one, other = rising(reference), rising(test)
    if min(len(one), len(other)) < 2:
        return None
    delta = _mean_gap(one, other)
    if delta is None:
        return None
    low, high = (float(np.exp(end)) for end in (delta.low, delta.high))
    return Delta(value=delta.value, low=low, high=high, overlap=delta.overlap)


def quality_at(curve: Sequence[Point], rate: float) -> float | None:
    """Quality of a curve at a rate, between its points; None outside of them."""
    value = float(qualities_at(rising(curve), np.log([rate]))[0])
    return None if np.isnan(value) else value


def qualities_at(points: Values, log_rates: Values) -> Values:
    """Qualities `[M]` of a curve `[N, 2]` as `rising` gives it at log rates `[M]`, NaN beyond its ends."""
    values = np.full(len(log_rates), np.nan)
    if len(points) == 0:
        return values
    x, y = points.T
    inside = (log_rates >= x[0]) & (log_rates <= x[-1])
    if len(points) == 1:
        values[inside] = y[0]
    elif inside.any():
        values[inside] = _values(x, y, slopes(x, y), log_rates[inside])
    return values


def rising(curve: Iterable[Point]) -> Values:
    """Points worth their rate, `[N, 2]` of log rate and quality, both strictly rising.

    A point goes when another has at least its quality at no higher rate. Raises ValueError for a rate that is
    not above 0 or a value that is not finite.
    """
    kept: list[Point] = []
    for rate, quality in sorted(curve, key=lambda point: (point[0], -point[1])):
        if not (rate > 0 and np.isfinite(rate) and np.isfinite(quality)):
            raise ValueError(f"a curve cannot go through rate {rate}, quality {quality}")
        if not kept or quality > kept[-1][1]:
            kept.append((float(np.log(rate)), float(quality)))
    return np.array(kept).reshape(-1, 2)


def slopes(x: Values, y: Values) -> Values:
    """Slopes `[N]` of the monotone cubic at points `[N]`, N >= 2, x rising.

    Inside, the harmonic mean of the neighbouring secants weighted by interval (0 where they differ in
    sign); at the ends the three-point formula, cut back where it would break the shape.
    """
    steps = np.diff(x)
    secants = np.diff(y) / steps
    if len(x) == 2:
        return np.repeat(secants, 2)
    result = np.zeros(len(x))
    before, after = secants[:-1], secants[1:]
    same = before * after > 0
    weight = 2 * steps[1:] + steps[:-1], steps[1:] + 2 * steps[:-1]
    inner = (weight[0] + weight[1])[same] / (weight[0][same] / before[same] + weight[1][same] / after[same])
    result[1:-1][same] = inner
    result[0] = _end_slope(steps[0], steps[1], secants[0], secants[1])
    result[-1] = _end_slope(steps[-1], steps[-2], secants[-1], secants[-2])
    return result


def _end_slope(step: float, next_step: float, secant: float, next_secant: float) -> float:
    slope = ((2 * step + next_step) * secant - step * next_secant) / (step + next_step)
    if slope * secant <= 0:
        return 0.0
    if secant * next_secant < 0 and abs(slope) > 3 * abs(secant):
        return 3 * secant
    return float(slope)


def _mean_gap(one: Values, other: Values) -> Delta | None:
    """Mean of `other` less `one`, curves `[N, 2]` of x and y, over the x they share."""
    low, high = max(one[0, 0], other[0, 0]), min(one[-1, 0], other[-1, 0])
    if high <= low:
        return None
    shorter = min(float(np.ptp(curve[:, 0])) for curve in (one, other))
    means = [_integral(curve[:, 0], curve[:, 1], low, high) / (high - low) for curve in (one, other)]
    return Delta(
        value=float(means[1] - means[0]),
        low=float(low),
        high=float(high),
        overlap=float((high - low) / shorter),
    )


def _integral(x: Values, y: Values, low: float, high: float) -> float:
    """Integral of the monotone cubic through the points from `low` to `high`, both within x.

    Two-point Gauss quadrature between knots, which is exact for cubics.
    """
    knots = np.concatenate([[low], x[(x > low) & (x < high)], [high]])
    middle, half = (knots[1:] + knots[:-1]) / 2, np.diff(knots) / 2
    offset = half / np.sqrt(3)
    slope = slopes(x, y)
    return float(
        np.sum(half * (_values(x, y, slope, middle - offset) + _values(x, y, slope, middle + offset)))
    )


def _values(x: Values, y: Values, slope: Values, where: Values) -> Values:
    """The piecewise cubic (Hermite) at `where`, all within x."""
    left = np.clip(np.searchsorted(x, where, side="right") - 1, 0, len(x) - 2)
    step = x[left + 1] - x[left]
    t = (where - x[left]) / step
    value: Values = (
        y[left] * (1 + 2 * t) * (1 - t) ** 2
        + y[left + 1] * t**2 * (3 - 2 * t)
        + step * (slope[left] * t * (1 - t) ** 2 - slope[left + 1] * t**2 * (1 - t))
    )
    return value
