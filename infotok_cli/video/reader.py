"""Video files in: facts about a file, and its frames one by one as RGB arrays.

Everything FFmpeg decodes is read: any pixel format, any size, still images as videos of one frame.
Damage is never passed over: a file that ends early or does not decode cleanly raises InputError.
"""

from __future__ import annotations

import weakref
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import av
from av.packet import Packet
from av.stream import Discard
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from infotok_cli.errors import InputError, UsageError
from infotok_cli.sound import AudioPacket
from infotok_cli.video.audio import AudioSource
from infotok_cli.video.deinterlace import deinterlaced
from infotok_cli.video.pixels import RgbConverter, colour_of
from infotok_cli.video.source import Source
from infotok_cli.video.video_info import (
    STILL_IMAGE_RATE,
    Frame,
    Orientation,
    Pace,
    VideoInfo,
    is_usable_rate,
    may_be_clock,
    scaled_size,
    sensible_rate,
)

LONGEST_TOLERANCE_SECONDS = Fraction(1, 2000)
HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
"""H.273 codes of transfer characteristics that reach beyond what a display of 8 bits shows."""


@dataclass(frozen=True)
class TimedFrame:
    """A frame and when it is shown, in seconds after the first frame of the file."""

    seconds: Fraction
    pixels: Frame
    shown_seconds: Fraction | None = None
    """How long it is shown, if the file says so; the next frame's time counts where there is one."""


def open_video(path: str | Path) -> VideoReader:
    """Open a video or image file; use as a context manager.

    Raises InputError, naming the file, if it is missing, a folder, empty, unreadable, not a video,
    without frames, or damaged at its start.
    """
    return VideoReader(Path(path))


