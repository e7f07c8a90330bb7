"""Cutting, joining and repairing .itk files: whole segments are copied, no token is touched, no model runs.

One checksum and one code cover a segment, so one that a cut goes through is kept whole, and the file says
how many of its frames are not shown. Sections of types that are not known here are left out, and a note
says so: nobody can tell here whether they would still be true.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby

from infotok_cli.container.header import Header
from infotok_cli.container.layout import Counts, Segment
from infotok_cli.container.reader import ItkReader
from infotok_cli.container.writer import ItkWriter
from infotok_cli.errors import InputError
from infotok_cli.itk.frame_times import frame_range
from infotok_cli.places import Place, Source, output_of, source_name
from infotok_cli.sound import AudioPacket, AudioTrack, units_at

SAME = (
    "width", "height", "frame_rate", "sample_aspect", "levels", "model_name", "model_sha256", "allocation",
    "keep_map_coding", "token_coding", "colour",
)  # fmt: skip
"""Header fields that files to be joined must agree in; of the others the first file's are kept."""
SAME_WITH_TIMES = ("has_times", "time_base")
"""More of them where one of the files has frame times."""


@dataclass(frozen=True, kw_only=True)
class EditReport:
    """What a cut, a join or a repair wrote."""

    inputs: tuple[str, ...]
    output: str
    format_version: int
    frames: int
    frame_rate: Fraction
    duration_seconds: float
    segments: int
    lost_frames: int
    """Frames of lost segments among them."""
    hidden_frames: int
    """Frames that are in the file but not shown, because a cut goes through their segment."""
    size_bytes: int
    notes: tuple[str, ...] = ()
    """What was wrong with the input or is left out of it, a line for each thing."""


@dataclass(frozen=True)
class _Piece:
    """A segment of one of the inputs, and what is to be trimmed off it in the output."""

    reader: ItkReader
    number: int
    counts: Counts
    cut_frames: int = 0
    """Frames at the start of the input's segment that were shown there and are cut off here."""
    salvage: bool = False
    """Whether damaged times are spread evenly and damaged sound is left out, instead of being refused."""

    def durations(self) -> list[int]:
        """Ticks that each coded frame of `segment()` is shown; empty without frame times."""
        if not self.salvage and not self.counts.lost:
            return self.reader.read_times(self.number)
        if not self.reader.header.has_times:
            return []
        known = self.reader.times_at_any_rate(self.number)
        return known[self._hidden :][: self.counts.frames] if self.counts.lost else known

    def packets(self) -> Sequence[AudioPacket]:
        """Sound that goes with the segment."""
        header = self.reader.header
        try:
            found = self.reader.read_audio(self.number)
        except InputError:
            if not self.salvage and not self.counts.lost:
                raise
            return ()
        if not self.counts.lost or header.audio is None:
            return found
        # A lost segment hides no frames: its packets count from the first one that is shown.
        seconds = self._hidden / header.frame_rate
        if header.has_times:
            seconds = sum(self.reader.times_at_any_rate(self.number)[: self._hidden]) * header.time_base
        moved = units_at(seconds, header.audio.time_base)
        return [dataclasses.replace(packet, time=packet.time - moved) for packet in found]

    @property
    def _hidden(self) -> int:
        """Coded frames of the input's segment before the first that a lost one shows."""
        return self.reader.index[self.number].counts.trim_start + self.cut_frames

    def segment(self) -> Segment:
        if self.counts.lost:
            return Segment(self.number, self.counts.frames, 0, b"", b"", lost=True)
        found = self.reader.read_segment(self.number)
        return dataclasses.replace(
            found, trim_start=self.counts.trim_start, trim_end=self.counts.trim_end, lost=self.counts.lost
        )


def cut_file(
    source: Source,
    target: Place,
    *,
    start_seconds: float | None = None,
    end_seconds: float | None = None,
    frames: int | None = None,
    overwrite: bool = False,
) -> EditReport:
    """Copy what is shown at start <= time < end, frame by frame the same as in `source`.

    frames: the most that are copied, 1 or more.

    Only the segments that show some of it are read; a damaged one is refused.
    Raises InputError, UsageError or OutputError.
    """
    with ItkReader(source) as reader:
        wanted = frame_range(reader, start_seconds, end_seconds, frames)
        return _write([source], target, list(_cut(reader, wanted)), overwrite)


def concat_files(sources: Sequence[Source], target: Place, *, overwrite: bool = False) -> EditReport:
    """Copy files one after the other; two parts of one segment that meet again become one.

    Raises:
        InputError: a file is damaged, or differs from the first in one of the fields `SAME`.
        OutputError: the output cannot be written.
    """
    pieces: list[_Piece] = []
    for source in sources:
        with ItkReader(source) as reader:  # not all at once: there may be more of them than can be open
            following = list(_cut(reader, range(reader.total_frames)))
            if pieces:
                _check_same(pieces[0].reader, reader)
                joined = _rejoined(pieces[-1], following[0])
                if joined is not None:
                    pieces[-1:], following[:1] = [joined], []
            pieces += following
    return _write(sources, target, pieces, overwrite)


