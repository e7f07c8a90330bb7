"""Writes an .itk file in one pass to any stream; with 48 bytes of memory per segment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from infotok_cli.container import layout
from infotok_cli.container.header import Header, counts_fault
from infotok_cli.container.layout import IndexEntry, Segment
from infotok_cli.container.tracks import pack_audio, pack_times
from infotok_cli.errors import InputError, OutputError
from infotok_cli.files import write_all
from infotok_cli.sound import AudioPacket


class ItkWriter:
    """`write_segment` for each segment in order, then `finish`; without it the file counts as truncated."""

    def __init__(self, file: BinaryIO, header: Header, name: str = "output") -> None:
        """Write magic and header to `file`, a binary stream that is left open; `name` is its in messages.

        Raises:
            OutputError: the stream cannot be written to.
        """
        self.header = header
        self.segments = 0
        """Segments written."""
        self.frames = 0
        """Frames written, without those that are trimmed off."""
        self.ticks = 0
        """When the frames written end, in the header's time base; 0 in a file without frame times."""
        self.audio_bytes = 0
        """Bytes of sound among them."""
        self.size_bytes = 0
        """Bytes written."""
        self._file = file
        self._name = name
        self._entries = bytearray()
        self._finished = False
        self._write(layout.MAGIC)
        self._write_section(layout.HEAD, header.pack())

    def write_segment(
        self,
        *,
        frames: int,
        tokens: int,
        map_payload: bytes,
        token_payload: bytes,
        trim_start: int = 0,
        trim_end: int = 0,
        lost: bool = False,
        durations: Sequence[int] = (),
        packets: Sequence[AudioPacket] = (),
    ) -> None:
        """Write the next segment: `frames` coded frames, `tokens` tokens; the rest is as in `Segment`.

        In a file with frame times there is one of `durations` for each coded frame, in ticks; in one with
        sound, `packets` are those heard while the segment is shown.

        Raises:
            ValueError: counts that contradict each other or the header, a segment after a short one in
                version 1, or one after `finish`.
            InputError: more segments, or more sound in one of them, than the format allows.
            OutputError: the stream cannot be written to.
        """
        segment = Segment(
            self.segments, frames, tokens, map_payload, token_payload, trim_start, trim_end, lost
        )
        self.write(segment, durations, packets)

    def write(
        self, segment: Segment, durations: Sequence[int] = (), packets: Sequence[AudioPacket] = ()
    ) -> None:
        """As `write_segment`; the segment's own number is not looked at."""
        counts, version = segment.counts, self.header.format_version
        fault = counts_fault(self.header, counts)
        if fault is not None:
            raise ValueError(f"segment {self.segments}: {fault}")
        full = version > 1 or self.frames == self.segments * self.header.segment_frames
        if self._finished or not full:
            raise ValueError(f"segment {self.segments} comes after the last one")
        if self.segments == layout.MAX_SEGMENTS:
            raise InputError(
                f"video has more than {layout.MAX_SEGMENTS} segments", way_out="encode it in parts"
            )
        if len(durations) != segment.frames * self.header.has_times:
            raise ValueError(f"segment {self.segments}: {len(durations)} times for {segment.frames} frames")
        if packets and self.header.audio is None:
            raise ValueError(f"segment {self.segments}: sound in a file without")
        offset = self.size_bytes
        start = counts.pack(version, self.segments, self.frames)
        self._write_section(layout.SEGM, b"".join((start, segment.map_payload, segment.token_payload)))
        if self.header.has_tracks:
            self._entries += self._write_tracks(segment, offset, durations, packets).pack_tracks()
            shown = durations[segment.trim_start : len(durations) - segment.trim_end]
            self.ticks += sum(shown)
        else:
            self._entries += counts.pack_entry(version, offset)
        self.segments += 1
        self.frames += counts.shown

    def _write_tracks(
        self, segment: Segment, offset: int, durations: Sequence[int], packets: Sequence[AudioPacket]
    ) -> IndexEntry:
        """Write the sections that follow a segment, which starts at `offset`; returns its index entry."""
        counts = segment.counts
        length = self.size_bytes - offset
        if self.header.has_times:
            self._write_section(layout.TIME, pack_times(self.segments, self.ticks, durations))
        time_length = self.size_bytes - offset - length
        if self.header.audio is not None:
            self._write_section(layout.AUDI, pack_audio(self.segments, packets))
        audio_length = self.size_bytes - offset - length - time_length
        self.audio_bytes += audio_length
        return IndexEntry(
            **vars(counts),
            offset=offset,
            length=length,
            first_tick=self.ticks,
            time_length=time_length,
            audio_length=audio_length,
        )

    def finish(self) -> int:
        """Write index and footer, flush, and return the size of the file in bytes.

        Raises:
            ValueError: called twice.
            InputError: no segment was written.
            OutputError: the stream cannot be written to.
        """
        if self._finished:
            raise ValueError("the file is finished already")
        if not self.segments:
            raise InputError("video has no frames: there is nothing to write")
        self._finished = True
        index_offset = self.size_bytes
        totals = (self.segments, self.frames, *([self.ticks] if self.header.has_tracks else []))
        start = layout.INDEX_STRUCTS[self.header.index_layout].pack(*totals)
        self._write_section(layout.INDX, start + self._entries)
        self._write(layout.pack_footer(index_offset))
        self.flush()
        return self.size_bytes

    def flush(self) -> None:
        """Hand over what the stream still holds back; raises OutputError."""
        try:
            self._file.flush()
        except OSError as error:
            raise self._write_error(error) from error

    def _write_section(self, kind: bytes, payload: bytes) -> None:
        self._write(layout.frame_section(kind, payload))
        self._write(payload)

    def _write(self, data: bytes) -> None:
        try:
            write_all(self._file, data)
        except OSError as error:
            raise self._write_error(error) from error
        self.size_bytes += len(data)

    def _write_error(self, error: OSError) -> OutputError:
        reason = error.strerror or type(error).__name__
        return OutputError(
            f"cannot be written after {self.size_bytes} bytes ({reason})",
            way_out="check the disk",
            where=str(self._name),
        )
