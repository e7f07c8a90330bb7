"""Reads an .itk file from front to back, as a pipe gives it: no seeking, one segment in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

from infotok_cli.container import layout
from infotok_cli.container.cut_short import segment_cut_short
from infotok_cli.container.header import Header, counts_fault, unpack_header
from infotok_cli.container.layout import IndexEntry, Segment, unpack_segment_start
from infotok_cli.container.sections import FRAME_BYTES, Frame, pack_footer, unpack_frame
from infotok_cli.container.tags import tags_of
from infotok_cli.container.tracks import unpack_audio, unpack_times
from infotok_cli.errors import InputError
from infotok_cli.files import PatientInput
from infotok_cli.sound import AudioPacket
from infotok_cli.tags import NO_TAGS, Tags
from infotok_cli.wording import counted

_COPY = "copy it again, or save it to a file and use 'infotok repair'"


@dataclass(frozen=True)
class StreamedSegment:
    """A segment with what belongs to it."""

    segment: Segment
    durations: list[int]
    """Ticks that each coded frame is shown; empty without frame times."""
    packets: list[AudioPacket]


class ItkStream:
    """`header` at once, then `segments`, once. Every byte is checked, the index too when it comes at the end.

    Whatever the bytes are, the only exception is InputError.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        """Read magic and header of `file`, which `name` stands for in messages."""
        self.name = name
        self.frames = 0
        """Frames that the segments read so far show."""
        self.ticks = 0
        """When they end, in a file with frame times."""
        self.size_bytes = 0
        """Bytes read so far."""
        self.cut: StreamedSegment | None = None
        """What had arrived of the segment in which the stream ended, without its sound."""
        self._file = PatientInput(file)
        self._ended = False
        self._arrived = bytearray()
        """What was read last, also where there was to be more."""
        self._entries = bytearray()
        """What the index must say of all segments but the last one read."""
        self._number = 0
        self._last: IndexEntry | None = None
        self._section_at = 0
        self._next: Frame | None = None
        """Of the section whose payload is next; None where that is not read yet."""
        self._check_magic()
        frame, payload = self._section()
        if frame.kind != layout.HEAD:
            raise self._error("has no header after its first bytes", _COPY)
        try:
            self.header: Header = unpack_header(payload)
        except InputError as error:
            raise self._error(f"header: {error.what}", error.way_out or "encode the video again") from error
        self.tags = self._read_tags()
        """Title and date of the video."""

    def _read_tags(self) -> Tags:
        """What the section behind the header says, if it is one of tags."""
        self._section_at = self.size_bytes
        self._next = self._frame()
        if self._next.kind != layout.TAGS:
            return NO_TAGS
        at, (_, payload) = self._section_at, self._section()
        try:
            return tags_of(payload, at)
        except InputError as error:
            raise self._error(error.what, _COPY) from error

    def _check_magic(self) -> None:
        for byte in layout.MAGIC:
            if self._read(1, "the magic")[0] != byte:
                raise self._error(
                    "is not an .itk file (wrong first bytes)", "give one made by 'infotok encode'"
                )

    def place(self, number: int) -> str:
        """Segment `number` in words."""
        return f"segment {number}"

    def damaged(self, number: int, what: str) -> InputError:
        """The error, to be raised, that segment `number` is damaged; `what` says how."""
        return self._error(f"{self.place(number)} is damaged, {what}", _COPY)

    def segments(self) -> Iterator[StreamedSegment]:
        """All segments in order; InputError where the stream is damaged or ends early, after all before."""
        while True:
            frame, payload = self._section()
            at = self._section_at
            if frame.kind == layout.INDX:
                self._check_end(at, payload)
                return
            if frame.kind == layout.SEGM:
                yield self._segment(at, frame, payload)
            else:
                self._pass_over(at, frame)

    def _segment(self, at: int, frame: Frame, payload: bytes) -> StreamedSegment:
        found = unpack_segment_start(payload, len(payload))
        if found is None:
            raise self._broken("its start says what none can say")
        first_frame, counts = found
        fault = counts_fault(self.header, counts)
        if fault is None and first_frame != self.frames:
            fault = "it is out of its place"
        if fault is None and self._number >= layout.MAX_SEGMENTS:
            fault = "there are too many"
        if fault is not None:
            raise self._broken(fault)
        segment = layout.segment_of_payload(payload, counts, self._number)
        assert segment is not None  # its length is what `unpack_segment_start` counted from
        durations: list[int] = []
        try:
            durations, time_length = self._times(counts.frames)
            packets, audio_length = self._audio()
        except InputError:
            self._note_cut(segment, durations)
            raise
        self._enter(
            IndexEntry(
                counts=counts,
                offset=at,
                length=frame.total,
                ticks=sum(durations[counts.trim_start : len(durations) - counts.trim_end]),
                time_length=time_length,
                audio_length=audio_length,
            )
        )
        return StreamedSegment(segment, durations, packets)

    def _note_cut(self, segment: Segment | None, durations: list[int]) -> None:
        """Keep what there is of a segment, if it is the stream's end that cuts it and no damage."""
        if self._ended and segment is not None:
            self.cut = StreamedSegment(segment, durations, [])

    def _enter(self, entry: IndexEntry) -> None:
        """Note what the index must say of a segment."""
        if self._last is not None:
            self._entries += self._last.pack(self.header.index_fields)
        self._last = entry
        self.ticks += entry.ticks
        self.frames += entry.counts.shown
        self._number += 1

    def _pass_over(self, at: int, frame: Frame) -> None:
        """Go on behind a section that is not known here; raises InputError if it must be understood."""
        try:
            frame.check_passed_over(at)
        except InputError as error:
            raise self._error(error.what, error.way_out or _COPY) from error
        if self._last is not None:
            self._last = replace(self._last, other_length=self._last.other_length + frame.total)

    def _times(self, frames: int) -> tuple[list[int], int]:
        """Durations of the segment that was read last, and the bytes of their section."""
        if not self.header.has_times:
            return [], 0
        frame, payload = self._track(layout.TIME, "times")
        try:
            first_frame, first_tick, durations = unpack_times(payload, frames)
        except InputError as error:
            raise self._broken(f"its times hold {error.what}") from error
        if (first_frame, first_tick) != (self.frames, self.ticks):
            raise self._broken("its times are those of another segment")
        return durations, frame.total

    def _audio(self) -> tuple[list[AudioPacket], int]:
        """Packets of the segment that was read last, and the bytes of their section."""
        if self.header.audio is None:
            return [], 0
        frame, payload = self._track(layout.AUDI, "sound")
        try:
            first_frame, packets = unpack_audio(payload)
        except InputError as error:
            raise self._broken(f"its sound holds {error.what}") from error
        if first_frame != self.frames:
            raise self._broken("its sound is that of another segment")
        return packets, frame.total

    def _track(self, kind: bytes, what: str) -> tuple[Frame, bytes]:
        at = self.size_bytes
        frame, payload = self._section()
        if frame.kind != kind:
            if not frame.is_known:
                self._pass_over(at, frame)
            raise self._broken(f"its {what} are missing")
        return frame, payload

    def _check_end(self, at: int, payload: bytes) -> None:
        """Index and footer must say what was read, and be the end."""
        last = b"" if self._last is None else self._last.pack(self.header.index_fields)
        footer = self._read(layout.FOOTER_STRUCT.size, "the footer")
        if not self._number or payload != self._entries + last or footer != pack_footer(at):
            raise self._error("has an index that contradicts its segments", _COPY)
        if self._file.read(1):
            raise self._error(f"continues after its end at byte {self.size_bytes}", _COPY)

    def _section(self) -> tuple[Frame, bytes]:
        """The next section, whose checksum is right; `_section_at` is where it starts."""
        if self._next is None:
            self._section_at = self.size_bytes
            self._next = self._frame()
        frame, self._next = self._next, None
        try:
            payload = self._read(frame.length, "a section")
        except InputError:
            if frame.kind == layout.SEGM:
                arrived = bytes(self._arrived)
                self._note_cut(
                    segment_cut_short(arrived, frame.length, self.header, self._number, self.frames), []
                )
            raise
        if not frame.holds(payload):
            raise self._broken("checksum differs")
        return frame, payload

    def _frame(self) -> Frame:
        """The start of a section."""
        frame = unpack_frame(self._read(FRAME_BYTES, "a section"))
        if not frame.is_possible:
            raise self._broken("a section of wrong type or length")
        return frame

    def _read(self, length: int, what: str) -> bytes:
        """Exactly this many bytes; the memory grows with what arrives, not with what a length claims."""
        arrived = self._arrived = bytearray()
        while len(arrived) < length:
            try:
                part = self._file.read(min(length - len(arrived), 1 << 20))
            except OSError as error:
                raise self._error(
                    f"cannot be read ({error.strerror})", "check where it comes from"
                ) from error
            if not part:
                self._ended = True
                raise self._cut_off(what)
            arrived += part
            self.size_bytes += len(part)
        return bytes(arrived)

    def _cut_off(self, what: str) -> InputError:
        if not self.size_bytes:
            return self._error("is empty", "give an .itk file")
        at = f"at byte {self.size_bytes}, inside {what}, with {self._whole} before"
        return self._error(f"is truncated {at}", _COPY)

    def _broken(self, what: str) -> InputError:
        return self._error(f"is damaged after {self._whole} (byte {self.size_bytes}), {what}", _COPY)

    @property
    def _whole(self) -> str:
        return counted(self._number, "whole segment")

    def _error(self, what: str, way_out: str) -> InputError:
        return InputError(what, way_out=way_out, where=self.name)