def repair_file(source: Source, target: Place, *, overwrite: bool = False) -> EditReport:
    """Copy every whole segment under a new index; between them lost ones keep the times what they were.

    What is lost after the last whole segment of a truncated file is not known and not replaced.
    Raises InputError when the header is damaged or nothing is whole, or OutputError.
    """
    with ItkReader(source, recover=True) as reader:
        notes = [] if reader.damage is None else [f"{reader.name} {reader.damage}"]
        if reader.tags_damage is not None:
            notes.append(f"{reader.name}: {reader.tags_damage}: title and date are left out")
        pieces = []
        for piece in _cut(reader, range(reader.total_frames)):
            try:
                reader.verify_segment(piece.number)
            except InputError as error:
                notes.append(error.what)
                lost = Counts(frames=piece.counts.shown, tokens=0, map_bytes=0, token_bytes=0, lost=True)
                piece = _Piece(reader, piece.number, lost)  # noqa: PLW2901
            damage = _side_damage(reader, piece.number)
            notes += damage
            pieces.append(dataclasses.replace(piece, salvage=bool(damage)))
        if all(piece.counts.lost for piece in pieces):
            raise InputError("has no whole segment left", way_out="encode the video again", where=reader.name)
        report = _write([source], target, pieces, overwrite)
        return dataclasses.replace(report, notes=(*notes, *report.notes))


def _side_damage(reader: ItkReader, number: int) -> list[str]:
    """What is wrong with times and sound of a segment."""
    notes = []
    for read, what in ((reader.read_times, "spread evenly"), (reader.read_audio, "left out")):
        try:
            read(number)
        except InputError as error:
            notes.append(f"{error.what}: {what}")
    return notes


def _cut(reader: ItkReader, wanted: range) -> Iterator[_Piece]:
    """The segments that show frames `wanted`, trimmed to them."""
    starts = reader.index.starts
    for number in range(reader.index.holding(wanted.start), reader.index.holding(wanted.stop - 1) + 1):
        stored = reader.index[number].counts
        before = max(0, wanted.start - int(starts[number]))
        after = max(0, int(starts[number + 1]) - wanted.stop)
        trim_start, trim_end = stored.trim_start + before, stored.trim_end + after
        counts = dataclasses.replace(stored, trim_start=trim_start, trim_end=trim_end)
        if stored.lost:  # nothing is coded there that would have to stay
            shown = stored.shown - before - after
            counts = dataclasses.replace(stored, frames=shown, trim_start=0, trim_end=0)
        yield _Piece(reader, number, counts, before)


def _rejoined(one: _Piece, other: _Piece) -> _Piece | None:
    """One piece for two that show neighbouring parts of the same segment, or None."""
    a, b = one.counts, other.counts
    meets = a.frames == b.frames and a.frames - a.trim_end == b.trim_start and not a.lost
    if not meets or a.tokens != b.tokens or a.section_bytes != b.section_bytes:
        return None
    with one.reader.opened():
        first, second = one.segment(), other.segment()
        if first.payloads != second.payloads:
            return None
        if (one.durations(), one.packets()) != (other.durations(), other.packets()):
            return None
    return _Piece(one.reader, one.number, dataclasses.replace(a, trim_end=b.trim_end))


def _check_same(first: ItkReader, other: ItkReader) -> None:
    timed = first.header.has_times or other.header.has_times
    for name in (*SAME, *(SAME_WITH_TIMES if timed else ()), "audio"):
        expected, found = getattr(first.header, name), getattr(other.header, name)
        if found != expected:
            raise InputError(
                f"{name.replace('_', ' ')} is {_shown(found)}, in {first.name} it is {_shown(expected)}",
                way_out="join files that were encoded alike",
                where=other.name,
            )


def _shown(value: object) -> str:
    if isinstance(value, AudioTrack):
        unit = f"in units of {value.time_base} s"
        return f"{value.codec}, {value.sample_rate} Hz, {value.channels} channels, {unit}"
    if isinstance(value, bytes):
        return value.hex()[:12]
    return "none" if value is None else str(value)


def _readers(pieces: Sequence[_Piece]) -> Iterable[ItkReader]:
    return {id(piece.reader): piece.reader for piece in pieces}.values()


def _header(pieces: Sequence[_Piece]) -> Header:
    """Header of the output."""
    length = max(reader.header.segment_frames for reader in _readers(pieces))
    return dataclasses.replace(pieces[0].reader.header, segment_frames=length)


def _write(sources: Iterable[Source], target: Place, pieces: Sequence[_Piece], overwrite: bool) -> EditReport:
    header = _header(pieces)
    output = output_of(target, overwrite=overwrite)
    with output.opened() as stream:
        writer = ItkWriter(stream, header, output.name, pieces[0].reader.tags)
        for reader, its_pieces in groupby(pieces, lambda piece: piece.reader):
            with reader.opened():
                for piece in its_pieces:
                    writer.write(piece.segment(), piece.durations(), piece.packets())
        size_bytes = writer.finish()
    return EditReport(
        inputs=tuple(map(source_name, sources)),
        output=output.name,
        format_version=header.format_version,
        frames=writer.frames,
        frame_rate=header.frame_rate,
        duration_seconds=float(header.seconds(writer.frames, writer.ticks)),
        segments=writer.segments,
        lost_frames=sum(piece.counts.shown for piece in pieces if piece.counts.lost),
        hidden_frames=sum(piece.counts.frames - piece.counts.shown for piece in pieces),
        size_bytes=size_bytes,
        notes=tuple(_left_out(list(_readers(pieces)))),
    )


def _left_out(readers: Sequence[ItkReader]) -> Iterator[str]:
    """What of the inputs is not in the output, a line for each thing."""
    for reader in readers:
        if reader.other_bytes:
            yield f"{reader.name}: {reader.other_bytes} bytes of sections that are unknown here are left out"
        if reader.tags and reader.tags != readers[0].tags:
            yield f"{reader.name}: its title and date are left out, those of {readers[0].name} are kept"
