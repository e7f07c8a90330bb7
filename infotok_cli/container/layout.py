"""Bytes of the .itk file, format version 1: constants, field tables, limits and section framing.

docs/FORMAT.md is the normative text; a test holds the two together. All integers are little-endian.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

import google_crc32c

from infotok_cli.config import MAX_SEGMENT_FRAMES

MAGIC = b"\x89ITK\r\n\x1a\n"
END_MAGIC = b"ITKEND\r\n"
FORMAT_VERSION = 1

HEAD = b"HEAD"
SEGM = b"SEGM"
INDX = b"INDX"

MAX_WIDTH = 16384
MAX_HEIGHT = 16384
MAX_FRAMES_PER_SEGMENT = MAX_SEGMENT_FRAMES
MAX_POSITIONS_PER_SEGMENT = 1 << 24
MAX_SEGMENTS = 1 << 20
MAX_HEAD_BYTES = 4096
"""Payload of HEAD in any version, so that an old reader can recognise a newer file."""
MAX_QUANTIZER_LEVELS = 16
MAX_LEVEL = 255
MAX_MODEL_NAME_BYTES = 64
MAX_ENCODER_BYTES = 255

ROUTER_CODES = {"fast": 0, "exact": 1, "fixed": 2, "elastic": 3}
ALLOCATION_CODES = {"block": 0, "position": 1}
KEEP_MAP_CODINGS = (0,)
TOKEN_CODINGS = (0, 1)
RANGE_UNSPECIFIED, RANGE_LIMITED, RANGE_FULL = 0, 1, 2
COLOUR_UNSPECIFIED = 2

Fields = tuple[tuple[str, str], ...]
"""Names and `struct` codes of fields that follow each other without gaps."""

SECTION_FIELDS: Fields = (("type", "4s"), ("payload_length", "I"), ("crc32c", "I"))
HEAD_FIELDS: Fields = (
    ("format_version", "H"),
    ("flags", "H"),
    ("width", "I"),
    ("height", "I"),
    ("frame_rate_num", "I"),
    ("frame_rate_den", "I"),
    ("time_base_num", "I"),
    ("time_base_den", "I"),
    ("sample_aspect_num", "I"),
    ("sample_aspect_den", "I"),
    ("colour_primaries", "B"),
    ("colour_transfer", "B"),
    ("colour_matrix", "B"),
    ("colour_range", "B"),
    ("segment_frames", "H"),
    ("patch_frames", "B"),
    ("patch_rows", "B"),
    ("patch_columns", "B"),
    ("block_steps", "B"),
    ("block_rows", "B"),
    ("block_columns", "B"),
    ("router", "B"),
    ("allocation", "B"),
    ("keep_map_coding", "B"),
    ("token_coding", "B"),
    ("target_rate_ppm", "I"),
    ("model_sha256", "32s"),
)
SEGMENT_FIELDS: Fields = (
    ("number", "I"),
    ("frames", "H"),
    ("tokens", "I"),
    ("map_bytes", "I"),
    ("token_bytes", "I"),
)
INDEX_FIELDS: Fields = (("segment_count", "I"), ("total_frames", "Q"))
INDEX_ENTRY_FIELDS: Fields = (
    ("offset", "Q"),
    ("length", "I"),
    ("frames", "H"),
    ("tokens", "I"),
    ("map_bytes", "I"),
    ("token_bytes", "I"),
)
FOOTER_FIELDS: Fields = (("index_offset", "Q"), ("crc32c", "I"), ("end_magic", "8s"))


def layout_of(fields: Fields) -> Struct:
    """Packed little-endian struct of a field table."""
    return Struct("<" + "".join(code for _, code in fields))


SECTION_STRUCT = layout_of(SECTION_FIELDS)
HEAD_STRUCT = layout_of(HEAD_FIELDS)
SEGMENT_STRUCT = layout_of(SEGMENT_FIELDS)
INDEX_STRUCT = layout_of(INDEX_FIELDS)
INDEX_ENTRY_STRUCT = layout_of(INDEX_ENTRY_FIELDS)
FOOTER_STRUCT = layout_of(FOOTER_FIELDS)
MAX_INDEX_BYTES = INDEX_STRUCT.size + MAX_SEGMENTS * INDEX_ENTRY_STRUCT.size


def max_coded_bytes(positions: int) -> int:
    """Most bytes that the keep map, or the tokens, of a segment of `positions` positions may take."""
    return 2 * positions + 16


MAX_SEGMENT_BYTES = SEGMENT_STRUCT.size + 2 * max_coded_bytes(MAX_POSITIONS_PER_SEGMENT)
MAX_PAYLOAD_BYTES = {HEAD: MAX_HEAD_BYTES, SEGM: MAX_SEGMENT_BYTES, INDX: MAX_INDEX_BYTES}


@dataclass(frozen=True)
class Segment:
    """One segment as stored: a run of frames coded on its own."""

    number: int
    """Place in the file, from 0."""
    frames: int
    """Real frames, 1..segment_frames; only the last segment may hold fewer than segment_frames."""
    tokens: int
    """Positions that carry a token."""
    map_payload: bytes
    """Coded keep map."""
    token_payload: bytes
    """Coded token ids."""


@dataclass(frozen=True)
class IndexEntry:
    """Where a segment lies and what it costs."""

    offset: int
    """First byte of its section in the file."""
    length: int
    """Bytes of its section, frame included."""
    frames: int
    tokens: int
    map_bytes: int
    token_bytes: int


def segment_section_bytes(map_bytes: int, token_bytes: int) -> int:
    """Length of a whole SEGM section with payloads of these lengths."""
    return SECTION_STRUCT.size + SEGMENT_STRUCT.size + map_bytes + token_bytes


def section_crc(kind: bytes, length: int, payload: bytes = b"") -> int:
    """CRC32C over a section's type, payload length and (the first part of) its payload."""
    start = google_crc32c.value(kind + length.to_bytes(4, "little"))
    return crc32c(payload, start)


def crc32c(data: bytes, start: int = 0) -> int:
    """CRC32C (Castagnoli) of `data`, going on from `start`."""
    value: int = google_crc32c.extend(start, data)
    return value


def frame_section(kind: bytes, payload: bytes) -> bytes:
    """The 12 bytes that go before `payload`."""
    return SECTION_STRUCT.pack(kind, len(payload), section_crc(kind, len(payload), payload))


def pack_footer(index_offset: int) -> bytes:
    """The last bytes of a file whose INDX section starts at `index_offset`."""
    check = crc32c(index_offset.to_bytes(8, "little"))
    return FOOTER_STRUCT.pack(index_offset, check, END_MAGIC)
