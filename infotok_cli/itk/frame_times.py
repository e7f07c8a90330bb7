"""Times in seconds to frame numbers and back, the same for every command."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import accumulate

import numpy as np

from infotok_cli.container.reader import ItkReader
from infotok_cli.errors import InputError, UsageError

LARGEST_ROUNDING_SECONDS = Fraction(1, 1000)
"""Times this near to that of a frame name it, in a file with frame times."""


def frame_range(
    reader: ItkReader, start_seconds: float | None, end_seconds: float | None, frames: int | None = None
) -> range:
    """Numbers of the frames shown at start <= time < end, at most `frames`; UsageError if there are none."""
    total = reader.total_frames
    first = 0 if start_seconds is None else _frame_of(reader, start_seconds)
    last = total if end_seconds is None else min(total, _frame_of(reader, end_seconds))
    if first >= last:
        duration = float(reader.duration_seconds)
        raise UsageError(
            f"no frame lies between `start_seconds` {start_seconds or 0:g} and `end_seconds` "
            f"{(duration if end_seconds is None else end_seconds):g}",
            way_out=f"choose times within its {duration:.3f} s",
            where=reader.name,
        )
    return range(first, last if frames is None else min(last, first + frames))


def frame_at(seconds: float, rate: Fraction, slack: Fraction | None = None) -> int:
    """First frame (of `rate` a second) at `seconds` or later; times within `slack` frames count as equal.

    A tenth of a frame unless `slack` says otherwise.
    """
    if not math.isfinite(seconds):
        raise UsageError(f"time is {seconds:g}", way_out="give a number of seconds")
    if seconds < 0:
        raise UsageError(f"time {seconds:g} is negative", way_out="give seconds from the beginning")
    return max(0, math.ceil(Fraction(seconds) * rate - (Fraction(1, 10) if slack is None else slack)))


def _frame_of(reader: ItkReader, seconds: float) -> int:
    """Number of the first frame shown at `seconds` or later."""
    header = reader.header
    if not header.has_times:
        return frame_at(seconds, header.frame_rate)
    tick = frame_at(seconds, 1 / header.time_base, LARGEST_ROUNDING_SECONDS / header.time_base)
    ticks = reader.index.ticks
    if tick >= int(ticks[-1]):
        return reader.total_frames
    number = int(np.searchsorted(ticks, tick, side="right")) - 1
    shown = _segment_ticks(reader, number)
    return int(reader.index.starts[number]) + sum(time < tick for time in shown)


def frame_span(reader: ItkReader, frames: range) -> tuple[Fraction, Fraction]:
    """When the first of these frames is shown and when the last one ends, in seconds."""
    header = reader.header
    if not header.has_times:
        return frames.start / header.frame_rate, frames.stop / header.frame_rate
    return tuple(_tick_of(reader, frame) * header.time_base for frame in (frames.start, frames.stop))  # type: ignore[return-value]


def _tick_of(reader: ItkReader, frame: int) -> int:
    """When frame `frame` is shown; for the number of frames, when the last one ends."""
    if frame >= reader.total_frames:
        return int(reader.index.ticks[-1])
    number = reader.index.holding(frame)
    start = int(reader.index.starts[number])
    return (
        int(reader.index.ticks[number]) if frame == start else _segment_ticks(reader, number)[frame - start]
    )


def _segment_ticks(reader: ItkReader, number: int) -> list[int]:
    """When each frame that a segment shows is shown."""
    counts = reader.index[number].counts
    durations = reader.times_at_any_rate(number)[counts.trim_start : counts.frames - counts.trim_end]
    first = int(reader.index.ticks[number])
    return list(accumulate(durations[:-1], initial=first))


def shown_ticks(reader: ItkReader, wanted: range, lost: list[str] | None) -> Iterator[int]:
    """When each frame of `wanted` is shown after the first of them; nothing without frame times.

    Damaged times are raised, or named in `lost` and spread evenly.
    """
    if not reader.header.has_times:
        return
    origin = _tick_of(reader, wanted.start)
    for number in range(reader.index.holding(wanted.start), reader.index.holding(wanted.stop - 1) + 1):
        try:
            reader.read_times(number)
        except InputError as error:
            if lost is None:
                raise
            lost.append(f"{error.what}: its frames are spread evenly")
        start = int(reader.index.starts[number])
        for place, time in enumerate(_segment_ticks(reader, number), start):
            if place in wanted:
                yield time - origin
