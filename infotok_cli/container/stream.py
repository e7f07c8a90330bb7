"""Reads an .itk file from front to back, as a pipe gives it: no seeking, one segment in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from infotok_cli.container import layout
from infotok_cli.container.header import Header, counts_fault, unpack_header
from infotok_cli.container.layout import IndexEntry, Segment, unpack_segment_start
from infotok_cli.container.tracks import unpack_audio, unpack_times
from infotok_cli.errors import InputError
from infotok_cli.files import PatientInput
from infotok_cli.sound import AudioPacket

AGAIN = "copy it again, or save it to a file and use 'infotok repair'"


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
        self._file = PatientInput(file)
        self._entries = bytearray()
        self._number = 0
        self._check_magic()
        kind, payload = self._section()
        if kind != layout.HEAD:
            raise self._error(f"has no header after its first bytes: {AGAIN}")
        try:
            self.header: Header = unpack_header(payload)
        except InputError as error:
            way_out = "" if "update infotok" in str(error) else ": encode the video again"
            raise self._error(f"header: {error}{way_out}") from error

    def _check_magic(self) -> None:
        for byte in layout.MAGIC:
            if self._read(1, "the magic")[0] != byte:
                raise self._error("is no .itk file (wrong first bytes): give one made by 'infotok encode'")

    def place(self, number: int) -> str:
        """Segment `number` in words."""
        return f"segment {number}"

    def segments(self) -> Iterator[StreamedSegment]:
        """All segments in order; InputError where the stream is damaged or ends early, after all before."""
        while True:
            at = self.size_bytes
            kind, payload = self._section()
            if kind == layout.INDX:
                self._check_end(at, payload)
                return
            if kind != layout.SEGM:
                raise self._damaged("a section out of place")
            yield self._segment(at, payload)

    def _segment(self, at: int, payload: bytes) -> StreamedSegment:
        header, version = self.header, self.header.format_version
        start = layout.SEGMENT_STRUCTS[version]
        if len(payload) < start.size:
            raise self._damaged("too short")
        number, first, counts = unpack_segment_start(version, payload)
        if counts is None:
            raise self._damaged("unknown flags")
        fault = counts_fault(header, counts)
        length = layout.SECTION_STRUCT.size + len(payload)
        if fault is None and (number, first or 0) != (self._number, self.frames if version > 1 else 0):
            fault = "it is out of its place"
        if fault is None and counts.section_bytes(version) != length:
            fault = "its length is wrong"
        if fault is None and version == 1 and self.frames != self._number * header.segment_frames:
            fault = "it follows a short one"
        if fault is None and self._number >= layout.MAX_SEGMENTS:
            fault = "there are too many"
        if fault is not None:
            raise self._damaged(fault)
        middle = start.size + counts.map_bytes
        segment = Segment(
            number, counts.frames, counts.tokens, payload[start.size : middle], payload[middle:],
            counts.trim_start, counts.trim_end, counts.lost,
        )  # fmt: skip
        durations, time_length = self._times(counts.frames)
        packets, audio_length = self._audio()
        entry = IndexEntry(
            **vars(counts),
            offset=at,
            length=length,
            first_tick=self.ticks,
            time_length=time_length,
            audio_length=audio_length,
        )
        self._entries += entry.pack_tracks() if header.has_tracks else counts.pack_entry(version, at)
        self.ticks += sum(durations[counts.trim_start : len(durations) - counts.trim_end])
        self.frames += counts.shown
        self._number += 1
        return StreamedSegment(segment, durations, packets)

    def _times(self, frames: int) -> tuple[list[int], int]:
        if not self.header.has_times:
            return [], 0
        payload = self._track(layout.TIME, layout.TIME_STRUCT.size)
        try:
            number, first, durations = unpack_times(payload, frames)
        except InputError as error:
            raise self._damaged(str(error)) from error
        if (number, first) != (self._number, self.ticks):
            raise self._damaged("its times are those of another segment")
        return durations, layout.SECTION_STRUCT.size + len(payload)

    def _audio(self) -> tuple[list[AudioPacket], int]:
        if self.header.audio is None:
            return [], 0
        payload = self._track(layout.AUDI, layout.AUDIO_STRUCT.size)
        try:
            number, packets = unpack_audio(payload)
        except InputError as error:
            raise self._damaged(str(error)) from error
        if number != self._number:
            raise self._damaged("its sound is that of another segment")
        return packets, layout.SECTION_STRUCT.size + len(payload)

    def _track(self, expected: bytes, least: int) -> bytes:
        kind, payload = self._section()
        if kind != expected or len(payload) < least:
            raise self._damaged("its times or its sound are missing")
        return payload

    def _check_end(self, at: int, payload: bytes) -> None:
        """Index and footer must say what was read, and be the end."""
        header = self.header
        totals = (self._number, self.frames, *([self.ticks] if header.has_tracks else []))
        expected = layout.INDEX_STRUCTS[header.index_layout].pack(*totals) + bytes(self._entries)
        footer = self._read(layout.FOOTER_STRUCT.size, "the footer")
        if not self._number or payload != expected or footer != layout.pack_footer(at):
            raise self._error(f"its index contradicts its segments: {AGAIN}")
        if self._file.read(1):
            raise self._error(f"goes on after its end at byte {self.size_bytes}: {AGAIN}")

    def _section(self) -> tuple[bytes, bytes]:
        """Type and payload of the next section, whose checksum is right."""
        frame = self._read(layout.SECTION_STRUCT.size, "a section")
        kind, length, check = layout.SECTION_STRUCT.unpack(frame)
        if length > layout.MAX_PAYLOAD_BYTES.get(kind, -1):
            raise self._damaged("a section of wrong type or length")
        payload = self._read(length, "a section")
        if check != layout.section_crc(kind, length, payload):
            raise self._damaged("checksum differs")
        return kind, payload

    def _read(self, length: int, what: str) -> bytes:
        """Exactly so many bytes; the memory grows with what arrives, not with what a length claims."""
        parts, missing = [], length
        while missing:
            try:
                part = self._file.read(min(missing, 1 << 20))
            except OSError as error:
                raise self._error(f"cannot be read ({error.strerror}): check where it comes from") from error
            if not part:
                raise self._error(self._cut_off(what))
            parts.append(part)
            missing -= len(part)
            self.size_bytes += len(part)
        return b"".join(parts)

    def _cut_off(self, what: str) -> str:
        if not self.size_bytes:
            return "is empty: give an .itk file"
        whole = f"{self._number} whole segment{'s' if self._number != 1 else ''}"
        return f"is truncated at byte {self.size_bytes}, inside {what}, with {whole} before: {AGAIN}"

    def _damaged(self, what: str) -> InputError:
        place = f"after {self._number} whole segment{'s' if self._number != 1 else ''}"
        return self._error(f"is damaged {place} (byte {self.size_bytes}), {what}: {AGAIN}")

    def _error(self, message: str) -> InputError:
        return InputError(str(message), where=str(self.name))
