"""What is known about a video before its frames: size, rate, colour tags, orientation. No FFmpeg here."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infotok_cli.colour import Colour

Frame = NDArray[np.uint8]
"""One picture `[H, W, 3]` or a run of them `[T, H, W, 3]`, RGB, 0..255."""

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".gif")
"""Of the video files that are written."""

MEDIA_SUFFIXES = (
    *VIDEO_SUFFIXES, ".ts", ".y4m", ".png", ".jpg", ".jpeg", ".webp",
)  # fmt: skip
"""Of files that a name makes people take for a video or a picture."""

STILL_IMAGE_RATE = Fraction(1)
"""Frame rate given to a still image: shown again as a video, it lasts one second."""

FALLBACK_RATE = Fraction(25)
HIGHEST_RATE = 1000
LOWEST_RATE = Fraction(1, 3600)

LARGEST_ROUNDING_SECONDS = Fraction(1, 1000)
"""How far the times of a constant frame rate may be rounded in a file."""

FINE_CLOCK = 240
"""Ticks in a second above which a clock is hardly the frame rate too."""

MOST_RATE_PARTS = 1_000_000
"""Denominator that a rate found by counting is rounded to, so that both its parts fit into 32 bits."""


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """Facts about one input video; sizes are those of the picture as shown, after rotation."""

    path: Path
    width: int
    height: int
    frame_rate: Fraction
    """Average frames per second; 1 for a still image."""
    time_base: Fraction
    """Seconds per tick of the container's clock; one frame where the container has no clock."""
    sample_aspect: Fraction
    """Width of a pixel over its height, as shown."""
    colour: Colour
    codec: str
    duration_seconds_from_container: float | None
    """As declared; may be wrong, and None when nothing is declared."""
    frames_from_container: int | None
    """As declared; may be wrong, and None when nothing is declared."""
    is_still_image: bool

    def expected_frames(self, start_seconds: float | None, end_seconds: float | None) -> int | None:
        """Frames between start and end as far as the container tells; None where it does not."""
        if self.frames_from_container:
            seconds = float(self.frames_from_container / self.frame_rate)
        elif self.duration_seconds_from_container:
            seconds = self.duration_seconds_from_container
        else:
            return None
        seconds = min(seconds, end_seconds or seconds) - (start_seconds or 0.0)
        return max(1, round(seconds * self.frame_rate))


@dataclass(frozen=True)
class Orientation:
    """One of the eight ways to lay a decoded picture down: transpose first, then flips."""

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    @classmethod
    def from_display_matrix(cls, matrix: bytes) -> Orientation:
        """Read FFmpeg's display matrix (nine int32, `[a b u; c d v; x y w]`), to the nearest right angle.

        It maps a picture point (x, y) to (a x + c y, b x + d y).
        """
        a, b, _, c, d = (int(v) for v in np.frombuffer(matrix, np.int32, count=5))
        if abs(b) > abs(a):
            return cls(transpose=True, flip_rows=b < 0, flip_columns=c < 0)
        return cls(flip_rows=d < 0, flip_columns=a < 0)

    @classmethod
    def from_rotation(cls, degrees: float) -> Orientation:
        """Counterclockwise rotation, to the nearest right angle."""
        quarter = round(degrees / 90) % 4
        return cls(transpose=quarter % 2 == 1, flip_rows=quarter in (1, 2), flip_columns=quarter in (2, 3))

    def apply(self, picture: Frame) -> Frame:
        """Picture `[H, W, 3]` as it is to be shown; contiguous."""
        if self.transpose:
            picture = picture.transpose(1, 0, 2)
        if self.flip_rows:
            picture = picture[::-1]
        if self.flip_columns:
            picture = picture[:, ::-1]
        return np.ascontiguousarray(picture)


def scaled_size(width: int, height: int, short_side: int | None) -> tuple[int, int]:
    """Width and height with `short_side` pixels on the shorter side.

    The longer one is rounded to an even number, which H.264 in its usual format needs, unless `short_side`
    is odd. A video that has the shorter side already keeps its size.
    """
    shorter = min(width, height)
    if short_side in (None, shorter):
        return width, height
    unit = 1 if short_side % 2 else 2
    longer = unit * ((2 * max(width, height) * short_side + unit * shorter) // (2 * unit * shorter))
    if width == shorter:
        return short_side, short_side if height == shorter else longer
    return longer, short_side


def sensible_rate(*candidates: Fraction | None) -> Fraction:
    """First candidate between 1/3600 and 1000 frames per second, else 25.

    Containers report 0, or their clock (90000), when they do not know. A rate that no camera has
    and that is within 1/10000 of n or n/1.001 is a rounding of it.
    """
    for rate in candidates:
        if rate is not None and is_usable_rate(rate):
            return _without_clock_rounding(Fraction(rate))
    return FALLBACK_RATE


def is_usable_rate(rate: Fraction | None) -> bool:
    """Whether a video may have this many frames per second: 1/3600 to 1000."""
    return rate is not None and LOWEST_RATE <= rate <= HIGHEST_RATE


def may_be_clock(rate: Fraction, tick: Fraction) -> bool:
    """Whether this many frames per second may be the mere clock, whose unit is `tick` seconds."""
    return rate * tick == 1 and rate > FINE_CLOCK


class Pace:
    """Times of frames, told in any order: whether they are those of a frame rate, and their average."""

    def __init__(self, rate: Fraction, tick: Fraction) -> None:
        """`rate`: what they are compared with; `tick`: seconds per unit of the times."""
        self._rate, self._tick = rate, tick
        self._tolerance = min(tick, LARGEST_ROUNDING_SECONDS)
        self._last = self._last_place = 0
        self.frames = 0
        """Frames told of."""
        self.is_kept = True
        """Whether each of them is shown at some n / rate, to within the clock and 1 ms."""

    def add(self, ticks: int) -> None:
        """A frame is shown this many ticks after the first one."""
        time = ticks * self._tick
        place = round(time * self._rate)
        self.is_kept = self.is_kept and abs(time - place / self._rate) <= self._tolerance
        self.frames += 1
        self._last, self._last_place = max(self._last, ticks), max(self._last_place, place)

    @property
    def is_constant(self) -> bool:
        """Whether the frames told of are all that the rate makes from the first to the last of them."""
        return self.is_kept and self.frames in (0, self._last_place + 1)

    @property
    def average(self) -> Fraction | None:
        """Frames per second; None as long as there is no time between two of them."""
        if not self._last:
            return None
        return Fraction(self.frames - 1, self._last * self._tick).limit_denominator(MOST_RATE_PARTS)

    def rate(self) -> Fraction:
        """The rate compared with, where it is kept; else the average, as a rate may be the mere clock."""
        if self.is_constant and self.frames > 1:
            return self._rate
        return sensible_rate(self.average, None if may_be_clock(self._rate, self._tick) else self._rate)


def _without_clock_rounding(rate: Fraction) -> Fraction:
    if rate.denominator <= 1001:
        return rate
    whole = round(rate)
    ntsc = Fraction(round(rate * Fraction(1001, 1000)) * 1000, 1001)
    for standard in (Fraction(whole), ntsc):
        if standard and abs(rate / standard - 1) < Fraction(1, 10000):
            return standard
    return rate
