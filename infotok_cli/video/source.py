"""One opened video file: which stream to read, where to seek, and what counts as damage.

Damage is a corrupt packet, a decoder error, or an end before the place the container's own index
or duration promises. FFmpeg itself only logs these and goes on. Damage that a decoder conceals without an
error (random bits that still parse, a wrong FFV1 checksum) cannot be told from here.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, NoReturn, Self

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from infotok_cli.errors import InputError
from infotok_cli.kinds import HEAD_BYTES, ITK, is_animated_webp, kind_of
from infotok_cli.video.ffmpeg_pipes import ReadOnly

TEXT_FORMATS = frozenset({"tty", "bin", "xbin", "adf", "idf"})
"""FFmpeg demuxers that draw any text file as a picture of a terminal."""

STILL_BRANDS = frozenset({"avif", "heic", "mif1"})

NO_TIMESTAMPS = 0x80
"""AVFMT_NOTIMESTAMPS: raw streams, whose frames carry no times."""

LARGEST_TICK = (1 << 63) - 1

SEEK_STEPS_SECONDS = (0, 10, 100)
"""How much earlier to look when a seek lands behind the frame that was asked for."""

MOST_UNREADABLE = 100
"""Failures of a container one after the other, without a packet between them, after which it ends."""

MISSING_END_SECONDS = Fraction(1, 2)
"""How much earlier than its declared duration a Matroska file may end."""


class _Identity(NamedTuple):
    """What tells one packet of a file from the others."""

    pts: int | None
    dts: int | None
    position: int | None
    size: int
    is_keyframe: bool
    is_discard: bool


def _identity(packet: Packet[Any]) -> _Identity:
    return _Identity(packet.pts, packet.dts, packet.pos, packet.size, packet.is_keyframe, packet.is_discard)


class Source:
    """An open container and its video stream; a context manager.

    Raises InputError, naming the file, if there is no video to be read in it.
    """

    def __init__(self, path: Path, pipe: BinaryIO | None = None) -> None:
        """`pipe`: where the bytes come from, instead of the file `path`, which is then only a name."""
        self.path = path
        self._pipe = None if pipe is None else ReadOnly(pipe, path)
        self.container = _open(path) if self._pipe is None else _open_pipe(path, self._pipe)
        try:
            self.stream = _video_stream(self.container, path)
        except InputError:
            self.container.close()
            raise
        self.stream.thread_type = "AUTO"
        self.stream.codec_context.options = {"err_detect": "explode"}
        name = self.container.format.name
        self.is_still_image = (
            name.endswith("_pipe")
            or name == "image2"
            or self.container.metadata.get("major_brand", "").strip() in STILL_BRANDS
        )
        # AVI counts frames: with B-frames its times are those of decoding, not of showing.
        counts_frames = name == "avi" or bool(self.container.format.flags & NO_TIMESTAMPS)
        self.has_clock = not (self.is_still_image or counts_frames)
        self._first_packet: _Identity | None = None
        self._begin()

    def _begin(self) -> None:
        """Nothing has been decoded yet."""
        self._delivered = 0
        self._decoded = 0
        self._sought = False
        self._last_position = -1
        self._end_tick = 0
        self._first_tick: int | None = None
        """Of what was decoded; the end of it is `_last_tick`."""
        self._last_tick = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the container; a second time does nothing."""
        self.container.close()

    def raise_interruption(self) -> None:
        """Raise what a signal raised while packets were read from a pipe."""
        if self._pipe is not None:
            self._pipe.raise_interruption()

    def packets(self) -> Iterator[Packet[VideoStream]]:
        """All packets of the stream, once; an empty one at the end flushes the decoder."""
        return self.packets_with()

    def packets_with(self, *others: Stream) -> Iterator[Packet[Any]]:
        """All packets of the stream and of `others`, as they lie in the file."""
        for packet in self.container.demux(self.stream, *others):
            if self._first_packet is None and packet.stream is self.stream:
                self._first_packet = _identity(packet)
            yield packet

    def packets_again(self) -> Iterator[Packet[VideoStream]] | None:
        """All packets of the stream, also where some have been read or decoded already.

        None if they cannot be had: the file must then be opened again. What seeking finds is taken for the
        beginning only if it is the very packet that came first.
        """
        first = self._first_packet
        if first is None:
            return self.packets()
        tick = first.pts if first.dts is None else first.dts
        if tick is None:
            return None
        self.rest()
        try:
            self.container.seek(tick, stream=self.stream)
            packets = self.container.demux(self.stream)
            found = next(packets, None)
        except av.FFmpegError:
            return None
        return chain([found], packets) if found is not None and _identity(found) == first else None

    def rest(self) -> None:
        """Forget what was decoded, and let go of the pictures that the decoder holds."""
        self.stream.codec_context.flush_buffers()
        self._begin()

    def packets_before(self, tick: Fraction, first_tick: int) -> Iterator[Packet[VideoStream]] | None:
        """Packets from a key frame shown at or before `tick`; None if seeking finds none."""
        if not self.has_clock:
            return None
        self.rest()
        if self._first_packet is None:
            next(self.packets(), None)  # `packets_again` goes by it
        for seconds in SEEK_STEPS_SECONDS:
            target = min(int(tick - seconds / self._time_base), LARGEST_TICK)
            if target <= first_tick:
                break
            try:
                self.container.seek(target, stream=self.stream)
                packets = self.container.demux(self.stream)
                key = next((packet for packet in packets if packet.is_keyframe), None)
            except av.FFmpegError:
                break
            # Frames shown before their key frame may lean on ones that the seek skipped.
            if key is not None and key.pts is not None and key.pts <= tick:
                self._sought = True
                return chain([key], packets)
        return None

    def decode(self, packets: Iterator[Packet[VideoStream]]) -> Iterator[VideoFrame]:
        """Frames in the order they are shown, from the first key frame on; InputError at damage."""
        started = False
        try:
            for packet in packets:
                started = started or packet.is_keyframe or packet.size == 0
                if not started:
                    continue
                if packet.is_corrupt:
                    # What the decoder still holds is whole, and may be all that was asked for.
                    yield from self._whole(self.stream.decode(None))
                    self._refuse(packet)
                self._note(packet)
                yield from self._whole(packet.decode())
        except av.FFmpegError as error:
            raise InputError(
                f"is damaged {self._place()}", way_out=self._way_out(), where=str(self.path)
            ) from error
        self._check_end()

    def decode_past(
        self, packets: Iterator[Packet[VideoStream]], told: Callable[[InputError], None]
    ) -> Iterator[VideoFrame]:
        """As `decode`, but damage goes to `told`, and frames go on from the next key frame."""
        if not self.stream.codec_context.is_open:
            # Threads that each work on a frame of their own would report damage some frames late.
            self.stream.thread_type = "SLICE"
        waiting = True
        for packet in self._packets_past(packets, told):
            waiting = waiting and (packet.is_corrupt or not packet.is_keyframe)
            if waiting:
                continue
            try:
                if packet.is_corrupt:
                    yield from self._whole(self.stream.decode(None))
                    self._refuse(packet)
                self._note(packet)
                yield from self._whole(packet.decode())
            except (av.FFmpegError, InputError) as error:
                told(self._as_damage(error))
                self.stream.codec_context.flush_buffers()
                waiting = True
        try:
            self._check_end()
        except InputError as error:
            told(error)

    def _packets_past(
        self, packets: Iterator[Packet[VideoStream]], told: Callable[[InputError], None]
    ) -> Iterator[Packet[VideoStream]]:
        """The packets, and those behind what the container cannot be read through, if there are any."""
        failures = 0
        while failures < MOST_UNREADABLE:
            try:
                for packet in packets:
                    failures = 0
                    yield packet
            except av.FFmpegError as error:
                told(self._as_damage(error))
                failures += 1
                packets = self.packets()
            else:
                return

    def _as_damage(self, error: Exception) -> InputError:
        if isinstance(error, InputError):
            return error
        return InputError(f"is damaged {self._place()}", way_out=self._way_out(), where=str(self.path))

    @property
    def _time_base(self) -> Fraction:
        return self.stream.time_base or Fraction(1, av.time_base)

    def _note(self, packet: Packet[VideoStream]) -> None:
        if not packet.size:
            return
        self._delivered += 1
        self._last_position = packet.pos if packet.pos is not None else -1
        if packet.pts is not None:
            self._end_tick = max(self._end_tick, packet.pts + (packet.duration or 0))

    def _whole(self, frames: list[VideoFrame]) -> Iterator[VideoFrame]:
        for frame in frames:
            if frame.is_corrupt:
                raise InputError(f"is damaged {self._place()}", way_out=self._way_out(), where=str(self.path))
            self._decoded += 1
            if frame.pts is not None:
                self._first_tick = frame.pts if self._first_tick is None else self._first_tick
                self._last_tick = frame.pts + (frame.duration or 0)
            yield frame

    def _refuse(self, packet: Packet[VideoStream]) -> NoReturn:
        end = None if packet.pos is None or self._pipe is not None else packet.pos + packet.size
        if end is not None and end >= os.path.getsize(self.path):
            self._refuse_end()
        raise InputError(f"is damaged {self._place()}", way_out=self._way_out(), where=str(self.path))

    def _check_end(self) -> None:
        """Compare where the stream ended with where the container says it does."""
        stream = self.stream
        name = self.container.format.name
        if name == "avi":
            ended_early = self._delivered < stream.frames and not self._sought
        elif name.startswith("mov"):
            entries = stream.index_entries
            ended_early = len(entries) > 0 and self._last_position < entries[-1].pos
        elif name.startswith("matroska"):
            declared = self._declared_end_seconds()
            ended_early = self._end_tick * self._time_base < declared - MISSING_END_SECONDS
        else:
            ended_early = False
        if ended_early:
            self._refuse_end()

    def _declared_end_seconds(self) -> Fraction:
        """End of a Matroska stream: its own tag, else the file's duration if it is alone in it, else 0."""
        tag = self.stream.metadata.get("DURATION", "")
        try:
            hours, minutes, seconds = (Fraction(part) for part in tag.strip("\0 ").split(":"))
            return hours * 3600 + minutes * 60 + seconds
        except ValueError:
            pass
        if len(self.container.streams) == 1 and self.container.duration:
            return Fraction(self.container.duration, av.time_base)
        return Fraction(0)

    def _refuse_end(self) -> NoReturn:
        if self._sought:
            amount = "it ends before its last frame"
        elif self.stream.frames:
            amount = f"{self._decoded} of {self.stream.frames} frames{self._seconds()} could be read"
        else:
            amount = f"{self._decoded} frames{self._seconds()} could be read, more are promised"
        raise InputError(f"is truncated: {amount}", way_out=self._way_out(), where=str(self.path))

    def _place(self) -> str:
        if self._sought:
            return "after the seek"
        return f"after frame {self._decoded}{self._seconds()}"

    def _seconds(self) -> str:
        """How long the frames that could be decoded last, where they have times."""
        if not self.has_clock or self._first_tick is None:
            return ""
        return f" ({float((self._last_tick - self._first_tick) * self._time_base):.3f} s)"

    def _way_out(self) -> str:
        if self._pipe is not None:
            return "get a whole copy, or save it to a file first"
        if self.is_still_image:
            return "get a whole copy"
        return "get a whole copy, or encode what is whole with `skip_bad`"


