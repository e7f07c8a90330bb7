"""The segments of a file as a table: 24 to 38 bytes each as in the file, checked all at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from infotok_cli.blocks import step_of_frame
from infotok_cli.container import layout
from infotok_cli.container.header import Header, counts_fault
from infotok_cli.container.layout import Counts, IndexEntry
from infotok_cli.container.sections import FRAME_BYTES
from infotok_cli.errors import InputError
from infotok_cli.token_codings import TOKEN_CODINGS

_TYPES = {"B": "<u1", "H": "<u2", "I": "<u4", "Q": "<u8"}


@cache
def row_type(fields: layout.Fields = layout.ALL_INDEX_FIELDS) -> np.dtype[np.void]:
    """An index entry of these fields as a numpy record."""
    return np.dtype([(name, _TYPES[code]) for name, code in fields])


class SegmentIndex(Sequence[IndexEntry]):
    """Index entries in order; each is built when it is asked for."""

    starts: NDArray[np.int64]
    """`[n + 1]` frames shown before each segment, and all of them at the end."""
    ticks: NDArray[np.int64]
    """`[n + 1]` when the first shown frame of each segment is shown, and the end; 0 without frame times."""

    def __init__(self, rows: NDArray[np.void], offsets: NDArray[np.int64]) -> None:
        """rows: `[n]` records of a `row_type`. offsets: `[n]` first bytes of their SEGM sections."""
        self._rows = rows
        self._offsets = offsets
        shown = self.column("frames") - self.column("trim_start") - self.column("trim_end")
        self.starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(shown)])
        self.ticks = np.concatenate([np.zeros(1, np.int64), np.cumsum(self.column("ticks"))])

    def column(self, name: str) -> NDArray[np.int64]:
        """`[n]` values of one field of the index; zeros where the file has none.

        A number of 2^63 or more comes out negative, which no check accepts.
        """
        names = self._rows.dtype.names or ()
        if name not in names:
            return np.zeros(len(self._rows), np.int64)
        values: NDArray[np.int64] = self._rows[name].astype(np.int64)
        return values

    def with_last(self, entry: IndexEntry) -> SegmentIndex:
        """These entries and one more, in a file that was searched."""
        rows = np.concatenate([self._rows, entry_rows([entry])])
        return SegmentIndex(rows, np.append(self._offsets, entry.offset))

    @property
    def segment_lengths(self) -> NDArray[np.int64]:
        """`[n]` bytes that each SEGM section has by its counts."""
        payloads = [self.column(name) for name in ("map_bytes", "motion_bytes", "token_bytes")]
        return layout.SEGMENT_BYTES + sum(payloads, np.zeros(len(self._rows), np.int64))

    @property
    def other_lengths(self) -> NDArray[np.int64]:
        """`[n]` bytes of the sections behind each segment whose types are not known here."""
        known = self.segment_lengths + self.column("time_length") + self.column("audio_length")
        return np.where(self.column("length") == 0, 0, self.column("length") - known)

    def others(self, head_end: int) -> Iterator[tuple[int, int]]:
        """First byte and end of every stretch of sections of unknown types, also before the first segment."""
        if self._offsets[0] > head_end:
            yield head_end, int(self._offsets[0])
        lengths, ends = self.other_lengths, self._offsets + self.column("length")
        for number in np.flatnonzero(lengths).tolist():
            yield int(ends[number] - lengths[number]), int(ends[number])

    def positions(self, header: Header) -> NDArray[np.int64]:
        """`[n]` positions of the token grid of each segment."""
        _, height, width = header.grid()
        return (step_of_frame(self.column("frames") - 1) + 1) * (height * width)

    def holding(self, frame: int) -> int:
        """Number of the segment that shows frame `frame`, 0..total-1."""
        return int(np.searchsorted(self.starts, frame, side="right")) - 1

    @property
    def total_frames(self) -> int:
        return int(self.starts[-1])

    @property
    def total_ticks(self) -> int:
        """When the last frame ends; 0 in a file without frame times."""
        return int(self.ticks[-1])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> IndexEntry:  # type: ignore[override]  # no slices
        names = self._rows.dtype.names or ()
        value = dict(zip(names, self._rows[number].tolist(), strict=True))
        counts = Counts(
            frames=value["frames"],
            tokens=value["tokens"],
            map_bytes=value["map_bytes"],
            motion_bytes=value["motion_bytes"],
            token_bytes=value["token_bytes"],
            trim_start=value["trim_start"],
            trim_end=value["trim_end"],
            lost=bool(value["flags"] & layout.LOST_FLAG),
        )
        length = counts.section_bytes if value["length"] else 0
        times, audio = value.get("time_length", 0), value.get("audio_length", 0)
        return IndexEntry(
            counts=counts,
            offset=int(self._offsets[number]),
            length=length,
            ticks=value.get("ticks", 0),
            time_length=times,
            audio_length=audio,
            other_length=value["length"] - length - times - audio,
        )


def entry_rows(entries: Iterable[IndexEntry]) -> NDArray[np.void]:
    """Entries as `[n]` records with all fields."""
    return np.frombuffer(b"".join(entry.pack() for entry in entries), row_type()).copy()


def index_of_payload(payload: bytes, header: Header, head_end: int, index_offset: int) -> SegmentIndex:
    """Index of an INDX payload whose CRC32C was right.

    head_end, index_offset: the byte after the HEAD section, and the first one of the INDX section.

    Raises:
        InputError: it contradicts the header, itself or the place of the index.
    """
    kind = row_type(header.index_fields)
    count, rest = divmod(len(payload), kind.itemsize)
    if rest or not 1 <= count <= layout.MAX_SEGMENTS:
        raise InputError(f"{len(payload)} bytes are not a whole number of entries of {kind.itemsize} bytes")
    rows = np.frombuffer(payload, kind)
    ends = np.cumsum(rows["length"], dtype=np.int64)
    gap = index_offset - int(ends[-1]) - head_end
    index = SegmentIndex(rows, head_end + gap + ends - rows["length"])
    fault = index_fault(index, header)
    if fault is None and (gap < 0 or 0 < gap < FRAME_BYTES):
        fault = f"segments of {ends[-1]} bytes, there are {index_offset - head_end} before the index"
    if fault is not None:
        raise InputError(fault)
    return index


def index_fault(index: SegmentIndex, header: Header) -> str | None:
    """What in the entries contradicts the header or other fields, or None."""
    others = index.other_lengths
    misfit = (others < 0) | ((others > 0) & (others < FRAME_BYTES)) | (index.column("length") == 0)
    wrong = _counts_wrong(index, header)
    if (wrong | misfit).any():
        number = int(np.argmax(wrong | misfit))
        entry = index[number]
        fault = counts_fault(header, entry.counts)
        flags = int(index.column("flags")[number])
        if fault is None and flags & ~layout.LOST_FLAG:
            fault = f"flags {flags} are unknown"
        if fault is None:
            known = int(index.column("length")[number] - others[number])
            fault = f"length {entry.total_length}, its known sections take {known} bytes"
        return f"segment {number}: {fault}"
    return _tracks_fault(index, header)


def _tracks_fault(index: SegmentIndex, header: Header) -> str | None:
    """What is wrong with the lengths of TIME and AUDI sections, or with times, or None."""
    shown = np.diff(index.starts)
    limits: list[tuple[str, NDArray[np.int64] | int, NDArray[np.int64] | int]] = []
    if header.has_times:
        least, most = layout.TIME_STRUCT.size + 1, layout.MAX_TIME_BYTES
        limits.append(("time_length", FRAME_BYTES + least, FRAME_BYTES + most))
        limits.append(("ticks", shown, shown * layout.MAX_DURATION))
    if header.audio is not None:
        least, most = layout.AUDIO_STRUCT.size, layout.MAX_AUDIO_BYTES
        limits.append(("audio_length", FRAME_BYTES + least, FRAME_BYTES + most))
    for name, low, high in limits:
        column = index.column(name)
        wrong = (column < low) | (column > high)
        if wrong.any():
            number = int(np.argmax(wrong))
            ends = "..".join(str(np.broadcast_to(end, column.shape)[number]) for end in (low, high))
            return f"segment {number}: {name.replace('_', ' ')} {column[number]}, allowed are {ends}"
    return None


def _counts_wrong(index: SegmentIndex, header: Header) -> NDArray[np.bool_]:
    """`[n]` True where `counts_fault` finds a fault, or where flags are unknown."""
    frames, tokens = index.column("frames"), index.column("tokens")
    map_bytes, motion_bytes = index.column("map_bytes"), index.column("motion_bytes")
    token_bytes = index.column("token_bytes")
    positions, flags = index.positions(header), index.column("flags")
    wrong = (frames < 1) | (frames > header.segment_frames)
    wrong |= index.column("trim_start") + index.column("trim_end") >= frames
    wrong |= flags & ~layout.LOST_FLAG != 0
    wrong |= (flags & layout.LOST_FLAG != 0) & (tokens + map_bytes + motion_bytes + token_bytes > 0)
    wrong |= tokens > positions
    longest = np.maximum(np.maximum(map_bytes, motion_bytes), token_bytes)
    wrong |= longest > layout.max_coded_bytes(0) + 2 * positions
    wrong |= token_bytes > 2 * tokens
    if not TOKEN_CODINGS[header.token_coding].shortens:
        wrong |= token_bytes < 2 * tokens
    return wrong