class VideoReader:
    """One video file: `info` holds its facts, `frames` streams its pictures, as often as asked."""

    def __init__(self, path: Path, opened: Source | None = None) -> None:
        """`opened`: a source that a subclass reads by itself; `path` is then only its name."""
        self._path = path
        self.warnings: tuple[str, ...] = ()
        """What a person should know of it, a line for each."""
        self._running: weakref.WeakSet[Generator[TimedFrame]] = weakref.WeakSet()
        self._source = opened
        if opened is not None:
            return
        with Source(path) as source:
            first = next(source.decode(source.packets()), None)
            if first is None:
                raise InputError("has no frames that can be decoded: is it whole?", where=str(path))
            self._learn(source, first)

    def _learn(self, source: Source, first: VideoFrame) -> None:
        """Take down what source and first frame tell; InputError for what is not read on purpose."""
        if first.color_trc in HDR_TRANSFERS:
            raise InputError(
                f"is HDR ({HDR_TRANSFERS[first.color_trc]}), which 8-bit pictures cannot hold: "
                "map its tones to SDR (BT.709) first",
                where=str(self._path),
            )
        self._first_tick = first.pts or 0
        self._coded_size = (first.width, first.height)
        self._orientation = _orientation(first)
        self.info: VideoInfo = self._describe(source, first)
        if not _tells_rate(source):
            self.info = replace(self.info, frame_rate=self._counted_rate())
        self.origin_seconds = self._first_tick * (
            self.info.time_base if source.has_clock else source.stream.time_base or self.info.time_base
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and end every stream of frames that is still running."""
        for stream in list(self._running):
            stream.close()

    def frames(
        self,
        start_seconds: float | None = None,
        end_seconds: float | None = None,
        short_side: int | None = None,
    ) -> Iterator[Frame]:
        """Frames `[H, W, 3]`, RGB 0..255, as shown; see `timed_frames`."""
        return (timed.pixels for timed in self.timed_frames(start_seconds, end_seconds, short_side))

    def timed_frames(
        self,
        start_seconds: float | None = None,
        end_seconds: float | None = None,
        short_side: int | None = None,
    ) -> Iterator[TimedFrame]:
        """Frames with start <= time < end, in seconds after the first frame of the file.

        Times are compared to within half a tick of the container's clock, at most 0.5 ms, so that a
        rounded time names its frame. `short_side` resizes (area down, bicubic up), keeping the shape.
        Raises, while it runs: InputError if the file is damaged, ends early or changes size;
        UsageError if no frame lies between start and end.
        """
        stream = self._stream(start_seconds or 0.0, end_seconds, short_side)
        self._running.add(stream)
        return stream

    def _stream(
        self, start_seconds: float, end_seconds: float | None, short_side: int | None
    ) -> Generator[TimedFrame]:
        info = self.info
        tolerance = min(info.time_base / 2, LONGEST_TOLERANCE_SECONDS)
        start = Fraction(start_seconds) - tolerance
        end = None if end_seconds is None else Fraction(end_seconds) - tolerance
        coded_width, coded_height = scaled_size(*self._coded_size, short_side)
        converter = RgbConverter(coded_width, coded_height)
        found = False
        last = Fraction(0)
        for seconds, shown, frame in self._decode_from(start):
            last = seconds
            if seconds < start:
                continue
            if end is not None and seconds >= end:
                break
            if (frame.width, frame.height) != self._coded_size:
                raise InputError(
                    f"changes size from {self._coded_size[0]}x{self._coded_size[1]} to "
                    f"{frame.width}x{frame.height} at {float(seconds):.3f} s",
                    way_out="cut it there with `end_seconds`",
                    where=str(self._path),
                )
            found = True
            try:
                pixels = converter(frame)
            except ValueError as error:
                raise InputError(
                    str(error), way_out="convert it to yuv420p first", where=str(self._path)
                ) from error
            yield TimedFrame(seconds, self._orientation.apply(pixels), shown)
        if not found:
            self._refuse_range(start_seconds, end_seconds, last)

    def _refuse_range(self, start: float, end: float | None, last: Fraction) -> None:
        name = self._path
        if end is not None and start <= last:
            raise UsageError(
                f"no frame is shown from {start:g} s to {end:g} s",
                way_out="choose a longer range",
                where=str(name),
            )
        duration = float(last + 1 / self.info.frame_rate)
        raise UsageError(
            f"start {start:g} s is past the last frame: the video lasts {duration:.3f} s", where=str(name)
        )

    def _decode_from(self, start: Fraction) -> Iterator[tuple[Fraction, Fraction | None, VideoFrame]]:
        """Times, durations and decoded frames, beginning at or before `start`."""
        with self._source_at(start) as (source, packets):
            yield from self._timed(source, source.decode(packets))

    def _timed(
        self, source: Source, frames: Iterator[VideoFrame]
    ) -> Iterator[tuple[Fraction, Fraction | None, VideoFrame]]:
        info = self.info
        time = -1 / info.frame_rate
        for frame in deinterlaced(frames):
            shown = None
            if source.has_clock and frame.pts is not None:
                time = (frame.pts - self._first_tick) * info.time_base
                shown = frame.duration * info.time_base if frame.duration else None
            else:
                time += 1 / info.frame_rate
            yield time, shown, frame

    def has_constant_rate(self) -> bool:
        """Whether frame n of the file is shown at n / frame_rate, to within its clock and 1 ms.

        Reads all packets of the file, but decodes none.
        """
        with Source(self._path) as source:
            if not source.has_clock:
                return True
            pace = Pace(self.info.frame_rate, self.info.time_base)
            for ticks in self._shown_ticks(source):
                pace.add(ticks)
                if not pace.is_kept:
                    return False
            return pace.is_constant

    def _counted_rate(self) -> Fraction:
        """Frames per second where the container names none, or its clock: from the times of all frames."""
        pace = Pace(self.info.frame_rate, self.info.time_base)
        with Source(self._path) as source:
            for ticks in self._shown_ticks(source):
                pace.add(ticks)
        return pace.rate()

    def _shown_ticks(self, source: Source) -> Iterator[int]:
        """When frames are shown, in ticks after the first one, in the order of their packets."""
        try:
            for packet in source.packets():
                if packet.pts is not None and not packet.is_discard and packet.pts >= self._first_tick:
                    yield packet.pts - self._first_tick
        except av.FFmpegError:
            pass  # what is wrong is told where frames are decoded

    @contextmanager
    def audio(self) -> Iterator[AudioSource | None]:
        """The file's sound, read independently of its frames; None where there is none.

        Raises InputError for sound that cannot be carried.
        """
        if not self.info.has_audio:
            yield None
            return
        with Source(self._path) as source:
            for stream in source.container.streams:
                stream.discard = Discard.default if stream.type == "audio" else Discard.all
            yield AudioSource(source.container, str(self._path))

    def audio_packets(self, sound: AudioSource) -> Iterator[AudioPacket | None]:
        """All packets of that sound, with the container's times."""
        try:
            for packet in sound.container.demux(sound.stream):
                yield from sound.filtered(packet)
            sound.check_end()
        except av.FFmpegError as error:
            raise InputError(
                "its sound is damaged",
                way_out="get a whole copy, or leave it out with `audio`",
                where=str(self._path),
            ) from error

    @contextmanager
    def _source_at(self, start: Fraction) -> Iterator[tuple[Source, Iterator[Packet[VideoStream]]]]:
        """Opened file and its packets from a key frame at or before `start`, or from the beginning."""
        if start > 0:
            with Source(self._path) as source:
                tick = self._first_tick + start / self.info.time_base
                packets = source.packets_before(tick, self._first_tick)
                if packets is not None:
                    yield source, packets
                    return
        with Source(self._path) as source:
            yield source, source.packets()

    def _describe(self, source: Source, first: VideoFrame) -> VideoInfo:
        container, stream = source.container, source.stream
        still = source.is_still_image
        rates = (stream.average_rate, stream.guessed_rate)
        rate = STILL_IMAGE_RATE if still else sensible_rate(*(rates if source.has_clock else reversed(rates)))
        aspect = stream.sample_aspect_ratio or Fraction(1)
        width, height = self._coded_size
        if self._orientation.transpose:
            width, height, aspect = height, width, 1 / aspect
        duration = None
        if stream.duration and stream.time_base:
            duration = float(stream.duration * stream.time_base)
        elif container.duration:
            duration = container.duration / av.time_base
        return VideoInfo(
            path=self._path,
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
            has_audio=any(other.type == "audio" for other in container.streams),
        )


def _tells_rate(source: Source) -> bool:
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


def _orientation(frame: VideoFrame) -> Orientation:
    try:
        # The mapping also finds its entries by name, which the type stub does not say.
        matrix = cast(Any, frame.side_data).get("DISPLAYMATRIX")
    except ValueError:
        # PyAV 18 cannot list the side data of a picture with EXIF; the angle is there, mirroring is not.
        return Orientation.from_rotation(frame.rotation)
    return Orientation() if matrix is None else Orientation.from_display_matrix(bytes(matrix))
