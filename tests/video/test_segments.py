"""Cutting frames into segments."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infotok_cli.errors import InputError
from infotok_cli.video.segments import read_segments


def numbered(count: int) -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    return [np.full((2, 3, 3), number, np.uint8) for number in range(count)]


@given(count=st.integers(0, 70), size=st.integers(1, 20))
def test_segments_follow_each_other(count: int, size: int) -> None:
    segments = list(read_segments(iter(numbered(count)), size))
    assert [frame[0, 0, 0] for segment in segments for frame in segment] == list(range(count))
    assert all(len(segment) == size for segment in segments[:-1])
    assert sum(len(segment) for segment in segments) == count


def test_frames_are_taken_only_as_needed() -> None:
    frames = iter(numbered(10))
    next(read_segments(frames, 4))
    assert next(frames)[0, 0, 0] == 4


def test_size_change_is_refused() -> None:
    frames = [np.zeros((4, 6, 3), np.uint8), np.zeros((4, 8, 3), np.uint8)]
    with pytest.raises(InputError, match="frame 1 is 8x4 pixels after 6x4"):
        list(read_segments(frames, 4))


def test_impossible_size() -> None:
    with pytest.raises(ValueError, match="cannot cut"):
        list(read_segments(iter(numbered(3)), 0))
