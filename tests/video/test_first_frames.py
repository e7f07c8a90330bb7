"""The first frames of a video, and when the next one would have been shown."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from infotok_cli.video.first_frames import FirstFrames
from infotok_cli.video.timed_frames import TimedFrame

TIMES = [Fraction(0), Fraction(1, 10), Fraction(4, 10), Fraction(9, 10)]


def frames() -> list[TimedFrame]:
    return [TimedFrame(time, np.zeros((2, 2, 3), np.uint8), Fraction(1, 24)) for time in TIMES]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_last_one_is_shown_until_the_next(count: int) -> None:
    first = FirstFrames(frames(), count)
    given = list(first)
    assert [frame.seconds for frame in given] == TIMES[:count]
    assert first.next_seconds == TIMES[count]
    assert given[-1].shown_seconds == TIMES[count] - TIMES[count - 1]
    assert [frame.shown_seconds for frame in given[:-1]] == [Fraction(1, 24)] * (count - 1)
    assert next(first, None) is None


@pytest.mark.parametrize("count", [None, 4, 5])
def test_all_of_them(count: int | None) -> None:
    first = FirstFrames(frames(), count)
    given = list(first)
    assert [(frame.seconds, frame.shown_seconds) for frame in given] == [
        (time, Fraction(1, 24)) for time in TIMES
    ]
    assert first.next_seconds is None
