"""One opened video file: its packets and frames, where to seek, and what counts as damage.

Damage is a corrupt packet, a decoder error, or an end before the place the container's own index
or duration promises. FFmpeg itself only logs these and goes on. Damage that a decoder conceals without an
error (random bits that still parse, a wrong FFV1 checksum) cannot be told from here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, NoReturn, Self

import av
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from infotok_cli.errors import InputError
from infotok_cli.video.extent import Extent
from infotok_cli.video.ffmpeg_pipes import ReadOnly
from infotok_cli.video.opening import open_file, open_pipe, video_stream

STILL_BRANDS = frozenset({"avif", "heic", "mif1"})

NO_TIMESTAMPS = 0x80
"""AVFMT_NOTIMESTAMPS: raw streams, whose frames carry no times."""

LARGEST_TICK = (1 << 63) - 1

SEEK_STEPS_SECONDS = (0, 10, 100)
"""How much earlier to look when a seek lands behind the frame that was asked for."""

MOST_UNREADABLE = 100
"""Failures of a container one after the other, without a packet between them, after which it ends."""


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
        self.container = open_file(path) if self._pipe is None else open_pipe(path, self._pipe)
        try:
            self.stream = video_stream(self.container, path)
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
        self._extent = Extent(self.container, self.stream, has_clock=self.has_clock)

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
                self._extent.is_sought = True
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
                self._extent.delivered(packet)
                yield from self._whole(packet.decode())
        except av.FFmpegError as error:
            raise self._damage() from error
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
                self._extent.delivered(packet)
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
        return self._damage()

    def _damage(self) -> InputError:
        return self._refusal(f"is damaged {self._extent.place()}")

    def _refusal(self, what: str) -> InputError:
        if self._pipe is not None:
            way_out = "get a whole copy, or save it to a file first"
        elif self.is_still_image:
            way_out = "get a whole copy"
        else:
            way_out = "get a whole copy, or encode what is whole with `skip_bad`"
        return InputError(what, way_out=way_out, where=str(self.path))

    @property
    def _time_base(self) -> Fraction:
        return self.stream.time_base or Fraction(1, av.time_base)

    def _whole(self, frames: list[VideoFrame]) -> Iterator[VideoFrame]:
        for frame in frames:
            if frame.is_corrupt:
                raise self._damage()
            self._extent.decoded(frame)
            yield frame

    def _refuse(self, packet: Packet[VideoStream]) -> NoReturn:
        end = None if packet.pos is None or self._pipe is not None else packet.pos + packet.size
        if end is not None and end >= os.path.getsize(self.path):
            raise self._refusal(f"is truncated: {self._extent.amount()}")
        raise self._damage()

    def _check_end(self) -> None:
        if self._extent.ends_early():
            raise self._refusal(f"is truncated: {self._extent.amount()}")
