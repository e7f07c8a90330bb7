"""Times in seconds to frame numbers, the same for every command."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

from infotok_cli.container.reader import ItkReader
from infotok_cli.errors import UsageError


def frame_range(
    reader: ItkReader, start_seconds: float | None, end_seconds: float | None, source: Path
) -> range:
    """Numbers of the frames shown at start <= time < end; UsageError when there are none."""
    rate, total = reader.header.frame_rate, reader.total_frames
    first = 0 if start_seconds is None else _frame_at(start_seconds, rate)
    last = total if end_seconds is None else min(total, _frame_at(end_seconds, rate))
    if first >= last:
        duration = float(total / rate)
        raise UsageError(
            f"{source}: no frame lies between --start {start_seconds or 0:g} and "
            f"--end {duration if end_seconds is None else end_seconds:g}: it lasts {duration:.3f} s"
        )
    return range(first, last)


def _frame_at(seconds: float, rate: Fraction) -> int:
    """First frame shown at `seconds` or later; times within a tenth of a frame count as equal."""
    if seconds < 0:
        raise UsageError(f"time {seconds:g} is negative: give seconds from the beginning")
    return max(0, math.ceil(Fraction(seconds) * rate - Fraction(1, 10)))
