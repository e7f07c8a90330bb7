"""Pure facts: sizes, rates, orientations, matrices."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from infotok_cli.colour import Colour
from infotok_cli.video.video_info import Orientation, Pace, scaled_size, sensible_rate


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        ((Fraction(24),), Fraction(24)),
        ((Fraction(0), Fraction(30)), Fraction(30)),
        ((Fraction(90000), None), Fraction(25)),
        ((None,), Fraction(25)),
        ((Fraction(30000, 1001),), Fraction(30000, 1001)),
        ((Fraction(19001, 634),), Fraction(19001, 634)),
        ((Fraction(1000000, 33367),), Fraction(30000, 1001)),
        ((Fraction(2500000, 104167),), Fraction(24)),
        ((Fraction(123457, 3001),), Fraction(123457, 3001)),
        ((Fraction(1, 5000), Fraction(1, 60)), Fraction(1, 60)),
    ],
)
def test_sensible_rate(candidates: tuple[Fraction | None, ...], expected: Fraction) -> None:
    assert sensible_rate(*candidates) == expected


@pytest.mark.parametrize(
    ("size", "short_side", "expected"),
    [
        ((1920, 1080), 256, (456, 256)),
        ((1080, 1920), 256, (256, 456)),
        ((7, 5), None, (7, 5)),
        ((3, 2), 1, (2, 1)),
        ((10000, 1), 1, (10000, 1)),
        ((64, 64), 100, (100, 100)),
        ((853, 480), 240, (426, 240)),
        ((853, 480), 480, (853, 480)),
        ((1920, 1080), 255, (453, 255)),
    ],
)
def test_scaled_size(size: tuple[int, int], short_side: int | None, expected: tuple[int, int]) -> None:
    assert scaled_size(*size, short_side) == expected


@pytest.mark.parametrize("degrees", [0, 90, 180, 270, -90, -180, 89])
def test_rotation_is_counterclockwise(degrees: int) -> None:
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    expected = np.rot90(picture, round(degrees / 90))
    assert (Orientation.from_rotation(degrees).apply(picture) == expected).all()


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ((1, 0, 0, 1), Orientation()),
        ((0, -1, 1, 0), Orientation.from_rotation(90)),
        ((-1, 0, 0, -1), Orientation.from_rotation(180)),
        ((0, 1, -1, 0), Orientation.from_rotation(270)),
        ((-1, 0, 0, 1), Orientation(flip_columns=True)),
        ((0, 1, 1, 0), Orientation(transpose=True)),
    ],
)
def test_display_matrix(matrix: tuple[int, int, int, int], expected: Orientation) -> None:
    a, b, c, d = (value * 65536 for value in matrix)
    raw = np.array([a, b, 0, c, d, 0, 0, 0, 1 << 30], np.int32).tobytes()
    assert Orientation.from_display_matrix(raw) == expected


@pytest.mark.parametrize(
    ("matrix", "height", "expected"),
    [(2, 719, 6), (2, 720, 1), (0, 256, 6), (9, 256, 9), (8, 1080, 1), (5, 1080, 5)],
)
def test_matrix_for(matrix: int, height: int, expected: int) -> None:
    assert Colour(matrix=matrix).matrix_for(height) == expected


@pytest.mark.parametrize(
    ("ticks", "rate", "constant", "expected"),
    [
        ([0, 33, 67, 100], 30, True, Fraction(30)),
        ([100, 0, 67, 33], 30, True, Fraction(30)),
        ([0, 33, 100], 30, False, Fraction(20)),
        ([0, 33, 60, 100], 30, False, Fraction(30)),
        ([0, 25, 60, 100], 1000, False, Fraction(30)),
        ([0, 1, 2, 3], 1000, True, Fraction(1000)),
        ([0], 1000, True, Fraction(25)),
        ([0], 30, True, Fraction(30)),
        ([], 30, True, Fraction(30)),
        ([0, 0], 30, False, Fraction(30)),
        ([0, 7200_000], 30, False, Fraction(30)),
    ],
)
def test_pace(ticks: list[int], rate: int, *, constant: bool, expected: Fraction) -> None:
    pace = Pace(Fraction(rate), Fraction(1, 1000))
    for tick in ticks:
        pace.add(tick)
    assert (pace.is_constant, pace.rate()) == (constant, expected)
