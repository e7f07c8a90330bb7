"""Which packets of a sound track are heard with the frames that are shown, and when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from infotok_cli.sound import AudioPacket, units_at

SLACK_UNITS = 2
"""Packets were given to segments by times that were rounded; a cut rounds them anew."""


@dataclass(frozen=True)
class Span:
    """When a segment is shown, in seconds from the start of the file, and where it is cut."""

    coded_start: Fraction
    """When its first coded frame would be shown: packet times count from there."""
    start: Fraction
    end: Fraction
    cut_start: bool = False
    """Whether coded frames before `start` are not shown; what is heard with them is not heard either."""
    cut_end: bool = False


class SoundCut:
    """Takes the packets of segments in order and gives those that are heard, with times of the output.

    A packet is heard when its middle lies in the time its segment is shown. What lies before the first
    segment or behind the last is heard too, if these are not cut there: sound may start before the
    pictures (a codec's priming does) and last longer.
    """

    def __init__(self, time_base: Fraction, origin: Fraction) -> None:
        """`origin`: the moment of the file, in seconds, that becomes 0."""
        self._time_base = time_base
        self._origin = units_at(origin, time_base)
        self._tail: list[AudioPacket] = []
        self._first = True
        self._last_time: int | None = None

    def heard(self, packets: Iterable[AudioPacket], span: Span) -> list[AudioPacket]:
        """Packets of the next segment that are heard; some of its last ones may come with `rest` instead."""
        base = units_at(span.coded_start, self._time_base)
        moved = [AudioPacket(base + packet.time, packet.duration, packet.data) for packet in packets]
        if span.cut_start or not self._first:
            start = units_at(span.start, self._time_base) - (0 if span.cut_start else SLACK_UNITS)
            moved = [packet for packet in moved if not packet.is_before(start)]
        end = units_at(span.end, self._time_base) + (0 if span.cut_end else SLACK_UNITS)
        self._first = False
        self._tail = [] if span.cut_end else [packet for packet in moved if not packet.is_before(end)]
        return self._placed([packet for packet in moved if packet.is_before(end)])

    def rest(self) -> list[AudioPacket]:
        """What is heard after the last frame of the last segment."""
        return self._placed(self._tail)

    def _placed(self, packets: Sequence[AudioPacket]) -> list[AudioPacket]:
        """Packets with times of the output, which only grow."""
        placed = []
        for packet in packets:
            time = packet.time - self._origin
            if self._last_time is not None and time <= self._last_time:
                time = self._last_time + 1
            self._last_time = time
            placed.append(AudioPacket(time, packet.duration, packet.data))
        return placed
