"""A video that comes through a pipe: read once, from front to back, frames and sound by one demuxer."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

import av
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from infotok_cli.errors import InputError
from infotok_cli.sound import AudioPacket, AudioTrack
from infotok_cli.video.audio import AudioSource
from infotok_cli.video.left_out import left_out, tags_of
from infotok_cli.video.source import Source
from infotok_cli.video.timed_frames import Presentation, RunningStreams, TimedFrame, TimeRange, tells_rate
from infotok_cli.video.video_info import Pace, VideoInfo

MOST_WAITING_BYTES = 1 << 26
"""Packets of one stream that wait while the other one is read."""

LONGEST_WAIT_SECONDS = 5
"""How far sound may lag behind in the pipe."""
LONGEST_WAIT_FRAMES = 300
"""How far sound may lag behind where packets carry no times."""

COUNTED_SECONDS = 2
"""Time in which frames are counted where the container does not tell their rate."""


class PipeReader:
    """As a file reader, but its frames can be read only once, and it does not seek.

    Raises InputError also for a container that cannot be read from a pipe.
    """

    is_constant: bool
    """Known only of what has no clock of its own: nothing else tells before the end."""

    def __init__(self, pipe: BinaryIO, name: str, *, audio: bool = True) -> None:
        """`name` stands for the pipe in messages; without `audio` its sound is passed over."""
        self._name = name
        self._running = RunningStreams()
        self._source = source = Source(Path(name), pipe)
        self.warnings = left_out(source.container, name, audio=audio)
        self.tags = tags_of(source.container)
        self._video: deque[Packet[VideoStream]] = deque()
        self._heard: deque[AudioPacket] = deque()
        self._waiting = 0
        self._times: list[int] = []
        """Of the first frames, until the frame rate is known."""
        self._is_known = False
        self._track: AudioSource | None = None
        if audio and source.container.streams.audio:
            self._track = AudioSource(source.container, name)
        streams: list[Any] = [source.stream] + ([self._track.stream] if self._track else [])
        self._packets = source.container.demux(*streams)
        self._frames = source.decode(self._video_packets())
        first = next(self._frames, None)
        shown = Presentation.of(source, first)
        self._frames = chain([cast(VideoFrame, first)], self._frames)
        if not tells_rate(source):
            shown = shown.at_rate(self._counted_rate(shown))
        self._is_known = True
        self._shown = shown
        self.info: VideoInfo = shown.info
        self.origin_seconds = shown.origin_seconds
        self.is_constant = not (source.has_clock and source.container.format.name != "yuv4mpegpipe")
        self._wait_for_sound()

    def _wait_for_sound(self) -> None:
        """Read until sound that only its first packet describes has begun, or leave it out."""
        while self._track is not None and self._track.track is None:
            if self._pictures_wait():
                self._track = None
                self.warnings = (
                    *self.warnings,
                    InputError(
                        f"its sound had not begun after {LONGEST_WAIT_SECONDS} seconds of pictures",
                        way_out="it is left out",
                        where=self._name,
                    ),
                )
            elif not self._read_one():
                return

    @property
    def sound(self) -> AudioTrack | None:
        """The sound, which is read together with the frames; None where there is none."""
        return None if self._track is None else self._track.track

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()
        self._source.container.close()

    def timed_frames(
        self,
        start_seconds: float | None = None,
        end_seconds: float | None = None,
        short_side: int | None = None,
    ) -> Iterator[TimedFrame]:
        """Frames with start <= time < end, in seconds after the first one; `FileReader` says more.

        What lies before the start is decoded and passed over.
        """
        wanted = TimeRange(start_seconds or 0.0, end_seconds)
        has_clock = self._source.has_clock
        return self._running.added(self._shown.timed(self._frames, wanted, short_side, has_clock=has_clock))

    def _counted_rate(self, shown: Presentation) -> Fraction:
        """Frames per second, from the times of the first seconds' frames, which wait to be decoded."""
        base, last = shown.info.time_base, shown.first_tick
        while (last - shown.first_tick) * base < COUNTED_SECONDS and self._waiting < MOST_WAITING_BYTES // 4:
            if not self._read_one():
                break
            # Nothing that comes later is shown before this packet is decoded.
            newest = self._video[-1].dts if self._video else None
            last = max(self._times, default=last) if newest is None else newest
        pace = Pace(shown.info.frame_rate, base)
        for tick in self._times:
            if shown.first_tick <= tick <= last:
                pace.add(tick - shown.first_tick)
        return pace.rate()

    @contextmanager
    def sound_packets(self) -> Iterator[Iterator[AudioPacket | None]]:
        """All packets of the sound; those of the frames wait meanwhile.

        None stands for silence: frames have come for so long without sound that they should be shown.
        """
        yield self._sound_packets()

    def _sound_packets(self) -> Iterator[AudioPacket | None]:
        while True:
            while self._heard:
                packet = self._heard.popleft()
                self._waiting -= len(packet.data)
                yield packet
            if self._pictures_wait():
                yield None
            elif not self._read_one():
                return

    def _pictures_wait(self) -> bool:
        if len(self._video) < 2:
            return False
        first, last = self._video[0], self._video[-1]
        if first.dts is None or last.dts is None or last.time_base is None:
            return len(self._video) >= LONGEST_WAIT_FRAMES
        return (last.dts - first.dts) * last.time_base >= LONGEST_WAIT_SECONDS

    def _video_packets(self) -> Iterator[Packet[VideoStream]]:
        while self._video or self._read_one():
            while self._video:
                packet = self._video.popleft()
                self._waiting -= packet.size
                yield packet

    def _read_one(self) -> bool:
        """Read a packet of either stream into its queue; False at the end."""
        try:
            packet = next(self._packets, None)
            self._source.raise_interruption()
        except av.FFmpegError as error:
            self._source.raise_interruption()
            raise InputError(
                "is damaged, or cannot be read without seeking",
                way_out="get a whole copy, or save it to a file first",
                where=self._name,
            ) from error
        if packet is None:
            return False
        if self._track is not None and packet.stream is self._track.stream:
            for sound in self._track.filtered(packet):
                self._heard.append(sound)
                self._waiting += len(sound.data)
        elif packet.stream is self._source.stream:
            self._video.append(packet)
            self._waiting += packet.size
            if not self._is_known and packet.pts is not None and not packet.is_discard:
                self._times.append(packet.pts)
        if self._waiting > MOST_WAITING_BYTES:
            raise InputError(
                "its sound lies too far from its pictures to be read from a pipe",
                way_out="save it to a file first, or leave the sound out with `audio`",
                where=self._name,
            )
        return True
