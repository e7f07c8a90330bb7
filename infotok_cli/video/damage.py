"""Going on past damage: which stretches of a video were lost, what stands for them, and how that is told."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

from infotok_cli.errors import InputError
from infotok_cli.sound import AudioPacket
from infotok_cli.video.timed_frames import TimedFrame

NAMED_STRETCHES = 5
"""Damaged stretches that a warning names; more are counted."""


class Damage:
    """What of a video could not be decoded, gathered while its frames are read."""

    def __init__(self, frame_rate: Fraction, name: str) -> None:
        self._rate, self._name = frame_rate, name
        self._first: InputError | None = None
        self._pending = False
        self._stretches: list[tuple[Fraction, Fraction]] = []
        self._end: Fraction | None = None
        """When the last frame ends, if nothing could be decoded after it."""

    def add(self, error: InputError) -> None:
        """The decoder met damage, and looks for frames behind it."""
        self._first = self._first or error
        self._pending = True

    def bridged(self, frames: Iterator[TimedFrame], *, fill: bool) -> Generator[TimedFrame]:
        """The frames, noting what is missing between them; `fill` repeats the last one for what is."""
        last: TimedFrame | None = None
        end = Fraction(0)
        for timed in frames:
            if self._pending:
                self._pending = False
                self._stretches.append((end, timed.seconds))
                missing = round((timed.seconds - end) * self._rate) if fill and last is not None else 0
                for number in range(missing):
                    assert last is not None
                    yield replace(last, seconds=end + number / self._rate, shown_seconds=None)
            last, end = timed, timed.seconds + (timed.shown_seconds or 1 / self._rate)
            yield timed
        if self._pending:
            self._end = end

    def warning(self, total_seconds: float | None) -> InputError | None:
        """What was lost, in one line; `total_seconds`: of the whole video, as far as its container tells."""
        if self._first is None:
            return None
        what, parts = self._first.what, []
        if self._stretches:
            what = f"is damaged {_in_words(self._stretches)}"
            parts.append("the last frame before it stands for that time")
        if self._end is not None:
            rest = (total_seconds or 0) - float(self._end)
            missing = f", the {rest:.3f} s after them are lost" if rest > 0 else ""
            parts.append(f"the first {float(self._end):.3f} s are encoded{missing}")
        return InputError(what, way_out="; ".join(parts), where=self._name)


class SoundDamage:
    """What of a sound track could not be read, gathered while its packets are."""

    def __init__(self, time_base: Fraction, name: str) -> None:
        self._time_base, self._name = time_base, name
        self._is_met = self._pending = self._is_heard = False
        self._stretches: list[tuple[Fraction, Fraction]] = []
        self._end: Fraction | None = None
        """When the last packet ends, if none could be read after it."""

    def add(self) -> None:
        """A packet was damaged or missing."""
        self._is_met = self._pending = True

    def noted(self, packets: Iterator[AudioPacket]) -> Iterator[AudioPacket]:
        """The packets as they are, noting what is missing between them: nothing is heard meanwhile."""
        end: int | None = None
        for packet in packets:
            if self._pending and end is not None:
                self._stretches.append((end * self._time_base, packet.time * self._time_base))
            self._pending, self._is_heard = False, True
            end = packet.time + packet.duration
            yield packet
        if self._pending and end is not None:
            self._end = end * self._time_base

    def warning(self, origin_seconds: Fraction) -> InputError | None:
        """What was lost, in one line; origin_seconds: when the first frame is shown, by the sound's clock."""
        if not self._is_met:
            return None
        stretches = [(start - origin_seconds, end - origin_seconds) for start, end in self._stretches]
        parts = ["silence stands for that time"] if stretches else []
        if self._end is not None:
            parts.append(f"what is heard after {float(self._end - origin_seconds):.3f} s is lost")
        what = f"its sound is damaged {_in_words(stretches)}".rstrip()
        lost = "its beginning" if self._is_heard else "all of it"
        return InputError(what, way_out="; ".join(parts) or f"{lost} is left out", where=self._name)


def _in_words(stretches: Sequence[tuple[Fraction, Fraction]]) -> str:
    """When they are, in seconds; the first few of many."""
    told = [f"from {float(start):.3f} s to {float(end):.3f} s" for start, end in stretches[:NAMED_STRETCHES]]
    more = len(stretches) - len(told)
    return ", ".join(told) + (f" and {more} times more" if more else "")
