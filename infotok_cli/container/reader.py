"""Reads .itk files: header and index at once, segments one by one, every byte under a check.

Whatever the bytes are, the only exception is InputError: one line with the file, what is wrong, where, and
the way out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from fractions import Fraction
from types import TracebackType
from typing import Self

from infotok_cli.container import layout
from infotok_cli.container.header import Header
from infotok_cli.container.index import SegmentIndex
from infotok_cli.container.input_file import InputFile
from infotok_cli.container.layout import IndexEntry, Segment
from infotok_cli.container.opening import (
    COPY,
    REPAIR,
    other_sections,
    read_head,
    read_index,
    read_tags,
    search_index,
)
from infotok_cli.container.scan import nominal_ticks
from infotok_cli.container.sections import FRAME_BYTES, is_whole, payload_of, unpack_frame
from infotok_cli.container.tracks import spread_evenly, unpack_audio, unpack_times
from infotok_cli.errors import InputError
from infotok_cli.places import Source
from infotok_cli.sound import AudioPacket
from infotok_cli.tags import Tags

_SKIP = "--skip-bad of 'infotok decode', 'view' and 'report' shows the rest"


class ItkReader:
    """An open .itk file; use as a context manager. Opening checks header, index and footer."""

    header: Header
    index: SegmentIndex
    tags: Tags
    """Title and date of the video."""
    tags_damage: str | None
    """What is wrong with `tags` in a file that was opened with `recover`; None if nothing is."""
    total_frames: int
    """Frames that the file shows; frames that are trimmed off do not count."""
    size_bytes: int
    damage: str | None
    """What is wrong with the index of a file that was opened with `recover`; None if nothing is."""
    cut: Segment | None
    """What is left of the segment that a truncated file ends in, when it was opened with `recover`.

    Not in `index` until `show_cut` puts it there."""
    name: str
    """The path as it stands in messages; "bytes" or "stream" for what has none."""

    def __init__(self, source: Source, *, recover: bool = False) -> None:
        """Open a regular file by its path, its bytes, or a binary stream of them.

        A stream is read from its start and stays open; one that does not seek is read to its end at once.
        With `recover` a file without a good index is opened too, as long as its header is good: its whole
        segments are searched for, and lost ones before the last of them get their place in `index`.

        Raises:
            InputError: missing, empty, a folder, unreadable, not an .itk file, truncated, damaged, or made
                in another format version; with `recover` also if nothing is left of any segment.
            TypeError: `source` is none of these.
        """
        self._file = InputFile(source)
        self.name, self.size_bytes = self._file.name, self._file.size_bytes
        try:
            self.header, tags_at = read_head(self._file)
            self.tags, self.tags_damage, self._head_end = read_tags(self._file, tags_at)
            if self.tags_damage is not None and not recover:
                raise self._file.error(self.tags_damage, REPAIR)
            self.damage = self.cut = None
            try:
                self.index = read_index(self._file, self.header, self._head_end)
            except InputError as error:
                if not recover:
                    raise
                self.damage = error.what
                self.index, self.cut = search_index(self._file, self.header, self._head_end)
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

    @property
    def source(self) -> Source:
        """What opens the same file once more, also when this one is closed."""
        return self._file.source

    def opened(self) -> AbstractContextManager[None]:
        """Open a closed file again for a while; one that has changed meanwhile shows as damaged.

        Raises InputError when it cannot be opened any more.
        """
        return self._file.opened()

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
        counts = entry.counts
        if self.cut is not None and number == self.cut.number:
            return self.cut
        if not entry.length:
            return Segment(number, counts.frames, 0, b"", b"", lost=True)
        payload = payload_of(self._file.read(entry.offset, entry.length), layout.SEGM)
        if payload is None:
            raise self.damaged(number, "checksum differs")
        self._check_start(number, payload)
        segment = layout.segment_of_payload(payload, counts, number)
        assert segment is not None  # the index and the start of the payload agree
        return segment

    def show_cut(self, cut: Segment) -> None:
        """Have `cut`, trimmed to what can be shown of it, in `index`, as its last segment."""
        counts = cut.counts
        ticks = nominal_ticks(counts.shown, self.header) if self.header.has_times else 0
        offset = self.size_bytes + cut.missing_bytes - counts.section_bytes
        entry = IndexEntry(counts=counts, offset=offset, length=counts.section_bytes, ticks=ticks)
        self.cut, self.index = cut, self.index.with_last(entry)
        self.total_frames = self.index.total_frames

    def read_times(self, number: int) -> list[int]:
        """How long each coded frame of segment `number` is shown, in ticks; empty without frame times.

        Raises:
            InputError: this section of the segment is damaged.
        """
        if not self.header.has_times:
            return []
        entry = self.index[number]
        payload = self._track(
            number, layout.TIME, entry.offset + entry.length, entry.time_length, "its times"
        )
        try:
            first_frame, first_tick, durations = unpack_times(payload, entry.counts.frames)
        except InputError as error:
            raise self.damaged(number, f"its times hold {error.what}") from error
        if first_frame != self.index.starts[number]:
            raise self.damaged(number, "its times belong to another segment")
        first, last = self.index.ticks[number : number + 2].tolist()
        shown = sum(durations[entry.counts.trim_start : entry.counts.frames - entry.counts.trim_end])
        # A search makes up when what it finds is shown.
        if self.damage is None and (first_tick, shown) != (first, last - first):
            raise self.damaged(number, "its times differ from the index")
        return durations

    def times_at_any_rate(self, number: int) -> list[int]:
        """As `read_times`; where they are damaged, times that spread the shown frames evenly."""
        try:
            return self.read_times(number)
        except InputError:
            first, last = self.index.ticks[number : number + 2].tolist()
            return spread_evenly(last - first, self.index[number].counts)

    def read_audio(self, number: int) -> list[AudioPacket]:
        """Packets of sound that lie with segment `number`; none in a file without sound.

        Raises:
            InputError: this section of the segment is damaged.
        """
        if self.header.audio is None:
            return []
        entry = self.index[number]
        offset = entry.offset + entry.length + entry.time_length
        payload = self._track(number, layout.AUDI, offset, entry.audio_length, "its sound")
        try:
            first_frame, packets = unpack_audio(payload)
        except InputError as error:
            raise self.damaged(number, f"its sound holds {error.what}") from error
        if first_frame != self.index.starts[number]:
            raise self.damaged(number, "its sound belongs to another segment")
        return packets

    def verify(self) -> None:
        """Check every byte of the file against its checksum, in constant memory.

        Raises:
            InputError: naming the first damaged part.
        """
        _, tags_at = read_head(self._file)
        _, damage, _ = read_tags(self._file, tags_at)
        if damage is not None:
            raise self._file.error(damage, REPAIR)
        for number in range(len(self.index)):
            self.verify_segment(number)
            self.read_times(number)
            self.read_audio(number)
        index = read_index(self._file, self.header, self._head_end)
        for at, frame in other_sections(self._file, index, self._head_end):
            if not is_whole(self._file.read, at, frame):
                name = frame.kind.decode()
                raise self._file.error(f"section {name} (byte {at}) is damaged, checksum differs", REPAIR)

    def verify_segment(self, number: int) -> None:
        """Check every byte of one SEGM section against its checksum; raises InputError, naming it."""
        entry = self.index[number]
        if not entry.length:
            return
        frame = unpack_frame(self._file.read(entry.offset, FRAME_BYTES))
        if (frame.kind, frame.total) != (layout.SEGM, entry.length):
            raise self.damaged(number, "its type or length is wrong")
        if not is_whole(self._file.read, entry.offset, frame):
            raise self.damaged(number, "checksum differs")
        self._check_start(number, self._file.read(entry.offset + FRAME_BYTES, layout.SEGMENT_STRUCT.size))

    def read_bytes(self, offset: int, length: int) -> bytes:
        """Bytes of the file as they are; InputError where it has fewer."""
        return self._file.read(offset, length)

    @property
    def other_bytes(self) -> int:
        """Bytes of sections whose types are not known here, in a file that was not searched."""
        if self.damage is not None:
            return 0
        return sum(end - start for start, end in self.index.others(self._head_end))

    def time_range_seconds(self, number: int) -> tuple[float, float]:
        """Start and end of segment `number`, in seconds from the first frame."""
        edges = slice(number, number + 2)
        frames, ticks = self.index.starts[edges].tolist(), self.index.ticks[edges].tolist()
        start, end = map(self.header.seconds, frames, ticks)
        return float(start), float(end)

    @property
    def duration_seconds(self) -> Fraction:
        """How long the shown frames are shown."""
        return self.header.seconds(self.total_frames, self.index.total_ticks)

    def place(self, number: int) -> str:
        """Segment `number` in words, with its times."""
        return f"segment {number} ({self._times(number)})"

    def _times(self, number: int) -> str:
        start, end = self.time_range_seconds(number)
        return f"{start:.3f} s to {end:.3f} s"

    def damaged(self, number: int, what: str) -> InputError:
        """The error, to be raised, that segment `number` is damaged; `what` says how."""
        place = f"segment {number} ({self._times(number)}, byte {self.index[number].offset})"
        return self._file.error(f"{place} is damaged, {what}", f"{COPY}; {_SKIP}")

    def _check_start(self, number: int, start: bytes) -> None:
        """A SEGM payload must say of itself what its entry says."""
        expected = self.index[number].counts.pack(int(self.index.starts[number]))
        if start[: len(expected)] != expected:
            raise self.damaged(number, "differs from the index")

    def _track(self, number: int, kind: bytes, offset: int, length: int, what: str) -> bytes:
        """Payload of a section that follows segment `number`."""
        if not length:
            raise self.damaged(number, f"{what} could not be found")
        payload = payload_of(self._file.read(offset, length), kind)
        if payload is None:
            raise self.damaged(number, f"checksum of {what} differs")
        return payload
