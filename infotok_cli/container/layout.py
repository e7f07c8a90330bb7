"""Bytes of the .itk file, format versions 1 and 2: constants, field tables, limits and section framing.

docs/FORMAT.md is the normative text; a test holds the two together. All integers are little-endian.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

import google_crc32c

from infotok_cli.config import MAX_SEGMENT_FRAMES

MAGIC = b"\x89ITK\r\n\x1a\n"
END_MAGIC = b"ITKEND\r\n"
FORMAT_VERSION = 2
"""The newest version known here. A file is written in the oldest version that can hold it."""

HEAD = b"HEAD"
SEGM = b"SEGM"
TIME = b"TIME"
AUDI = b"AUDI"
INDX = b"INDX"

AUDIO_FLAG = 1
"""Bit of `flags` of HEAD in version 2: an AUDI section follows every segment."""
TIMES_FLAG = 2
"""Bit of `flags` of HEAD in version 2: a TIME section follows every segment."""

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
MAX_CODEC_BYTES = 32
MAX_PRIVATE_BYTES = 2048
MAX_VARINT_BYTES = 9
MAX_TICKS = 1 << 60
MAX_DURATION = (1 << 32) - 1
MAX_AUDIO_BYTES = 1 << 25
MAX_PACKETS = 1 << 17

ALLOCATION_CODES = {"block": 0, "position": 1}
KEEP_MAP_CODINGS = (0,)
TOKEN_CODINGS = (0, 1)

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
SEGMENT_FIELDS_V2: Fields = (
    ("number", "I"),
    ("first_frame", "I"),
    ("frames", "H"),
    ("trim_start", "H"),
    ("trim_end", "H"),
    ("flags", "H"),
    ("tokens", "I"),
    ("map_bytes", "I"),
    ("token_bytes", "I"),
)
INDEX_ENTRY_FIELDS_V2: Fields = (
    ("offset", "Q"),
    ("length", "I"),
    ("frames", "H"),
    ("trim_start", "H"),
    ("trim_end", "H"),
    ("flags", "H"),
    ("tokens", "I"),
    ("map_bytes", "I"),
    ("token_bytes", "I"),
)
INDEX_FIELDS_TRACKS: Fields = (*INDEX_FIELDS, ("total_ticks", "Q"))
"""With one of the flags of HEAD, as is the next one."""
INDEX_ENTRY_FIELDS_TRACKS: Fields = (
    *INDEX_ENTRY_FIELDS_V2,
    ("first_tick", "Q"),
    ("time_length", "I"),
    ("audio_length", "I"),
)
TIME_FIELDS: Fields = (("number", "I"), ("first_tick", "Q"))
AUDIO_FIELDS: Fields = (("number", "I"), ("packets", "I"))
TRACK_FIELDS: Fields = (
    ("sample_rate", "I"),
    ("channels", "B"),
    ("bits", "B"),
    ("audio_base_num", "I"),
    ("audio_base_den", "I"),
    ("codec_bytes", "B"),
    ("private_bytes", "H"),
)
LOST_FLAG = 1
"""Bit of `flags` in version 2: the tokens of the segment were lost."""
FOOTER_FIELDS: Fields = (("index_offset", "Q"), ("crc32c", "I"), ("end_magic", "8s"))


def layout_of(fields: Fields) -> Struct:
    """Packed little-endian struct of a field table."""
    return Struct("<" + "".join(code for _, code in fields))


SECTION_STRUCT = layout_of(SECTION_FIELDS)
HEAD_STRUCT = layout_of(HEAD_FIELDS)
SEGMENT_STRUCT = layout_of(SEGMENT_FIELDS)
INDEX_STRUCT = layout_of(INDEX_FIELDS)
INDEX_ENTRY_STRUCT = layout_of(INDEX_ENTRY_FIELDS)
SEGMENT_STRUCT_V2 = layout_of(SEGMENT_FIELDS_V2)
INDEX_ENTRY_STRUCT_V2 = layout_of(INDEX_ENTRY_FIELDS_V2)
FOOTER_STRUCT = layout_of(FOOTER_FIELDS)
TIME_STRUCT = layout_of(TIME_FIELDS)
AUDIO_STRUCT = layout_of(AUDIO_FIELDS)
TRACK_STRUCT = layout_of(TRACK_FIELDS)
TRACKS = 3
"""Key, beside the two versions, of the index of a file with TIME or AUDI sections."""
INDEX_STRUCTS = {1: INDEX_STRUCT, 2: INDEX_STRUCT, TRACKS: layout_of(INDEX_FIELDS_TRACKS)}
INDEX_ENTRY_STRUCTS = {
    1: INDEX_ENTRY_STRUCT,
    2: INDEX_ENTRY_STRUCT_V2,
    TRACKS: layout_of(INDEX_ENTRY_FIELDS_TRACKS),
}
SEGMENT_STRUCTS = {1: SEGMENT_STRUCT, 2: SEGMENT_STRUCT_V2}
"""Start of a SEGM payload, by format version."""
MAX_INDEX_BYTES = INDEX_STRUCTS[TRACKS].size + MAX_SEGMENTS * INDEX_ENTRY_STRUCTS[TRACKS].size
MAX_TIME_BYTES = TIME_STRUCT.size + MAX_FRAMES_PER_SEGMENT * MAX_VARINT_BYTES


def max_coded_bytes(positions: int) -> int:
    """Most bytes that the keep map, or the tokens, of a segment of `positions` positions may take."""
    return 2 * positions + 16


MAX_SEGMENT_BYTES = SEGMENT_STRUCT_V2.size + 2 * max_coded_bytes(MAX_POSITIONS_PER_SEGMENT)
MAX_PAYLOAD_BYTES = {
    HEAD: MAX_HEAD_BYTES,
    SEGM: MAX_SEGMENT_BYTES,
    TIME: MAX_TIME_BYTES,
    AUDI: MAX_AUDIO_BYTES,
    INDX: MAX_INDEX_BYTES,
}


@dataclass(frozen=True)
class Segment:
    """One segment as stored: a run of frames coded on its own."""

    number: int
    """Place in the file, from 0."""
    frames: int
    """Coded frames, 1..segment_frames; they set the token grid."""
    tokens: int
    """Positions that carry a token."""
    map_payload: bytes
    """Coded keep map."""
    token_payload: bytes
    """Coded token ids."""
    trim_start: int = 0
    """Coded frames at the start that are not shown; 0 in version 1, as the next one."""
    trim_end: int = 0
    """Coded frames at the end that are not shown."""
    lost: bool = False
    """The tokens were lost: there are none, and both payloads are empty. Never in version 1."""

    @property
    def counts(self) -> Counts:
        return Counts(
            frames=self.frames,
            tokens=self.tokens,
            map_bytes=len(self.map_payload),
            token_bytes=len(self.token_payload),
            trim_start=self.trim_start,
            trim_end=self.trim_end,
            lost=self.lost,
        )


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What segment and index both say about a segment; the fields are those of `Segment`."""

    frames: int
    tokens: int
    map_bytes: int
    token_bytes: int
    trim_start: int = 0
    trim_end: int = 0
    lost: bool = False

    @property
    def shown(self) -> int:
        """Frames that a decoder shows."""
        return self.frames - self.trim_start - self.trim_end

    def section_bytes(self, version: int) -> int:
        """Length of the whole SEGM section."""
        return segment_section_bytes(self.map_bytes, self.token_bytes, version)

    def pack(self, version: int, number: int, first_frame: int) -> bytes:
        """Start of the SEGM payload of segment `number`, before which `first_frame` frames are shown."""
        sizes = (self.tokens, self.map_bytes, self.token_bytes)
        if version == 1:
            return SEGMENT_STRUCT.pack(number, self.frames, *sizes)
        trim = (self.trim_start, self.trim_end, LOST_FLAG * self.lost)
        return SEGMENT_STRUCT_V2.pack(number, first_frame, self.frames, *trim, *sizes)

    def pack_entry(self, version: int, offset: int) -> bytes:
        """Index entry of this segment, whose section starts at `offset`."""
        start = (offset, self.section_bytes(version), self.frames)
        sizes = (self.tokens, self.map_bytes, self.token_bytes)
        if version == 1:
            return INDEX_ENTRY_STRUCT.pack(*start, *sizes)
        trim = (self.trim_start, self.trim_end, LOST_FLAG * self.lost)
        return INDEX_ENTRY_STRUCT_V2.pack(*start, *trim, *sizes)


