"""Finds what is whole in a file whose index is lost, and says how such a file ends.

Sections are followed from the header on; past damage the next one is searched for by its type and is
believed only if its counts are allowed and its checksum is right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from infotok_cli.container import layout
from infotok_cli.container.header import Header, counts_fault
from infotok_cli.container.index import ROW_TYPES, SegmentIndex, entry_rows, index_fault
from infotok_cli.container.layout import IndexEntry
from infotok_cli.container.tracks import unpack_times
from infotok_cli.errors import InputError

CHUNK_BYTES = 1 << 20
FIRST_STEP_BYTES = 256
FARTHEST_TICK = layout.MAX_TICKS // 2
"""Where times end that a search has to make up."""
SEARCH_FACTOR = 8
"""A search reads at most so many times the size of the file, whatever the bytes look like."""
_STARTS = re.compile(b"|".join((layout.SEGM, layout.INDX)))


@dataclass(frozen=True)
class Section:
    """A section whose checksum is right."""

    kind: bytes
    offset: int
    length: int
    """Bytes, frame included, and those of the TIME and AUDI sections that follow a segment."""
    number: int = 0
    """Of a segment, as are the next two."""
    first_frame: int | None = None
    """None in version 1."""
    entry: IndexEntry | None = None
    ticks: int | None = None
    """How long the segment is shown; None where that is not known."""

    @property
    def end(self) -> int:
        return self.offset + self.length


class _Scanner:
    """Looks for whole sections of one file. An OSError of `file` is not caught."""

    def __init__(self, file: BinaryIO, header: Header) -> None:
        self._file = file
        self._header = header
        self.size = file.seek(0, 2)
        self._budget = SEARCH_FACTOR * self.size + CHUNK_BYTES

    def section(self, at: int) -> Section | None:
        """The whole SEGM or INDX section at `at`, or None."""
        kind, length, check = self._frame(at)
        entry, number, first = None, 0, None
        start = layout.SEGMENT_STRUCTS[self._header.format_version]
        body = at + layout.SECTION_STRUCT.size
        smallest = start.size if kind == layout.SEGM else layout.INDEX_STRUCT.size
        limit = layout.MAX_PAYLOAD_BYTES[kind] if kind in (layout.SEGM, layout.INDX) else -1
        if not smallest <= length <= min(limit, self.size - body):
            return None
        if kind == layout.SEGM:
            version = self._header.format_version
            payload = self._read(body, start.size)
            number, first, counts = layout.unpack_segment_start(version, payload)
            whole = layout.SECTION_STRUCT.size + length
            if counts is None or counts.section_bytes(version) != whole or number >= layout.MAX_SEGMENTS:
                return None
            if counts_fault(self._header, counts) is not None:
                return None
            entry = IndexEntry(offset=at, length=whole, **vars(counts))
        if self._budget < length or self._crc(kind, body, length) != check:
            return None
        section = Section(kind, at, layout.SECTION_STRUCT.size + length, number, first, entry)
        return section if entry is None else self._with_tracks(section, entry)

    def _with_tracks(self, section: Section, entry: IndexEntry) -> Section:
        """A segment with the TIME and AUDI sections that follow it, as far as they are whole."""
        first_tick, ticks, time_length, audio_length = 0, None, 0, 0
        if self._header.has_times:
            payload = self._track(section.end, layout.TIME)
            if payload is not None:
                try:
                    _, first_tick, durations = unpack_times(payload, entry.frames)
                except InputError:
                    return section
                time_length = layout.SECTION_STRUCT.size + len(payload)
                ticks = sum(durations[entry.trim_start : entry.frames - entry.trim_end])
        if self._header.audio is not None and (time_length or not self._header.has_times):
            payload = self._track(section.end + time_length, layout.AUDI)
            audio_length = 0 if payload is None else layout.SECTION_STRUCT.size + len(payload)
        entry = replace(entry, first_tick=first_tick, time_length=time_length, audio_length=audio_length)
        length = section.length + time_length + audio_length
        return replace(section, length=length, entry=entry, ticks=ticks)

    def _track(self, at: int, kind: bytes) -> bytes | None:
        """Payload of the section of this kind at `at`, if it is whole."""
        found, length, check = self._frame(at)
        body = at + layout.SECTION_STRUCT.size
        least = layout.TIME_STRUCT.size if kind == layout.TIME else layout.AUDIO_STRUCT.size
        most = min(layout.MAX_PAYLOAD_BYTES[kind], self.size - body, self._budget)
        if found != kind or not least <= length <= most or self._crc(kind, body, length) != check:
            return None
        return self._read(body, length)

    def most_segments(self) -> int:
        """Segments that a file of this size can have held, each in the fewest bytes."""
        smallest = layout.segment_section_bytes(0, 0, self._header.format_version)
        return min(layout.MAX_SEGMENTS, self.size // smallest)

    def next_section(self, at: int) -> Section | None:
        """The first whole section that starts at `at` or later, by search; None if there is none."""
        overlap = len(layout.SEGM) - 1
        # Short steps first: the next section is most often near, and there may be many gaps.
        step = FIRST_STEP_BYTES
        while at < self.size and self._budget > 0:
            chunk = self._read(at, min(step, self.size - at))
            self._budget -= len(chunk)
            step = min(2 * step, CHUNK_BYTES)
            for found in _STARTS.finditer(chunk):
                section = self.section(at + found.start())
                if section is not None:
                    return section
            at += max(1, len(chunk) - overlap)
        return None

    def index_of(self, section: Section, head_end: int) -> SegmentIndex | None:
        """Entries of an INDX section, if they fit the file."""
        count_at = section.offset + layout.SECTION_STRUCT.size
        payload = self._read(count_at, section.length - layout.SECTION_STRUCT.size)
        index = index_of_payload(payload, self._header)
        if isinstance(index, str) or index_fault(index, self._header, head_end, section.offset):
            return None
        return index

    def _frame(self, at: int) -> tuple[bytes, int, int]:
        frame = self._read(at, layout.SECTION_STRUCT.size)
        if len(frame) < layout.SECTION_STRUCT.size:
            return b"", 0, 0
        kind, length, check = layout.SECTION_STRUCT.unpack(frame)
        return kind, length, check

    def _crc(self, kind: bytes, at: int, length: int) -> int:
        self._budget -= length
        crc = layout.section_crc(kind, length)
        for start in range(at, at + length, CHUNK_BYTES):
            crc = layout.crc32c(self._read(start, min(CHUNK_BYTES, at + length - start)), crc)
        return crc

    def _read(self, at: int, length: int) -> bytes:
        self._file.seek(at)
        return self._file.read(length)


def index_of_payload(payload: bytes, header: Header) -> SegmentIndex | str:
    """Index of an INDX payload, or what is wrong with its counts."""
    start = layout.INDEX_STRUCTS[header.index_layout]
    row = ROW_TYPES[header.index_layout].itemsize
    entries = payload[start.size :]
    if len(payload) < start.size or len(entries) % row:
        return "has no whole number of entries"
    count, total_frames, *ticks = start.unpack_from(payload)
    if not 1 <= count <= layout.MAX_SEGMENTS or count != len(entries) // row:
        return "counts contradict each other"
    index = SegmentIndex.of_payload(entries, header.index_layout, *ticks)
    return index if total_frames == index.total_frames else "counts contradict each other"


def explain_missing_end(file: BinaryIO, head_end: int, header: Header) -> str:
    """Walk the sections of `file` from the byte after its header; one line on where they end."""
    scanner = _Scanner(file, header)
    at, whole, frames = head_end, 0, 0
    section = scanner.section(at)
    while section is not None and section.entry is not None:
        whole, frames, at = whole + 1, frames + section.entry.shown, section.end
        section = scanner.section(at)
    seconds = float(frames / header.frame_rate)
    kept = f"{whole} whole segment{'s' if whole != 1 else ''} ({seconds:.3f} s)"
    if section is not None:
        footer_end = section.end + layout.FOOTER_STRUCT.size
        file.seek(section.end)
        if scanner.size > footer_end and file.read(layout.FOOTER_STRUCT.size).endswith(layout.END_MAGIC):
            extra = scanner.size - footer_end
            return f"has {extra} trailing byte{'s' * (extra != 1)} after its end at byte {footer_end}"
        if scanner.size >= footer_end:
            return f"has a damaged footer at byte {section.end}, after {kept}"
    return f"is truncated at byte {scanner.size} (no footer), with {kept} before byte {at}"


def find_segments(file: BinaryIO, head_end: int, header: Header) -> SegmentIndex:
    """Index of what is left of a file whose own index cannot be found through its footer.

    An index that is whole is believed, so that damaged segments keep their place. Otherwise whole
    segments are listed, and lost ones between them, with length 0, as far as numbers tell; how much is
    lost after the last whole one nobody knows. The index is empty if nothing is left.
    """
    scanner = _Scanner(file, header)
    parts: list[NDArray[np.void]] = []
    known = frames = tick = 0
    for section in _sections(scanner, head_end):
        if section.entry is None:
            index = scanner.index_of(section, head_end)
            if index is not None:
                return index
            continue
        missing = _missing_frames(section, known, frames, header, scanner.most_segments())
        if missing is None:
            continue
        lost = _lost_rows(missing, header)
        here = entry_rows([section.entry])
        if header.has_times:
            first = _first_tick(section, tick, missing, header)
            before = np.cumsum(lost["frames"], dtype=np.int64) - lost["frames"]
            lost["first_tick"] = [tick + (first - tick) * int(frame) // missing for frame in before]
            here["first_tick"] = first
            ticks = _nominal_ticks(section.entry.shown, header) if section.ticks is None else section.ticks
            tick = min(first + ticks, FARTHEST_TICK)
        parts += [lost, here]
        known += len(lost) + 1
        frames += missing + section.entry.shown
    return SegmentIndex(np.concatenate([np.zeros(0, ROW_TYPES[layout.TRACKS]), *parts]), tick)


def _first_tick(section: Section, tick: int, missing: int, header: Header) -> int:
    """First tick of a found segment, before which `missing` frames are lost from `tick` on."""
    if section.ticks is not None and section.entry is not None:
        # Times that run backwards can only be those of a file that was put together by force.
        first = max(section.entry.first_tick, tick + missing)
    else:
        first = tick + _nominal_ticks(missing, header)
    return min(first, FARTHEST_TICK)


def _nominal_ticks(frames: int, header: Header) -> int:
    """Ticks of so many frames at the header's frame rate."""
    return max(frames, round(frames / header.frame_rate / header.time_base))


def _sections(scanner: _Scanner, at: int) -> Iterator[Section]:
    """Whole sections in order, found one after the other, or by search after damage."""
    while at < scanner.size:
        section = scanner.section(at) or scanner.next_section(at + 1)
        if section is None:
            return
        yield section
        at = section.end


def _missing_frames(section: Section, known: int, frames: int, header: Header, most: int) -> int | None:
    """Frames lost before a segment that follows `known` segments of `frames` frames; None if it cannot.

    It also cannot come after more than `most` segments: a number alone must not make a file long.
    """
    if header.format_version == 1:
        if frames % header.segment_frames or not known <= section.number < most:
            return None
        return (section.number - known) * header.segment_frames
    first = section.first_frame
    if first is None or not frames <= first < most * header.segment_frames:
        return None
    return first - frames


def _lost_rows(frames: int, header: Header) -> NDArray[np.void]:
    """Index rows of lost segments without a section that show `frames` frames in all."""
    full, rest = divmod(frames, header.segment_frames)
    rows = np.zeros(full + (rest > 0), ROW_TYPES[layout.TRACKS])
    rows["frames"] = header.segment_frames
    rows["frames"][full:] = rest
    rows["flags"] = layout.LOST_FLAG
    return rows
