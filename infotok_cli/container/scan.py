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
from infotok_cli.container.index import SegmentIndex, entry_rows, index_of_payload, row_type
from infotok_cli.container.layout import IndexEntry, unpack_segment_start
from infotok_cli.container.sections import CHUNK_BYTES, FRAME_BYTES, Frame, is_whole, unpack_frame
from infotok_cli.container.tracks import unpack_times
from infotok_cli.errors import InputError
from infotok_cli.wording import counted

FIRST_STEP_BYTES = 256
FARTHEST_TICK = layout.MAX_TICKS // 2
"""Where times end that a search has to make up."""
SEARCH_FACTOR = 8
"""A search reads at most this many times the size of the file, whatever the bytes look like."""
_STARTS = re.compile(b"|".join((layout.SEGM, layout.INDX)))


@dataclass(frozen=True)
class _Found:
    """A SEGM or INDX section whose checksum is right."""

    kind: bytes
    offset: int
    length: int
    """Bytes, frame included, and those of all sections that belong to a segment."""
    first_frame: int = 0
    """Of a segment, as are the next three."""
    entry: IndexEntry | None = None
    first_tick: int = 0
    has_ticks: bool = False
    """Whether first tick and ticks are known."""

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

    def section(self, at: int) -> _Found | None:
        """The whole SEGM or INDX section at `at`, or None."""
        frame, entry, first = self._frame(at), None, 0
        if frame.kind not in (layout.SEGM, layout.INDX) or not frame.is_possible:
            return None
        if frame.kind == layout.SEGM:
            start = self._read(at + FRAME_BYTES, layout.SEGMENT_STRUCT.size)
            found = unpack_segment_start(start, frame.length)
            if found is None or counts_fault(self._header, found[1]) is not None:
                return None
            first, entry = found[0], IndexEntry(counts=found[1], offset=at, length=frame.total)
        if not self._is_whole(at, frame):
            return None
        section = _Found(frame.kind, at, frame.total, first, entry)
        return section if entry is None else self._with_tracks(section, entry)

    def _with_tracks(self, section: _Found, entry: IndexEntry) -> _Found:
        """A segment with the sections that follow it, as far as they are whole."""
        counts = entry.counts
        if self._header.has_times:
            payload = self._track(section.end, layout.TIME)
            if payload is None:
                return section
            try:
                _, first_tick, durations = unpack_times(payload, counts.frames)
            except InputError:
                return section
            ticks = sum(durations[counts.trim_start : counts.frames - counts.trim_end])
            entry = replace(entry, ticks=ticks, time_length=FRAME_BYTES + len(payload))
            section = replace(section, first_tick=first_tick, has_ticks=True)
        end = section.offset + entry.total_length
        if self._header.audio is not None:
            payload = self._track(end, layout.AUDI)
            if payload is not None:
                entry = replace(entry, audio_length=FRAME_BYTES + len(payload))
                end += entry.audio_length
        entry = replace(entry, other_length=self.passed_over(end) - end)
        return replace(section, length=entry.total_length, entry=entry)

    def _track(self, at: int, kind: bytes) -> bytes | None:
        """Payload of the section of this type at `at`, if it is whole."""
        frame = self._frame(at)
        if frame.kind != kind or not frame.is_possible or not self._is_whole(at, frame):
            return None
        return self._read(at + FRAME_BYTES, frame.length)

    def passed_over(self, at: int) -> int:
        """The end of the whole sections at `at` of types that are not known here.

        Raises:
            InputError: one of them must be understood.
        """
        frame = self._frame(at)
        while frame.is_possible and not frame.is_known and self._is_whole(at, frame):
            frame.check_passed_over(at)
            at += frame.total
            frame = self._frame(at)
        return at

    def most_segments(self) -> int:
        """Segments that a file of this size can have held, each in the fewest bytes."""
        return min(layout.MAX_SEGMENTS, self.size // layout.SEGMENT_BYTES)

    def next_section(self, at: int) -> _Found | None:
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

    def index_of(self, section: _Found, head_end: int) -> SegmentIndex | None:
        """Entries of an INDX section, if they fit the file."""
        payload = self._read(section.offset + FRAME_BYTES, section.length - FRAME_BYTES)
        try:
            return index_of_payload(payload, self._header, head_end, section.offset)
        except InputError:
            return None

    def _frame(self, at: int) -> Frame:
        return unpack_frame(self._read(at, FRAME_BYTES))

    def _is_whole(self, at: int, frame: Frame) -> bool:
        """Whether a section lies in the file unchanged; False once too much has been looked at."""
        if frame.total > self.size - at or frame.length > self._budget:
            return False
        self._budget -= frame.length
        return is_whole(self._read, at, frame)

    def _read(self, at: int, length: int) -> bytes:
        self._file.seek(at)
        return self._file.read(length)


def explain_missing_end(file: BinaryIO, head_end: int, header: Header) -> str:
    """Walk the sections of `file` from the byte after its header; one line on where they end.

    Raises:
        InputError: a section on the way is newer and must be understood.
    """
    scanner = _Scanner(file, header)
    at, whole, frames, ticks = scanner.passed_over(head_end), 0, 0, 0
    section = scanner.section(at)
    while section is not None and section.entry is not None:
        whole, at = whole + 1, section.end
        frames, ticks = frames + section.entry.counts.shown, ticks + section.entry.ticks
        section = scanner.section(at)
    seconds = float(header.seconds(frames, ticks))
    kept = f"{counted(whole, 'whole segment')} ({seconds:.3f} s)"
    if section is not None:
        footer_end = section.end + layout.FOOTER_STRUCT.size
        file.seek(section.end)
        if scanner.size > footer_end and file.read(layout.FOOTER_STRUCT.size).endswith(layout.END_MAGIC):
            extra = scanner.size - footer_end
            return f"has {extra} trailing byte{'s' * (extra != 1)} after its end at byte {footer_end}"
        if scanner.size >= footer_end:
            return f"has a damaged footer at byte {section.end}, after {kept}"
    return f"is truncated at byte {scanner.size} (no footer), with {kept} before byte {at}"


def find_segments(file: BinaryIO, head_end: int, header: Header) -> tuple[SegmentIndex, int]:
    """Index of what is left of a file whose own index cannot be found through its footer, and its end.

    The end is that of the last whole segment, or where the first one would begin; of the file, where an index
    was found.

    An index that is whole is believed, so that damaged segments keep their place. Otherwise whole
    segments are listed, and lost ones between them, with length 0, as far as numbers tell; how much is
    lost after the last whole one nobody knows. The index is empty if nothing is left.
    """
    scanner = _Scanner(file, header)
    parts: list[NDArray[np.void]] = [np.zeros(0, row_type())]
    offsets: list[int] = []
    first_ticks: list[int] = []
    frames = tick = 0
    end = scanner.passed_over(head_end)
    for section in _sections(scanner, end):
        if section.entry is None:
            index = scanner.index_of(section, head_end)
            if index is not None:
                return index, scanner.size  # it lists all segments that there were
            continue
        missing = section.first_frame - frames
        # A number alone must not make a file long.
        if missing < 0 or section.first_frame >= scanner.most_segments() * header.segment_frames:
            continue
        lost = _lost_rows(missing, header)
        parts += [lost, entry_rows([section.entry])]
        offsets += [0] * len(lost) + [section.offset]
        frames, end = section.first_frame + section.entry.counts.shown, section.end
        if header.has_times:
            first = _first_tick(section, tick, missing, header)
            before = np.cumsum(lost["frames"], dtype=np.int64) - lost["frames"]
            first_ticks += [tick + (first - tick) * int(frame) // missing for frame in before]
            first_ticks.append(first)
            tick = min(first + _ticks(section, section.entry, header), FARTHEST_TICK)
    rows = np.concatenate(parts)
    if header.has_times:
        rows["ticks"] = np.diff([*first_ticks, tick])
    return SegmentIndex(rows, np.array(offsets, np.int64)), end


def _first_tick(section: _Found, tick: int, missing: int, header: Header) -> int:
    """First tick of a found segment, before which `missing` frames are lost from `tick` on."""
    if section.has_ticks:
        # Times that run backwards can only be those of a file that was put together by force.
        first = max(section.first_tick, tick + missing)
    else:
        first = tick + nominal_ticks(missing, header)
    return min(first, FARTHEST_TICK)


def _ticks(section: _Found, entry: IndexEntry, header: Header) -> int:
    """How long a found segment is shown."""
    return entry.ticks if section.has_ticks else nominal_ticks(entry.counts.shown, header)


def nominal_ticks(frames: int, header: Header) -> int:
    """Ticks of a number of frames at the header's frame rate."""
    return max(frames, round(frames / header.frame_rate / header.time_base))


def _sections(scanner: _Scanner, at: int) -> Iterator[_Found]:
    """Whole sections in order, found one after the other, or by search after damage."""
    while at < scanner.size:
        section = scanner.section(at) or scanner.next_section(at + 1)
        if section is None:
            return
        yield section
        at = section.end


def _lost_rows(frames: int, header: Header) -> NDArray[np.void]:
    """Index rows of lost segments without a section that show `frames` frames in all."""
    full, rest = divmod(frames, header.segment_frames)
    rows = np.zeros(full + (rest > 0), row_type())
    rows["frames"] = header.segment_frames
    rows["frames"][full:] = rest
    rows["flags"] = layout.LOST_FLAG
    return rows
