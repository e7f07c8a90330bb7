"""Sections of a file: their frames, checksums and types. What reads or writes one does it here.

A section whose type begins with a small letter may be passed over by a reader that does not know it; one
that begins with a capital must be understood.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import google_crc32c

from infotok_cli.container import layout
from infotok_cli.errors import InputError

FRAME_BYTES = layout.SECTION_STRUCT.size
CHUNK_BYTES = 1 << 20
UPDATE = "update infotok"

Read = Callable[[int, int], bytes]
"""A number of bytes of a file, from an offset on; fewer where the file ends."""


@dataclass(frozen=True)
class Frame:
    """The start of a section."""

    kind: bytes
    length: int
    """Bytes of payload."""
    crc: int

    @property
    def total(self) -> int:
        """Bytes of the section."""
        return FRAME_BYTES + self.length

    @property
    def is_known(self) -> bool:
        return self.kind in layout.MAX_PAYLOAD_BYTES

    @property
    def is_ignorable(self) -> bool:
        """Whether a reader that does not know its type may pass over it."""
        return self.kind[:1].islower()

    @property
    def is_possible(self) -> bool:
        """Whether type and length are ones that a section can have, in this version or a later one."""
        limit = layout.MAX_PAYLOAD_BYTES.get(self.kind, layout.MAX_OTHER_BYTES)
        return len(self.kind) == 4 and self.kind.isalpha() and self.length <= limit

    def holds(self, payload: bytes) -> bool:
        """Whether this is the whole payload, unchanged."""
        return len(payload) == self.length and section_crc(self.kind, self.length, payload) == self.crc

    def check_passed_over(self, at: int) -> None:
        """Raise InputError unless the section, which starts at `at`, may be passed over there."""
        place = f"section {self.kind.decode()} (byte {at})"
        if self.is_known:
            raise InputError(f"{place} is out of place")
        if not self.is_ignorable:
            version = layout.FORMAT_VERSION
            raise InputError(f"{place} is newer than format version {version}", way_out=UPDATE)


def unpack_frame(data: bytes) -> Frame:
    """Frame at the start of `data`; one that is not possible where there are too few bytes."""
    if len(data) < FRAME_BYTES:
        return Frame(b"", 0, 0)
    return Frame(*layout.SECTION_STRUCT.unpack_from(data))


def pack_frame(kind: bytes, payload: bytes) -> bytes:
    """The 12 bytes that go before `payload`."""
    return layout.SECTION_STRUCT.pack(kind, len(payload), section_crc(kind, len(payload), payload))


def payload_of(section: bytes, kind: bytes) -> bytes | None:
    """Payload of a whole section of this type; None where type, length or checksum is wrong."""
    frame, payload = unpack_frame(section), section[FRAME_BYTES:]
    return payload if frame.kind == kind and frame.holds(payload) else None


def is_whole(read: Read, at: int, frame: Frame) -> bool:
    """Whether the payload of `frame`, whose section starts at `at`, is there unchanged."""
    crc, start, end = section_crc(frame.kind, frame.length), at + FRAME_BYTES, at + frame.total
    while start < end:
        chunk = read(start, min(CHUNK_BYTES, end - start))
        if not chunk:
            return False
        crc = crc32c(chunk, crc)
        start += len(chunk)
    return crc == frame.crc


def passed_over(read: Read, start: int, end: int) -> Iterator[tuple[int, Frame]]:
    """Offset and frame of the sections that fill a file from `start` to `end`, of types not known here.

    Raises:
        InputError: one of them must be understood, or there is something else than whole sections.
    """
    while start < end:
        frame = unpack_frame(read(start, FRAME_BYTES))
        if not frame.is_possible or start + frame.total > end:
            raise InputError(f"there is no section at byte {start}, where one must be")
        frame.check_passed_over(start)
        yield start, frame
        start += frame.total


def section_crc(kind: bytes, length: int, payload: bytes = b"") -> int:
    """CRC32C over a section's type, payload length and (the first part of) its payload."""
    return crc32c(payload, crc32c(kind + length.to_bytes(4, "little")))


def crc32c(data: bytes, start: int = 0) -> int:
    """CRC32C (Castagnoli) of `data`, continued from `start`."""
    value: int = google_crc32c.extend(start, data)
    return value


def pack_footer(index_offset: int) -> bytes:
    """The last bytes of a file whose INDX section starts at `index_offset`."""
    check = crc32c(index_offset.to_bytes(8, "little"))
    return layout.FOOTER_STRUCT.pack(index_offset, check, layout.END_MAGIC)
