"""BD-rate and BD-quality: known shifts, hand-made integrals, a slow integral, and no extrapolation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from infotok_cli.evaluate.bd import Point, bd_quality, bd_rate, quality_at, rising, slopes

CURVE = [(0.01, 24.0), (0.02, 27.5), (0.05, 30.0), (0.08, 31.0)]


def scaled(curve: list[Point], rate: float = 1, quality: float = 0) -> list[Point]:
    return [(r * rate, q + quality) for r, q in curve]


@pytest.mark.parametrize(
    ("factor", "percent"), [(2, 100), (0.5, -50), (1, 0), (1.1, 10), (0.25, -75), (10, 900)]
)
def test_a_factor_in_rate_is_its_percentage(factor: float, percent: float) -> None:
    delta = bd_rate(CURVE, scaled(CURVE, rate=factor))
    assert delta is not None
    assert delta.value == pytest.approx(percent, abs=1e-9)
    assert (delta.low, delta.high, delta.overlap) == (24, 31, 1)


def test_a_shift_in_quality_is_itself() -> None:
    delta = bd_quality(CURVE, scaled(CURVE, quality=-1.5))
    assert delta is not None
    assert delta.value == pytest.approx(-1.5)
    assert (delta.low, delta.high) == (pytest.approx(0.01), pytest.approx(0.08))


def test_straight_curves_by_hand() -> None:
    # log2 rate = q - 30 against log2 rate = (q - 30) / 2 + 1: over q = 30..32 the gap falls from 1 to 0.
    one = [(2.0 ** (q - 30), float(q)) for q in (30, 31, 32)]
    other = [(2.0 ** ((q - 30) / 2 + 1), float(q)) for q in (30, 31, 32)]
    delta = bd_rate(one, other)
    assert delta is not None
    assert delta.value == pytest.approx(100 * (math.sqrt(2) - 1))


def test_only_the_common_interval_counts() -> None:
    # Equal from 24 to 31 dB; what one of them does beyond is not compared.
    longer = [*CURVE, (0.5, 40.0)]
    delta = bd_rate(CURVE[:3], longer)
    assert delta is not None
    assert (delta.low, delta.high) == (24, 30)
    half = bd_rate(CURVE, [(0.03, 27.5), (0.2, 38.0)])
    assert half is not None
    assert half.overlap == pytest.approx(0.5)
    assert bd_rate(CURVE, scaled(CURVE, quality=8)) is None
    assert bd_rate(CURVE, CURVE[:1]) is None
    assert bd_quality(CURVE, scaled(CURVE, rate=100)) is None


def test_the_other_way_round_is_the_inverse(fresh_seed: int) -> None:
    random = np.random.default_rng(fresh_seed)
    for _ in range(20):
        rates = np.cumsum(random.uniform(0.01, 0.1, (2, 5)), axis=1)
        qualities = 24 + np.cumsum(random.uniform(0.2, 2, (2, 5)), axis=1)
        one, other = (list(zip(*curve, strict=True)) for curve in zip(rates, qualities, strict=True))
        there, back = bd_rate(one, other), bd_rate(other, one)
        if there is None or back is None:
            assert there is back
            continue
        assert (1 + there.value / 100) * (1 + back.value / 100) == pytest.approx(1)


def hermite(curve: list[Point], quality: float) -> float:
    """Log rate at a quality, with the tangents of the curve solved for the cubic's coefficients."""
    points = sorted((q, math.log(r)) for r, q in curve)
    x, y = (np.array(values) for values in zip(*points, strict=True))
    slope = slopes(x, y)
    left = max(index for index in range(len(x) - 1) if x[index] <= quality)
    ends = x[left], x[left + 1]
    matrix = [[e**3, e**2, e, 1] for e in ends] + [[3 * e**2, 2 * e, 1, 0] for e in ends]
    cubic = np.linalg.solve(matrix, [y[left], y[left + 1], slope[left], slope[left + 1]])
    return float(np.polyval(cubic, quality))


def test_integral_against_a_fine_sum() -> None:
    other = [(0.012, 25.0), (0.03, 28.5), (0.04, 29.0), (0.09, 32.0)]
    delta = bd_rate(CURVE, other)
    assert delta is not None
    middles = 25 + (np.arange(6000) + 0.5) / 6000 * 6
    gaps = [hermite(other, q) - hermite(CURVE, q) for q in middles]
    assert delta.value == pytest.approx(100 * math.expm1(np.mean(gaps)), rel=1e-6)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        # Straight: the slope everywhere. Two points: the secant.
        ([0, 1, 3, 4], [0, 2, 6, 8], [2, 2, 2, 2]),
        ([0, 2], [1, 5], [2, 2]),
        # Equal steps, secants 1 and 3: harmonic mean 1.5; ends (3 * 1 - 3) / 2 = 0 and (3 * 3 - 1) / 2 = 4.
        ([0, 1, 2], [0, 1, 4], [0, 1.5, 4]),
        # A peak is flat, and the end is cut to three times its secant when the next turns back.
        ([0, 1, 2], [0, 1, -9], [3, 0, -15.5]),
    ],
)
def test_slopes_by_hand(x: list[float], y: list[float], expected: list[float]) -> None:
    assert slopes(np.array(x, float), np.array(y, float)) == pytest.approx(expected)


def test_between_points_the_curve_stays_between_them() -> None:
    steep = [(1.0, 20.0), (2.0, 20.1), (4.0, 35.0), (8.0, 35.1)]
    values = [quality_at(steep, rate) for rate in np.geomspace(1, 8, 200)[1:-1]]
    assert all(value is not None and 20 <= value <= 35.1 for value in values)
    assert values == sorted(values, key=lambda value: value or 0)


def test_quality_at_a_rate_is_never_extrapolated() -> None:
    assert quality_at(CURVE, 0.02) == pytest.approx(27.5)
    assert quality_at(CURVE, 0.0099) is None
    assert quality_at(CURVE, 0.081) is None
    assert quality_at([], 1) is None


def test_points_not_worth_their_rate_go() -> None:
    points = rising([(2, 30), (1, 28), (4, 29), (4, 31), (3, 30)])
    assert np.exp(points[:, 0]) == pytest.approx([1, 2, 4])
    assert points[:, 1].tolist() == [28, 30, 31]


@pytest.mark.parametrize("point", [(0, 1), (-1, 1), (math.inf, 1), (1, math.nan), (1, math.inf)])
def test_impossible_points_are_refused(point: Point) -> None:
    with pytest.raises(ValueError, match="cannot go through"):
        rising([(1, 1), point])
