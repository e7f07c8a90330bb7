"""Decoded pictures as they are shown: upright, as RGB, resized, each with its time after the first one."""

from __future__ import annotations

import weakref
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.video.frame import VideoFrame

from infotok_cli.errors import InputError, UsageError
from infotok_cli.video.deinterlace import deinterlaced
from infotok_cli.video.pixels import RgbConverter, colour_of
from infotok_cli.video.source import Source
from infotok_cli.video.video_info import (
    STILL_IMAGE_RATE,
    Frame,
    Orientation,
    VideoInfo,
    is_usable_rate,
    may_be_clock,
    scaled_size,
    sensible_rate,
)

LONGEST_TOLERANCE_SECONDS = Fraction(6, 10000)
"""So that a time rounded to a millisecond names its frame."""

HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
"""H.273 codes of transfer characteristics that reach beyond what a display of 8 bits shows."""


@dataclass(frozen=True)
class TimedFrame:
    """A frame and when it is shown, in seconds after the first frame of the file."""

    seconds: Fraction
    pixels: Frame
    shown_seconds: Fraction | None = None
    """How long it is shown, if the file says so; the next frame's time counts where there is one."""


@dataclass(frozen=True)
class TimeRange:
    """Frames with start <= time < end, in seconds after the first frame of the file."""

    start_seconds: float = 0.0
    end_seconds: float | None = None


@dataclass(frozen=True)
class Presentation:
    """How the decoded frames of one video are shown: what its container and its first frame tell."""

    info: VideoInfo
    first_tick: int
    """Container time of the first frame, in ticks."""
    coded_size: tuple[int, int]
    """Width and height before rotation."""
    orientation: Orientation
    origin_seconds: Fraction
    """Container time of the first frame."""

    @classmethod
    def of(cls, source: Source, first: VideoFrame | None) -> Presentation:
        """Facts of an opened video whose first decoded frame is `first`.

        Raises InputError where there is no frame, and for HDR, which is not read on purpose.
        """
        if first is None:
            raise InputError(
                "has no frames that can be decoded", way_out="get a whole copy", where=str(source.path)
            )
        if first.color_trc in HDR_TRANSFERS:
            raise InputError(
                f"is HDR ({HDR_TRANSFERS[first.color_trc]}), which 8-bit pictures cannot hold",
                way_out="map its tones to SDR (BT.709) first",
                where=str(source.path),
            )
        orientation = _orientation(first)
        info = _describe(source, first, orientation)
        first_tick = first.pts or 0
        tick = info.time_base if source.has_clock else source.stream.time_base or info.time_base
        return cls(info, first_tick, (first.width, first.height), orientation, first_tick * tick)

    def at_rate(self, frame_rate: Fraction) -> Presentation:
        """These facts with a frame rate that was found by counting."""
        return replace(self, info=replace(self.info, frame_rate=frame_rate))

    @property
    def tolerance_seconds(self) -> Fraction:
        """How far the time of a frame may lie before the start of a range that it belongs to."""
        return min(1 / (10 * self.info.frame_rate), LONGEST_TOLERANCE_SECONDS)

    def timed(
        self, frames: Iterator[VideoFrame], wanted: TimeRange, short_side: int | None, *, has_clock: bool
    ) -> Generator[TimedFrame]:
        """Those of the decoded `frames` that lie in `wanted`, resized to `short_side`.

        Times are compared to within a tenth of a frame, at most 0.6 ms, so that a rounded time names its
        frame. Raises InputError where the size changes or a picture cannot be converted,
        and UsageError when no frame lies in the range.
        """
        tolerance = self.tolerance_seconds
        start = Fraction(wanted.start_seconds) - tolerance
        end = None if wanted.end_seconds is None else Fraction(wanted.end_seconds) - tolerance
        converter = RgbConverter(*scaled_size(*self.coded_size, short_side))
        found, last = False, Fraction(0)
        for seconds, shown, frame in self._times(frames, has_clock=has_clock):
            last = seconds
            if seconds < start:
                continue
            if end is not None and seconds >= end:
                break
            found = True
            yield TimedFrame(seconds, self._picture(frame, seconds, converter), shown)
        if not found:
            raise self._empty_range(wanted, last)

    def _times(
        self, frames: Iterator[VideoFrame], *, has_clock: bool
    ) -> Iterator[tuple[Fraction, Fraction | None, VideoFrame]]:
        """When each frame is shown and for how long, in seconds."""
        info = self.info
        time = -1 / info.frame_rate
        for frame in deinterlaced(frames):
            shown = None
            if has_clock and frame.pts is not None:
                time = (frame.pts - self.first_tick) * info.time_base
                shown = frame.duration * info.time_base if frame.duration else None
            else:
                time += 1 / info.frame_rate
            yield time, shown, frame

    def _picture(self, frame: VideoFrame, seconds: Fraction, converter: RgbConverter) -> Frame:
        name = str(self.info.path)
        if (frame.width, frame.height) != self.coded_size:
            raise InputError(
                f"changes size from {self.coded_size[0]}x{self.coded_size[1]} to "
                f"{frame.width}x{frame.height} at {float(seconds):.3f} s",
                way_out="cut it there with `end_seconds`",
                where=name,
            )
        try:
            return self.orientation.apply(converter(frame))
        except ValueError as error:
            raise InputError(str(error), way_out="convert it to yuv420p first", where=name) from error

    def _empty_range(self, wanted: TimeRange, last: Fraction) -> UsageError:
        """`last`: time of the last frame that was seen."""
        start, end, name = wanted.start_seconds, wanted.end_seconds, str(self.info.path)
        if end is not None and start <= last:
            return UsageError(
                f"no frame is shown from {start:g} s to {end:g} s",
                way_out="choose a longer range",
                where=name,
            )
        return UsageError(
            f"`start_seconds` {start:g} is past the last frame, which is shown at {float(last):.3f} s",
            way_out="choose an earlier `start_seconds`",
            where=name,
        )


