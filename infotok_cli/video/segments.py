"""Cutting a video into segments: runs of frames that are coded on their own, and their times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np

from infotok_cli.errors import InputError
from infotok_cli.video.timed_frames import TimedFrame
from infotok_cli.video.video_info import Frame

LONGEST_TICKS = (1 << 32) - 1


@dataclass(frozen=True)
class TimedSegment:
    """A segment and when it is shown."""

    frames: Frame
    """`[T, H, W, 3]`, RGB, 0..255."""
    start_seconds: Fraction
    """From the first frame of the first segment on."""
    end_seconds: Fraction | None
    """When the next segment starts; None when this is the last one."""
    durations: tuple[int, ...]
    """Ticks that each frame is shown; empty for a constant frame rate."""


def timed_segments(
    timed: Iterable[TimedFrame], segment_frames: int, frame_rate: Fraction, tick: Fraction | None
) -> Iterator[TimedSegment]:
    """Segments with times: by the frames' own, in units of `tick` seconds, or by `frame_rate` if it is None.

    A frame that is not later than the one before is taken to follow after one tick. The last frame is
    shown as long as its file says, or for one frame of `frame_rate`. Holds one segment and one frame.
    """
    gathered: list[Frame] = []
    ticks: list[int] = []
    origin = Fraction(0)
    number, nominal = 0, 1 / frame_rate
    last: TimedFrame | None = None
    for frame in timed:
        if last is None:
            origin = frame.seconds
        else:
            _check_size(number, frame.pixels, last.pixels)
        now = number if tick is None else round((frame.seconds - origin) / tick)
        if ticks:
            now = max(now, ticks[-1] + 1)
        if len(gathered) == segment_frames:
            yield _segment(gathered, [*ticks, now], tick, nominal, is_last=False)
            gathered, ticks = [], []
        gathered.append(frame.pixels)
        ticks.append(now)
        last, number = frame, number + 1
    if last is not None:
        long = last.shown_seconds or nominal
        end = ticks[-1] + (1 if tick is None else max(1, round(long / tick)))
        yield _segment(gathered, [*ticks, end], tick, nominal, is_last=True)


def _segment(
    gathered: list[Frame], ticks: list[int], tick: Fraction | None, nominal: Fraction, *, is_last: bool
) -> TimedSegment:
    """Segment of frames shown at `ticks`, which has one more: when the last of them ends."""
    unit = nominal if tick is None else tick
    longest = max(after - before for before, after in pairwise(ticks))
    if longest > LONGEST_TICKS:
        raise InputError(
            f"a frame is shown for {float(longest * unit):.0f} s, longer than can be written",
            way_out="cut it out with `start_seconds` and `end_seconds`",
        )
    durations = tuple(after - before for before, after in pairwise(ticks)) if tick is not None else ()
    return TimedSegment(np.stack(gathered), ticks[0] * unit, None if is_last else ticks[-1] * unit, durations)


def read_segments(frames: Iterable[Frame], segment_frames: int) -> Iterator[Frame]:
    """Group frames `[H, W, 3]` into segments `[T, H, W, 3]`; T is the real frame count, never padded.

    Holds one segment at a time; each one yielded is a new array.
    Raises InputError if a frame has another size than the first.
    """
    if segment_frames < 1:
        raise ValueError(f"cannot cut frames into segments of {segment_frames}")
    first: Frame | None = None
    gathered: list[Frame] = []
    for number, frame in enumerate(frames):
        if first is None:
            first = frame
        _check_size(number, frame, first)
        gathered.append(frame)
        if len(gathered) == segment_frames:
            yield np.stack(gathered)
            gathered.clear()
    if gathered:
        yield np.stack(gathered)


def _check_size(number: int, frame: Frame, before: Frame) -> None:
    if frame.shape != before.shape:
        raise InputError(
            f"frame {number} is {frame.shape[1]}x{frame.shape[0]} pixels after "
            f"{before.shape[1]}x{before.shape[0]}, but a video must keep one size",
            way_out="cut it with `start_seconds` and `end_seconds`",
        )


def joined(parts: Iterator[Frame], count: int) -> Frame | None:
    """The next `count` frames of parts `[T, H, W, 3]`, more if a part ends later; None at the end."""
    taken: list[Frame] = []
    while sum(map(len, taken)) < count and (part := next(parts, None)) is not None:
        taken.append(part)
    return np.concatenate(taken) if taken else None