def _head(path: Path) -> bytes:
    """The first bytes of a file that may hold a video; InputError for what cannot."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise InputError("is a folder, not a video", way_out="name one file", where=str(path))
        if not stat.S_ISREG(mode):
            raise InputError(
                "is not a regular file", way_out="save the video to a file first", where=str(path)
            )
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except FileNotFoundError as error:
        raise InputError("does not exist", way_out="check the name", where=str(path)) from error
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror or error})", way_out="check its permissions", where=str(path)
        ) from error
    if not head:
        raise InputError("is empty (0 bytes)", way_out="get a whole copy", where=str(path))
    if kind_of(head) == ITK:
        raise InputError(
            "is an .itk file already, not a video",
            way_out=f"'infotok decode {path}' makes a video of it",
            where=str(path),
        )
    if is_animated_webp(head):
        raise InputError(
            "is an animated WebP, which FFmpeg cannot read",
            way_out="take it apart with libwebp's anim_dump, and encode the folder of pictures",
            where=str(path),
        )
    return head


def _open(path: Path) -> InputContainer:
    head = _head(path)
    try:
        # With an explicit protocol a name with a colon is not taken for an address, nor one with
        # a percent sign for a pattern of image files.
        container = av.open(
            f"file:{path.absolute()}", mode="r", options={"pattern_type": "none"}, metadata_errors="replace"
        )
    except (av.FFmpegError, ValueError) as error:
        if head[4:8] == b"ftyp":
            raise InputError(
                "is truncated or damaged (no index)", way_out="get a whole copy", where=str(path)
            ) from error
        raise InputError(
            "is not a video", way_out="give a file that FFmpeg can read", where=str(path)
        ) from error
    return _not_text(container, path)


def _open_pipe(path: Path, pipe: ReadOnly) -> InputContainer:
    try:
        container = av.open(pipe, mode="r", metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        pipe.raise_interruption()
        raise InputError(
            "is not a video that can be read from a pipe",
            way_out="give Matroska, MPEG-TS, fragmented MP4 or Y4M, or save it to a file first",
            where=str(path),
        ) from error
    pipe.raise_interruption()
    return _not_text(container, path)


def _not_text(container: InputContainer, path: Path) -> InputContainer:
    if container.format.name in TEXT_FORMATS:
        container.close()
        raise InputError(
            "is not a video but text", way_out="give a file that FFmpeg can read", where=str(path)
        )
    return container


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    best = container.streams.best("video")
    if not streams:
        kinds = sorted({stream.type for stream in container.streams if stream.type != "video"})
        what = f"has only {' and '.join(kinds)}, no video" if kinds else "has no video in it"
        raise InputError(what, way_out="give a file with a video stream", where=str(path))
    chosen = next((stream for stream in streams if stream is best), streams[0])
    if chosen.codec_context is None:
        raise InputError(
            "its video codec is not known to FFmpeg", way_out="convert it to H.264 first", where=str(path)
        )
    return chosen