@dataclass(frozen=True, kw_only=True)
class IndexEntry(Counts):
    """Where a segment lies and what it costs."""

    offset: int
    """First byte of its section in the file; 0 when a scan found no section."""
    length: int
    """Bytes of its section, frame included; 0 when a scan found no section."""
    first_tick: int = 0
    """When its first shown frame is shown, in the header's time base; 0 in a file without frame times."""
    time_length: int = 0
    """Bytes of the TIME section after it, frame included; 0 when there is none."""
    audio_length: int = 0
    """Bytes of the AUDI section after that, frame included; 0 when there is none."""

    def pack_tracks(self) -> bytes:
        """Index entry in a file with TIME or AUDI sections."""
        start = (self.offset, self.length, self.frames)
        trim = (self.trim_start, self.trim_end, LOST_FLAG * self.lost)
        sizes = (self.tokens, self.map_bytes, self.token_bytes)
        lengths = (self.first_tick, self.time_length, self.audio_length)
        return INDEX_ENTRY_STRUCTS[TRACKS].pack(*start, *trim, *sizes, *lengths)


def segment_section_bytes(map_bytes: int, token_bytes: int, version: int = 1) -> int:
    """Length of a whole SEGM section with payloads of these lengths."""
    return SECTION_STRUCT.size + SEGMENT_STRUCTS[version].size + map_bytes + token_bytes


def unpack_segment_start(version: int, payload: bytes) -> tuple[int, int | None, Counts | None]:
    """Number, first frame (None in version 1) and counts of a SEGM payload; no counts for unknown flags.

    `payload` must be long enough; nothing else about it is checked.
    """
    if version == 1:
        number, frames, tokens, map_bytes, token_bytes = SEGMENT_STRUCT.unpack_from(payload)
        counts = Counts(frames=frames, tokens=tokens, map_bytes=map_bytes, token_bytes=token_bytes)
        return number, None, counts
    number, first, frames, trim_start, trim_end, flags, tokens, map_bytes, token_bytes = (
        SEGMENT_STRUCT_V2.unpack_from(payload)
    )
    if flags & ~LOST_FLAG:
        return number, first, None
    counts = Counts(
        frames=frames,
        tokens=tokens,
        map_bytes=map_bytes,
        token_bytes=token_bytes,
        trim_start=trim_start,
        trim_end=trim_end,
        lost=bool(flags & LOST_FLAG),
    )
    return number, first, counts


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
