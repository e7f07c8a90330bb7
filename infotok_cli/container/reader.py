"""Reads .itk files: header and index at once, segments one by one, every byte under a check.

Whatever the bytes are, the only exception is InputError: one line with the file, what is wrong, where, and
the way out.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from infotok_cli.container import layout
from infotok_cli.container.header import Header, unpack_header
from infotok_cli.container.index import SegmentIndex, index_fault
from infotok_cli.container.layout import Segment
from infotok_cli.container.scan import CHUNK_BYTES, explain_missing_end, find_segments, index_of_payload
from infotok_cli.container.tracks import unpack_audio, unpack_times
from infotok_cli.errors import InputError
from infotok_cli.sound import AudioPacket

AGAIN = "copy the file again, or encode the video again"
REPAIR = f"{AGAIN}; 'infotok repair' saves what is whole"


class ItkReader:
    """An open .itk file; use as a context manager. Opening checks header, index and footer."""

    header: Header
    index: SegmentIndex
    total_frames: int
    """Frames that the file shows; frames that are trimmed off do not count."""
    size_bytes: int
    damage: str | None
    """What is wrong with the index of a file that was opened with `recover`; None if nothing is."""

    def __init__(self, path: str | Path, *, recover: bool = False) -> None:
        """Open `path`, a regular file.

        With `recover` a file without a good index is opened too, as long as its header is good: its whole
        segments are searched for, and lost ones before the last of them get their place in `index`.

        Raises:
            InputError: missing, empty, a folder, unreadable, no .itk file, truncated, damaged, or made in a
                newer format version; with `recover` also if no segment is whole.
        """
        self._name = str(path) if str(path).isprintable() else repr(str(path))
        self._path = path
        self._file = self._open(path)
        try:
            self.size_bytes = os.fstat(self._file.fileno()).st_size
            if not self.size_bytes:
                raise self._error("is empty: give an .itk file")
            self._check_magic()
            self.header, self._head_end = self._read_head()
            self.damage = None
            try:
                self.index = self._read_index()
            except InputError as error:
                if not recover:
                    raise
                self.damage = self.reason(error)
                self.index = self._find_segments()
            self.total_frames = self.index.total_frames
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; header and index stay."""
        self._file.close()

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Open a closed file again for a while; one that has changed meanwhile shows as damaged.

        Raises InputError when it cannot be opened any more.
        """
        if not self._file.closed:
            yield
            return
        self._file = self._open(self._path)
        try:
            yield
        finally:
            self._file.close()

    def segments(self) -> Iterator[Segment]:
        """All segments in order, read one at a time; raises InputError at the first damaged one."""
        for number in range(len(self.index)):
            yield self.read_segment(number)

    def read_segment(self, number: int) -> Segment:
        """Read one segment and nothing else of the file; one that was lost has no payloads.

        Raises:
            IndexError: `number` is not in 0..len(index)-1.
            InputError: the segment is damaged.
        """
        if not 0 <= number < len(self.index):
            raise IndexError(f"segment {number} of {len(self.index)}")
        entry = self.index[number]
        if not entry.length:
            return Segment(number, entry.frames, 0, b"", b"", lost=True)
        section = self._read(entry.offset, entry.length)
        kind, length, check = layout.SECTION_STRUCT.unpack_from(section)
        payload = section[layout.SECTION_STRUCT.size :]
        if check != layout.section_crc(kind, length, payload):
            raise self._segment_error(number, "checksum differs")
        self._check_segment_start(number, kind, length, payload)
        at = layout.SEGMENT_STRUCTS[self.header.format_version].size
        return Segment(
            number=number,
            frames=entry.frames,
            tokens=entry.tokens,
            map_payload=payload[at : at + entry.map_bytes],
            token_payload=payload[at + entry.map_bytes :],
            trim_start=entry.trim_start,
            trim_end=entry.trim_end,
            lost=entry.lost,
        )

    def read_times(self, number: int) -> list[int]:
        """How long each coded frame of segment `number` is shown, in ticks; empty without frame times.

        Raises:
            InputError: this section of the segment is damaged.
        """
        if not self.header.has_times:
            return []
        entry, payload = self.index[number], self._read_track(number, layout.TIME)
        try:
            stored, first_tick, durations = unpack_times(payload, entry.frames)
        except InputError as error:
            raise self._segment_error(number, f"its times hold {error}") from error
        first, last = self.index.ticks[number : number + 2].tolist()
        shown = sum(durations[entry.trim_start : entry.frames - entry.trim_end])
        if self.damage is None and (stored, first_tick, shown) != (number, first, last - first):
            raise self._segment_error(number, "its times differ from the index")
        return durations

    def times_at_any_rate(self, number: int) -> list[int]:
        """As `read_times`; where they are damaged, times that spread the shown frames evenly."""
        if not self.header.has_times:
            return []
        try:
            return self.read_times(number)
        except InputError:
            entry = self.index[number]
            first, last = self.index.ticks[number : number + 2].tolist()
            places = [(last - first) * place // entry.shown for place in range(entry.shown + 1)]
            shown = [min(layout.MAX_DURATION, max(1, after - before)) for before, after in pairwise(places)]
            return [1] * entry.trim_start + shown + [1] * entry.trim_end

    def read_audio(self, number: int) -> list[AudioPacket]:
        """Packets of sound that lie with segment `number`; none in a file without sound.

        Raises:
            InputError: this section of the segment is damaged.
        """
        if self.header.audio is None:
            return []
        try:
            stored, packets = unpack_audio(self._read_track(number, layout.AUDI))
        except InputError as error:
            if str(error).startswith(self._name):
                raise
            raise self._segment_error(number, f"its sound holds {error}") from error
        if self.damage is None and stored != number:
            raise self._segment_error(number, "its sound belongs to another segment")
        return packets

    def verify(self) -> None:
        """Check every byte of the file against its checksum, in constant memory.

        Raises:
            InputError: naming the first damaged part.
        """
        self._check_magic()
        self._read_head()
        for number in range(len(self.index)):
            self.verify_segment(number)
            self.read_times(number)
            self.read_audio(number)
        self._read_index()

    def time_range_seconds(self, number: int) -> tuple[float, float]:
        """Start and end of segment `number`, in seconds from the first frame."""
        if self.header.has_times:
            first, last = self.index.ticks[number : number + 2].tolist()
            return float(first * self.header.time_base), float(last * self.header.time_base)
        first, last = self.index.starts[number : number + 2].tolist()
        return float(first / self.header.frame_rate), float(last / self.header.frame_rate)

    @property
    def duration_seconds(self) -> Fraction:
        """How long the shown frames are shown."""
        if self.header.has_times:
            return self.index.total_ticks * self.header.time_base
        return self.total_frames / self.header.frame_rate

    def place(self, number: int) -> str:
        """Segment `number` in words, with its times."""
        start, end = self.time_range_seconds(number)
        return f"segment {number} ({start:.3f} s to {end:.3f} s)"

    def reason(self, error: InputError) -> str:
        """What an error of this file says happened, without the name of the file and the way out."""
        return str(error).removeprefix(f"{self._name}: ").rsplit(": ", 1)[0]

    @property
    def name(self) -> str:
        """The path as it stands in messages."""
        return self._name

    def _open(self, path: str | Path) -> BinaryIO:
        try:
            status = os.stat(path)
            if stat.S_ISDIR(status.st_mode):
                raise self._error("is a folder: give an .itk file")
            if not stat.S_ISREG(status.st_mode):
                raise self._error("is no regular file, so its index cannot be found: save it to a file first")
            return open(path, "rb")
        except FileNotFoundError as error:
            raise self._error("does not exist: check the name") from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise self._error(f"cannot be opened ({reason}): check name and permissions") from error

    def _check_magic(self) -> None:
        start = self._read(0, min(self.size_bytes, len(layout.MAGIC)))
        if start != layout.MAGIC:
            if layout.MAGIC.startswith(start):
                raise self._error(f"is truncated at byte {self.size_bytes}, inside the magic: {AGAIN}")
            raise self._error("is no .itk file (wrong first bytes): give one made by 'infotok encode'")

    def _read_head(self) -> tuple[Header, int]:
        """The header and the offset after its section."""
        payload = self._read_section(layout.HEAD, len(layout.MAGIC), "header")
        try:
            header = unpack_header(payload)
        except InputError as error:
            way_out = "" if "update infotok" in str(error) else ": encode the video again"
            raise self._error(f"header (byte {len(layout.MAGIC)}): {error}{way_out}") from error
        return header, len(layout.MAGIC) + layout.SECTION_STRUCT.size + len(payload)

    def _read_index(self) -> SegmentIndex:
        """The index that the footer leads to, consistent with the header and the size of the file."""
        footer_at = self.size_bytes - layout.FOOTER_STRUCT.size
        footer = self._read(max(0, footer_at), min(self.size_bytes, layout.FOOTER_STRUCT.size))
        if footer_at < self._head_end or not footer.endswith(layout.END_MAGIC):
            raise self._error(f"{self._explain_missing_end()}: {REPAIR}")
        offset, check, _ = layout.FOOTER_STRUCT.unpack(footer)
        if check != layout.crc32c(footer[:8]):
            raise self._error(f"footer (byte {footer_at}) is damaged, checksum differs: {REPAIR}")
        if not self._head_end <= offset < footer_at:
            raise self._error(f"footer (byte {footer_at}) places the index at byte {offset}: {REPAIR}")
        payload = self._read_section(layout.INDX, offset, "index", REPAIR)
        if offset + layout.SECTION_STRUCT.size + len(payload) != footer_at:
            raise self._error(
                f"index (byte {offset}) does not end at the footer (byte {footer_at}): {REPAIR}"
            )
        index = index_of_payload(payload, self.header)
        if isinstance(index, str):
            raise self._error(f"index (byte {offset}) {index}: {REPAIR}")
        fault = index_fault(index, self.header, self._head_end, offset)
        if fault is not None:
            raise self._error(f"index (byte {offset}), {fault}: {REPAIR}")
        return index

    def _find_segments(self) -> SegmentIndex:
        try:
            index = find_segments(self._file, self._head_end, self.header)
        except OSError as error:
            raise self._error(f"cannot be read ({error.strerror}): check the disk") from error
        if not len(index):
            raise self._error(f"has no whole segment left: {AGAIN}")
        return index

    def _explain_missing_end(self) -> str:
        try:
            return explain_missing_end(self._file, self._head_end, self.header)
        except OSError as error:
            return f"cannot be read ({error.strerror})"

    def _check_segment_start(self, number: int, kind: bytes, length: int, start: bytes) -> None:
        """The section at an entry's offset must be the segment that the entry promises."""
        entry, version = self.index[number], self.header.format_version
        # A search of version 2 may find another number of lost segments than there were.
        searched = self.damage is not None and version > 1
        stored = int.from_bytes(start[:4], "little") if searched else number
        expected = entry.pack(version, stored, int(self.index.starts[number]))
        whole = length + layout.SECTION_STRUCT.size == entry.length
        if kind != layout.SEGM or not whole or start[: len(expected)] != expected:
            raise self._segment_error(number, "differs from the index")

    def verify_segment(self, number: int) -> None:
        """Check every byte of one segment against its checksum; raises InputError, naming it."""
        entry = self.index[number]
        if not entry.length:
            return
        kind, length, check = layout.SECTION_STRUCT.unpack(
            self._read(entry.offset, layout.SECTION_STRUCT.size)
        )
        crc = layout.section_crc(kind, length)
        at, end = entry.offset + layout.SECTION_STRUCT.size, entry.offset + entry.length
        start = self._read(at, layout.SEGMENT_STRUCTS[self.header.format_version].size)
        while at < end:
            chunk = self._read(at, min(CHUNK_BYTES, end - at))
            crc = layout.crc32c(chunk, crc)
            at += len(chunk)
        if crc != check:
            raise self._segment_error(number, "checksum differs")
        self._check_segment_start(number, kind, length, start)

    def _read_track(self, number: int, kind: bytes) -> bytes:
        """Payload of the TIME or AUDI section that follows segment `number`."""
        entry, what = self.index[number], "times" if kind == layout.TIME else "sound"
        offset, length = entry.offset + entry.length, entry.time_length
        if kind == layout.AUDI:
            offset, length = offset + entry.time_length, entry.audio_length
        if not length:
            raise self._segment_error(number, f"its {what} could not be found")
        section = self._read(offset, length)
        found, size, check = layout.SECTION_STRUCT.unpack_from(section)
        payload = section[layout.SECTION_STRUCT.size :]
        if found != kind or size != len(payload) or check != layout.section_crc(found, size, payload):
            raise self._segment_error(number, f"checksum of its {what} differs")
        return payload

    def _read_section(self, kind: bytes, offset: int, what: str, way_out: str = AGAIN) -> bytes:
        """Payload of the section of this kind at `offset`."""
        room = self.size_bytes - offset - layout.SECTION_STRUCT.size
        if room < 0:
            raise self._error(f"is truncated at byte {self.size_bytes}, inside the {what}: {way_out}")
        found, length, check = layout.SECTION_STRUCT.unpack(self._read(offset, layout.SECTION_STRUCT.size))
        if found != kind or length > layout.MAX_PAYLOAD_BYTES[kind]:
            raise self._error(f"{what} (byte {offset}) is damaged, its type or length is wrong: {way_out}")
        if length > room:
            raise self._error(f"{what} (byte {offset}) is damaged or the file truncated: {way_out}")
        payload = self._read(offset + layout.SECTION_STRUCT.size, length)
        if check != layout.section_crc(kind, length, payload):
            raise self._error(f"{what} (byte {offset}) is damaged, checksum differs: {way_out}")
        return payload

    def _read(self, offset: int, length: int) -> bytes:
        try:
            self._file.seek(offset)
            data = self._file.read(length)
        except OSError as error:
            raise self._error(
                f"cannot be read at byte {offset} ({error.strerror}): check the disk"
            ) from error
        if len(data) != length:
            raise self._error(
                f"ends inside bytes {offset}..{offset + length - 1}: it changed while being read"
            )
        return data

    def _segment_error(self, number: int, what: str) -> InputError:
        start, end = self.time_range_seconds(number)
        place = f"segment {number} ({start:.3f} s to {end:.3f} s, byte {self.index[number].offset})"
        return self._error(f"{place} is damaged, {what}: {AGAIN}; 'infotok decode --skip-bad' shows the rest")

    def _error(self, message: str) -> InputError:
        return InputError(str(message), where=str(self._name))
