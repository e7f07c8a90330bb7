"""How far the decoding of a video has come, and whether that is as far as its container promises."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

MISSING_END_SECONDS = Fraction(1, 2)
"""How much earlier than its declared duration a Matroska file may end."""


class Extent:
    """What one run over a stream has delivered and decoded so far."""

    def __init__(self, container: InputContainer, stream: VideoStream, *, has_clock: bool) -> None:
        self._container, self._stream, self._has_clock = container, stream, has_clock
        self.is_sought = False
        """Whether the run began somewhere inside."""
        self._packets = self._frames = 0
        self._last_position = -1
        """Of a packet, in bytes from the start of the file."""
        self._end_tick = 0
        """Of what was delivered; what was decoded lies between the next two."""
        self._first_tick: int | None = None
        self._last_tick = 0

    def delivered(self, packet: Packet[Any]) -> None:
        """Note a packet that goes to the decoder."""
        if not packet.size:
            return
        self._packets += 1
        self._last_position = packet.pos if packet.pos is not None else -1
        if packet.pts is not None:
            self._end_tick = max(self._end_tick, packet.pts + (packet.duration or 0))

    def decoded(self, frame: VideoFrame) -> None:
        """Note a whole frame."""
        self._frames += 1
        if frame.pts is not None:
            self._first_tick = frame.pts if self._first_tick is None else self._first_tick
            self._last_tick = frame.pts + (frame.duration or 0)

    def ends_early(self) -> bool:
        """Whether a run that has ended did so before the place where the container says the stream ends."""
        stream, name = self._stream, self._container.format.name
        if name == "avi":
            return self._packets < stream.frames and not self.is_sought
        if name.startswith("mov"):
            entries = stream.index_entries
            return len(entries) > 0 and self._last_position < entries[-1].pos
        if name.startswith("matroska"):
            return self._end_tick * self._time_base < self._declared_end_seconds() - MISSING_END_SECONDS
        return False

    def _declared_end_seconds(self) -> Fraction:
        """End of a Matroska stream: its own tag, else the file's duration if it is alone in it, else 0."""
        tag = self._stream.metadata.get("DURATION", "")
        try:
            hours, minutes, seconds = (Fraction(part) for part in tag.strip("\0 ").split(":"))
            return hours * 3600 + minutes * 60 + seconds
        except ValueError:
            pass
        if len(self._container.streams) == 1 and self._container.duration:
            return Fraction(self._container.duration, av.time_base)
        return Fraction(0)

    @property
    def _time_base(self) -> Fraction:
        return self._stream.time_base or Fraction(1, av.time_base)

    def amount(self) -> str:
        """How much there was of a stream that is truncated, in words."""
        if self.is_sought:
            return "it ends before its last frame"
        if self._stream.frames:
            return f"{self._frames} of {self._stream.frames} frames{self._seconds()} could be read"
        return f"{self._frames} frames{self._seconds()} could be read, more are promised"

    def place(self) -> str:
        """Where the run has come to, in words."""
        return "after the seek" if self.is_sought else f"after frame {self._frames}{self._seconds()}"

    def _seconds(self) -> str:
        """How long the frames that could be decoded last, where they have times."""
        if not self._has_clock or self._first_tick is None:
            return ""
        return f" ({float((self._last_tick - self._first_tick) * self._time_base):.3f} s)"
