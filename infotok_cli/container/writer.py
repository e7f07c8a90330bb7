"""Writes an .itk file in one pass to any stream; needs no seeking and 32 bytes of memory per segment."""

from __future__ import annotations

from typing import BinaryIO

from infotok_cli.container import layout
from infotok_cli.container.header import Header, counts_fault
from infotok_cli.container.layout import Segment
from infotok_cli.errors import InputError, OutputError


class ItkWriter:
    """`write_segment` for each segment in order, then `finish`; without it the file counts as truncated."""

    def __init__(self, file: BinaryIO, header: Header) -> None:
        """Write magic and header to `file`, a binary stream that is left open.

        Raises:
            OutputError: the stream cannot be written to.
        """
        self.header = header
        self.segments = 0
        """Segments written."""
        self.frames = 0
        """Frames written, without those that are trimmed off."""
        self.size_bytes = 0
        """Bytes written."""
        self._file = file
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
    ) -> None:
        """Write the next segment: `frames` coded frames, `tokens` tokens; the rest is as in `Segment`.

        Raises:
            ValueError: counts that contradict each other or the header, a segment after a short one in
                version 1, or one after `finish`.
            InputError: more segments than the format allows.
            OutputError: the stream cannot be written to.
        """
        self.write(
            Segment(self.segments, frames, tokens, map_payload, token_payload, trim_start, trim_end, lost)
        )

    def write(self, segment: Segment) -> None:
        """As `write_segment`; the segment's own number is not looked at."""
        counts, version = segment.counts, self.header.format_version
        fault = counts_fault(self.header, counts)
        if fault is not None:
            raise ValueError(f"segment {self.segments}: {fault}")
        full = version > 1 or self.frames == self.segments * self.header.segment_frames
        if self._finished or not full:
            raise ValueError(f"segment {self.segments} comes after the last one")
        if self.segments == layout.MAX_SEGMENTS:
            raise InputError(f"video has more than {layout.MAX_SEGMENTS} segments: encode it in parts")
        self._entries += counts.pack_entry(version, self.size_bytes)
        start = counts.pack(version, self.segments, self.frames)
        self._write_section(layout.SEGM, b"".join((start, segment.map_payload, segment.token_payload)))
        self.segments += 1
        self.frames += counts.shown

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
        self._write_section(layout.INDX, layout.INDEX_STRUCT.pack(self.segments, self.frames) + self._entries)
        self._write(layout.pack_footer(index_offset))
        try:
            self._file.flush()
        except OSError as error:
            raise self._write_error(error) from error
        return self.size_bytes

    def _write_section(self, kind: bytes, payload: bytes) -> None:
        self._write(layout.frame_section(kind, payload))
        self._write(payload)

    def _write(self, data: bytes) -> None:
        """Write all of `data`; an unbuffered stream may take it in pieces."""
        rest = memoryview(data)
        while rest:
            try:
                taken = self._file.write(rest)
                if taken is None:
                    raise BlockingIOError("the stream does not block")
            except OSError as error:
                raise self._write_error(error) from error
            rest = rest[taken:]
        self.size_bytes += len(data)

    def _write_error(self, error: OSError) -> OutputError:
        name = getattr(self._file, "name", "output")
        reason = error.strerror or type(error).__name__
        return OutputError(
            f"{name}: cannot be written after {self.size_bytes} bytes ({reason}): check the disk"
        )