class RunningStreams:
    """Generators of frames that are to be ended when their video is closed."""

    def __init__(self) -> None:
        self._running: weakref.WeakSet[Generator[TimedFrame]] = weakref.WeakSet()

    def added(self, stream: Generator[TimedFrame]) -> Generator[TimedFrame]:
        """The same generator, remembered as long as it lives."""
        self._running.add(stream)
        return stream

    def close(self) -> None:
        """End all that have not ended."""
        for stream in list(self._running):
            stream.close()


def tells_rate(source: Source) -> bool:
    """Whether the container says, or leaves no need to know, how many frames come in a second.

    Matroska without DefaultDuration does not, as browsers record it: FFmpeg then guesses the coarsest clock
    that all times fit. A container that lists its frames may have a fine clock of one tick a frame.
    """
    stream = source.stream
    average, tick = stream.average_rate, stream.time_base
    if not source.has_clock or tick is None:
        return True
    if average is None or not is_usable_rate(average):
        return False
    return stream.frames > 0 or not may_be_clock(average, tick)


def _describe(source: Source, first: VideoFrame, orientation: Orientation) -> VideoInfo:
    container, stream = source.container, source.stream
    still = source.is_still_image
    rates = (stream.average_rate, stream.guessed_rate)
    rate = STILL_IMAGE_RATE if still else sensible_rate(*(rates if source.has_clock else reversed(rates)))
    aspect = stream.sample_aspect_ratio or Fraction(1)
    width, height = first.width, first.height
    if orientation.transpose:
        width, height, aspect = height, width, 1 / aspect
    duration = None
    if stream.duration and stream.time_base:
        duration = float(stream.duration * stream.time_base)
    elif container.duration:
        duration = container.duration / av.time_base
    return VideoInfo(
        path=Path(source.path),
        width=width,
        height=height,
        frame_rate=rate,
        time_base=stream.time_base if source.has_clock and stream.time_base else 1 / rate,
        sample_aspect=aspect,
        colour=colour_of(first),
        codec=stream.codec_context.name,
        duration_seconds_from_container=None if still else duration,
        frames_from_container=1 if still else stream.frames or None,
        is_still_image=still,
    )


def _orientation(frame: VideoFrame) -> Orientation:
    try:
        # The mapping also finds its entries by name, which the type stub does not say.
        matrix = cast(Any, frame.side_data).get("DISPLAYMATRIX")
    except ValueError:
        # PyAV 18 cannot list the side data of a picture with EXIF; the angle is there, mirroring is not.
        return Orientation.from_rotation(frame.rotation)
    return Orientation() if matrix is None else Orientation.from_display_matrix(bytes(matrix))
