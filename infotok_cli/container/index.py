"""The segments of a file as a table: 26, 32 or 48 bytes each as in the file, checked all at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from infotok_cli.config import PATCH
from infotok_cli.container import layout
from infotok_cli.container.header import Header, counts_fault
from infotok_cli.container.layout import IndexEntry

_TYPES = {"H": "<u2", "I": "<u4", "Q": "<u8"}


def _row_type(fields: layout.Fields) -> np.dtype[np.void]:
    return np.dtype([(name, _TYPES[code]) for name, code in fields])


ROW_TYPES = {
    1: _row_type(layout.INDEX_ENTRY_FIELDS),
    2: _row_type(layout.INDEX_ENTRY_FIELDS_V2),
    layout.TRACKS: _row_type(layout.INDEX_ENTRY_FIELDS_TRACKS),
}
"""One index entry as a numpy record, by `Header.index_layout`."""


class SegmentIndex(Sequence[IndexEntry]):
    """Index entries in order; each is built when it is asked for."""

    starts: NDArray[np.int64]
    """`[n + 1]` frames shown before each segment, and all of them at the end."""

    def __init__(self, rows: NDArray[np.void], total_ticks: int = 0) -> None:
        """`rows`: `[n]` records of one of `ROW_TYPES`; `total_ticks`: when the last frame ends."""
        self._rows = rows
        self.total_ticks = total_ticks
        shown = self.column("frames") - self.column("trim_start") - self.column("trim_end")
        self.starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(shown)])

    @classmethod
    def of_payload(cls, data: bytes, kind: int, total_ticks: int = 0) -> SegmentIndex:
        """Index of the entries of an INDX section, by `Header.index_layout`; whole entries only."""
        return cls(np.frombuffer(data, ROW_TYPES[kind]), total_ticks)

    def column(self, name: str) -> NDArray[np.int64]:
        """`[n]` values of one field; zeros where the version of the file has no such field.

        An offset of 2^63 or more comes out negative, which no check accepts.
        """
        names = self._rows.dtype.names or ()
        if name not in names:
            return np.zeros(len(self._rows), np.int64)
        values: NDArray[np.int64] = self._rows[name].astype(np.int64)
        return values

    def positions(self, header: Header) -> NDArray[np.int64]:
        """`[n]` positions of the token grid of each segment."""
        _, height, width = header.grid()
        return -(-self.column("frames") // PATCH[0]) * (height * width)

    @property
    def ticks(self) -> NDArray[np.int64]:
        """`[n + 1]` when the first shown frame of each segment is shown, and the end, in ticks."""
        return np.append(self.column("first_tick"), np.int64(min(self.total_ticks, layout.MAX_TICKS)))

    def holding(self, frame: int) -> int:
        """Number of the segment that shows frame `frame`, 0..total-1."""
        return int(np.searchsorted(self.starts, frame, side="right")) - 1

    @property
    def total_frames(self) -> int:
        return int(self.starts[-1])

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, number: int) -> IndexEntry: ...
    @overload
    def __getitem__(self, number: slice) -> SegmentIndex: ...
    def __getitem__(self, number: int | slice) -> IndexEntry | SegmentIndex:
        if isinstance(number, slice):
            return SegmentIndex(self._rows[number], self.total_ticks)
        names = self._rows.dtype.names or ()
        values = dict(zip(names, self._rows[number].tolist(), strict=True))
        return IndexEntry(lost=bool(values.pop("flags", 0) & layout.LOST_FLAG), **values)


def entry_rows(entries: Iterable[IndexEntry]) -> NDArray[np.void]:
    """Entries as `[n]` records with all fields."""
    rows = [
        (
            entry.offset, entry.length, entry.frames, entry.trim_start, entry.trim_end,
            layout.LOST_FLAG * entry.lost, entry.tokens, entry.map_bytes, entry.token_bytes,
            entry.first_tick, entry.time_length, entry.audio_length,
        )
        for entry in entries
    ]  # fmt: skip
    return np.array(rows, ROW_TYPES[layout.TRACKS])


def index_fault(index: SegmentIndex, header: Header, head_end: int, index_offset: int) -> str | None:
    """What contradicts the header, or the rule that sections follow each other, or None.

    `head_end` and `index_offset` are the first bytes of the first segment and of the INDX section.
    """
    length = index.column("length")
    whole = length + index.column("time_length") + index.column("audio_length")
    ends = head_end + np.cumsum(whole)
    offsets = ends - whole
    wrong = _counts_wrong(index, header)
    wrong |= length != _section_bytes(index, header)
    wrong |= index.column("offset") != offsets
    short_before_last = np.zeros_like(wrong)
    if header.format_version == 1:
        short_before_last[:-1] = index.column("frames")[:-1] != header.segment_frames
    if (wrong | short_before_last).any():
        number = int(np.argmax(wrong | short_before_last))
        entry = index[number]
        fault = counts_fault(header, entry)
        if fault is None and short_before_last[number]:
            fault = f"{entry.frames} frames before the last segment"
        if fault is None and index.column("flags")[number] & ~layout.LOST_FLAG:
            fault = f"flags {index.column('flags')[number]} are unknown"
        if fault is None:
            found = f"{entry.length} bytes at byte {entry.offset}"
            expected = f"{entry.section_bytes(header.format_version)} bytes at byte {offsets[number]}"
            fault = f"{found}, expected {expected}"
        return f"segment {number}: {fault}"
    if ends[-1] != index_offset:
        return f"segments end at byte {ends[-1]}"
    return _tracks_fault(index, header)


def _tracks_fault(index: SegmentIndex, header: Header) -> str | None:
    """What is wrong with the lengths of TIME and AUDI sections, or with times, or None."""
    frame = layout.SECTION_STRUCT.size
    lengths = {
        "time_length": (header.has_times, layout.TIME_STRUCT.size + 1, layout.MAX_TIME_BYTES),
        "audio_length": (header.audio is not None, layout.AUDIO_STRUCT.size, layout.MAX_AUDIO_BYTES),
    }
    for name, (present, least, most) in lengths.items():
        column = index.column(name)
        low, high = (frame + least, frame + most) if present else (0, 0)
        wrong = (column < low) | (column > high)
        if wrong.any():
            number = int(np.argmax(wrong))
            return f"segment {number}: {name.replace('_', ' ')} {column[number]}, allowed are {low}..{high}"
    ticks = index.ticks
    if not header.has_times:
        return "times in a file without frame times" if ticks.any() or index.total_ticks else None
    outside = (
        index.total_ticks > layout.MAX_TICKS or int(ticks.min()) < 0 or int(ticks.max()) > layout.MAX_TICKS
    )
    # Only differences of numbers in that range cannot overflow.
    if outside or ticks[0]:
        return "times contradict each other"
    long, shown = np.diff(ticks), np.diff(index.starts)
    if (long < shown).any() or (long > shown * layout.MAX_DURATION).any():
        return "times contradict each other"
    return None


def _section_bytes(index: SegmentIndex, header: Header) -> NDArray[np.int64]:
    payloads = index.column("map_bytes") + index.column("token_bytes")
    return payloads + layout.segment_section_bytes(0, 0, header.format_version)


def _counts_wrong(index: SegmentIndex, header: Header) -> NDArray[np.bool_]:
    """`[n]` True where `counts_fault` finds a fault, or where flags are unknown."""
    frames, tokens = index.column("frames"), index.column("tokens")
    map_bytes, token_bytes = index.column("map_bytes"), index.column("token_bytes")
    positions, flags = index.positions(header), index.column("flags")
    wrong = (frames < 1) | (frames > header.segment_frames)
    wrong |= index.column("trim_start") + index.column("trim_end") >= frames
    wrong |= flags & ~layout.LOST_FLAG != 0
    wrong |= (flags & layout.LOST_FLAG != 0) & (tokens + map_bytes + token_bytes > 0)
    wrong |= tokens > positions
    wrong |= np.maximum(map_bytes, token_bytes) > layout.max_coded_bytes(0) + 2 * positions
    wrong |= token_bytes > 2 * tokens
    if header.token_coding == 0:
        wrong |= token_bytes < 2 * tokens
    return wrong
