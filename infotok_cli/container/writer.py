"""Writes an .itk file in one pass to any stream; with 24 to 38 bytes of memory per segment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from infotok_cli.container import layout
from infotok_cli.container.header import Header, counts_fault
from infotok_cli.container.layout import IndexEntry, Segment
from infotok_cli.container.sections import FRAME_BYTES, pack_footer, pack_frame
from infotok_cli.container.tags import pack_tags
from infotok_cli.container.tracks import pack_audio, pack_times
from infotok_cli.errors import InputError, OutputError
from infotok_cli.files import write_all
from infotok_cli.sound import AudioPacket
from infotok_cli.tags import NO_TAGS, Tags


class ItkWriter:
    """`write_segment` for each segment in order, then `finish`; without it the file counts as truncated."""

    def __init__(self, file: BinaryIO, header: Header, name: str = "output", tags: Tags = NO_TAGS) -> None:
        """Write magic, header and tags to `file`, a binary stream that is left open.

        Messages call it `name`.

        Raises:
            InputError: `tags` that the format cannot hold.
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
        """Bytes of AUDI sections written."""
        self.size_bytes = 0
        """Bytes written."""
        self._file = file
        self._name = name
        self._entries = bytearray()
        self._finished = False
        self._write(layout.MAGIC)
        self._write_section(layout.HEAD, header.pack())
        if tags:
            self._write_section(layout.TAGS, pack_tags(tags))

    def write_segment(
        self,
        *,
        frames: int,
        tokens: int,
        map_payload: bytes,
        token_payload: bytes,
        motion_payload: bytes = b"",
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
            ValueError: counts that contradict each other or the header, or a segment after `finish`.
            InputError: more segments, or more sound in one of them, than the format allows.
            OutputError: the stream cannot be written to.
        """
        segment = Segment(
            number=self.segments,
            frames=frames,
            tokens=tokens,
            map_payload=map_payload,
            motion_payload=motion_payload,
            token_payload=token_payload,
            trim_start=trim_start,
            trim_end=trim_end,
            lost=lost,
        )
        self.write(segment, durations, packets)

    def write(
        self, segment: Segment, durations: Sequence[int] = (), packets: Sequence[AudioPacket] = ()
    ) -> None:
        """Write the next segment, whatever its own number is; the rest is as in `write_segment`."""
        counts = segment.counts
        fault = counts_fault(self.header, counts)
        if fault is not None:
            raise ValueError(f"segment {self.segments}: {fault}")
        if self._finished:
            raise ValueError(f"segment {self.segments} comes after the end of the file")
        if self.segments == layout.MAX_SEGMENTS:
            raise InputError(
                f"video has more than {layout.MAX_SEGMENTS} segments", way_out="encode it in parts"
            )
        if len(durations) != segment.frames * self.header.has_times:
            raise ValueError(f"segment {self.segments}: {len(durations)} times for {segment.frames} frames")
        if packets and self.header.audio is None:
            raise ValueError(f"segment {self.segments}: sound in a file without")
        entry = self._write_sections(segment, durations, packets)
        self._entries += entry.pack(self.header.index_fields)
        self.segments += 1
        self.frames += counts.shown
        self.ticks += entry.ticks
        self.audio_bytes += entry.audio_length

    def _write_sections(
        self, segment: Segment, durations: Sequence[int], packets: Sequence[AudioPacket]
    ) -> IndexEntry:
        """Write a segment and what follows it; returns its index entry."""
        header, counts, offset = self.header, segment.counts, self.size_bytes
        start = counts.pack(self.frames)
        length = self._write_section(layout.SEGM, b"".join((start, *segment.payloads)))
        time_length = audio_length = 0
        if header.has_times:
            time_length = self._write_section(layout.TIME, pack_times(self.frames, self.ticks, durations))
        if header.audio is not None:
            audio_length = self._write_section(layout.AUDI, pack_audio(self.frames, packets))
        return IndexEntry(
            counts=counts,
            offset=offset,
            length=length,
            ticks=sum(durations[segment.trim_start : len(durations) - segment.trim_end]),
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
            raise InputError("video has no frames", way_out="give one that has")
        self._finished = True
        index_offset = self.size_bytes
        self._write_section(layout.INDX, bytes(self._entries))
        self._write(pack_footer(index_offset))
        self.flush()
        return self.size_bytes

    def flush(self) -> None:
        """Hand over what the stream still holds back; raises OutputError."""
        try:
            self._file.flush()
        except OSError as error:
            raise self._write_error(error) from error

    def _write_section(self, kind: bytes, payload: bytes) -> int:
        """Returns the bytes of the section."""
        self._write(pack_frame(kind, payload))
        self._write(payload)
        return FRAME_BYTES + len(payload)

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
            where=self._name,
        )
