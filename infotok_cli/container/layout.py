"""Bytes of the .itk file: constants, field tables, limits, and what is stored of a segment.

docs/FORMAT.md is the normative text; a test holds the two together. All integers are little-endian.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from struct import Struct

from infotok_cli.config import MAX_SEGMENT_FRAMES
from infotok_cli.tags import MAX_DATE_BYTES, MAX_TITLE_BYTES

MAGIC = b"\x89ITK\r\n\x1a\n"
END_MAGIC = b"ITKEND\r\n"
FORMAT_VERSION = 1
"""The only version so far, and so the newest one known here."""

HEAD = b"HEAD"
SEGM = b"SEGM"
TIME = b"TIME"
AUDI = b"AUDI"
INDX = b"INDX"
TAGS = b"tags"
"""Of all types that are known, the only one that a reader may pass over."""

AUDIO_FLAG = 1
"""Bit of `flags` of HEAD: an AUDI section follows every segment."""
TIMES_FLAG = 2
"""Bit of `flags` of HEAD: a TIME section follows every segment."""
REQUIRED_FLAGS = 0x00FF
"""Bits of `flags` of HEAD that a reader must know; it passes over the others."""
LOST_FLAG = 1
"""Bit of `flags` of SEGM: the tokens of the segment were lost."""

MAX_WIDTH = 16384
MAX_HEIGHT = 16384
MAX_FRAMES_PER_SEGMENT = MAX_SEGMENT_FRAMES
MAX_POSITIONS_PER_SEGMENT = 1 << 24
MAX_SEGMENTS = 1 << 20
MAX_FRACTION_PART = (1 << 31) - 1
"""Numerator or denominator: what FFmpeg's fractions hold."""
MAX_FRAME_RATE = 1000
MAX_UNIT_SECONDS = 3600
"""Length of a frame at the slowest frame rate, and of a unit of a time base."""
MAX_SAMPLE_ASPECT = 1000
"""Either way: from 1/1000 on."""
MAX_SAMPLE_RATE = 1 << 28
MAX_HEAD_BYTES = 4096
"""Payload of HEAD in any version, so that an old reader can recognise a newer file."""
MAX_OTHER_BYTES = 1 << 24
"""Payload of a section of any type that is not known here."""
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

Fields = tuple[tuple[str, str], ...]
"""Names and `struct` codes of fields that follow each other without gaps."""

SECTION_FIELDS: Fields = (("type", "4s"), ("payload_length", "I"), ("crc32c", "I"))
HEAD_FIELDS: Fields = (
    ("format_version", "B"),
    ("segment_frames", "B"),
    ("flags", "H"),
    ("width", "H"),
    ("height", "H"),
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
    ("router", "B"),
    ("allocation", "B"),
    ("keep_map_coding", "B"),
    ("token_coding", "B"),
    ("target_rate_ppm", "I"),
    ("model_sha256", "32s"),
)
TRACK_FIELDS: Fields = (
    ("sample_rate", "I"),
    ("channels", "B"),
    ("bits", "B"),
    ("audio_base_num", "I"),
    ("audio_base_den", "I"),
    ("codec_bytes", "B"),
    ("private_bytes", "H"),
)
_COUNT_FIELDS: Fields = (
    ("frames", "B"),
    ("trim_start", "B"),
    ("trim_end", "B"),
    ("flags", "B"),
    ("tokens", "I"),
    ("map_bytes", "I"),
    ("motion_bytes", "I"),
)
SEGMENT_FIELDS: Fields = (("first_frame", "I"), *_COUNT_FIELDS)
TIME_FIELDS: Fields = (("first_frame", "I"), ("first_tick", "Q"))
AUDIO_FIELDS: Fields = (("first_frame", "I"), ("packets", "I"))
INDEX_ENTRY_FIELDS: Fields = (("length", "I"), *_COUNT_FIELDS, ("token_bytes", "I"))
INDEX_TIME_FIELDS: Fields = (("ticks", "Q"), ("time_length", "H"))
"""More of an index entry, in a file with frame times."""
INDEX_AUDIO_FIELDS: Fields = (("audio_length", "I"),)
"""More of an index entry, in a file with sound."""
FOOTER_FIELDS: Fields = (("index_offset", "Q"), ("crc32c", "I"), ("end_magic", "8s"))


def index_fields(has_times: bool, has_sound: bool) -> Fields:
    """Fields of an index entry."""
    return INDEX_ENTRY_FIELDS + INDEX_TIME_FIELDS * has_times + INDEX_AUDIO_FIELDS * has_sound


ALL_INDEX_FIELDS = index_fields(True, True)


@cache
def layout_of(fields: Fields) -> Struct:
    """Packed little-endian struct of a field table."""
    return Struct("<" + "".join(code for _, code in fields))


SECTION_STRUCT = layout_of(SECTION_FIELDS)
HEAD_STRUCT = layout_of(HEAD_FIELDS)
TRACK_STRUCT = layout_of(TRACK_FIELDS)
SEGMENT_STRUCT = layout_of(SEGMENT_FIELDS)
TIME_STRUCT = layout_of(TIME_FIELDS)
AUDIO_STRUCT = layout_of(AUDIO_FIELDS)
INDEX_ENTRY_STRUCT = layout_of(INDEX_ENTRY_FIELDS)
FOOTER_STRUCT = layout_of(FOOTER_FIELDS)

SEGMENT_BYTES = SECTION_STRUCT.size + SEGMENT_STRUCT.size
"""Of a SEGM section, besides its keep map, motion map and token ids."""


def max_coded_bytes(positions: int) -> int:
    """Most bytes that the keep map, the motion map or the tokens of a segment may each take."""
    return 2 * positions + 16


MAX_SEGMENT_BYTES = SEGMENT_STRUCT.size + 3 * max_coded_bytes(MAX_POSITIONS_PER_SEGMENT)
MAX_TIME_BYTES = TIME_STRUCT.size + MAX_FRAMES_PER_SEGMENT * MAX_VARINT_BYTES
MAX_INDEX_BYTES = MAX_SEGMENTS * layout_of(ALL_INDEX_FIELDS).size
MAX_TAGS_BYTES = 4 + MAX_TITLE_BYTES + MAX_DATE_BYTES
MAX_PAYLOAD_BYTES = {
    HEAD: MAX_HEAD_BYTES,
    SEGM: MAX_SEGMENT_BYTES,
    TIME: MAX_TIME_BYTES,
    AUDI: MAX_AUDIO_BYTES,
    INDX: MAX_INDEX_BYTES,
    TAGS: MAX_TAGS_BYTES,
}

FRAME_RATES = (Fraction(1, MAX_UNIT_SECONDS), Fraction(MAX_FRAME_RATE))
"""Lowest and highest, frames per second."""
TIME_UNITS = (Fraction(1, MAX_FRACTION_PART), Fraction(MAX_UNIT_SECONDS))
"""Shortest and longest unit of a time base, seconds."""
SAMPLE_ASPECTS = (Fraction(1, MAX_SAMPLE_ASPECT), Fraction(MAX_SAMPLE_ASPECT))
"""Narrowest and widest pixel."""


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
    motion_payload: bytes = b""
    """Coded motion map; empty where nothing moves."""
    trim_start: int = 0
    """Coded frames at the start that are not shown."""
    trim_end: int = 0
    """Coded frames at the end that are not shown."""
    lost: bool = False
    """The tokens were lost: there are none, and all payloads are empty."""
    missing_bytes: int = 0
    """Bytes at the end of the coded token ids that a file which was cut short no longer has."""

    @property
    def payloads(self) -> tuple[bytes, bytes, bytes]:
        """Keep map, motion map and token ids as coded, in the order of the file."""
        return self.map_payload, self.motion_payload, self.token_payload

    @property
    def counts(self) -> Counts:
        return Counts(
            frames=self.frames,
            tokens=self.tokens,
            map_bytes=len(self.map_payload),
            motion_bytes=len(self.motion_payload),
            token_bytes=len(self.token_payload) + self.missing_bytes,
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
    motion_bytes: int = 0
    trim_start: int = 0
    trim_end: int = 0
    lost: bool = False

    @property
    def shown(self) -> int:
        """Frames that a decoder shows."""
        return self.frames - self.trim_start - self.trim_end

    @property
    def section_bytes(self) -> int:
        """Length of the whole SEGM section."""
        return SEGMENT_BYTES + self.map_bytes + self.motion_bytes + self.token_bytes

    def pack(self, first_frame: int) -> bytes:
        """Start of the SEGM payload of a segment before which `first_frame` frames are shown."""
        return _packed(SEGMENT_FIELDS, {"first_frame": first_frame, **_count_values(self)})


@dataclass(frozen=True, kw_only=True)
class IndexEntry:
    """Where a segment lies and what it costs."""

    counts: Counts
    offset: int
    """First byte of its section in the file; 0 when a scan found no section."""
    length: int
    """Bytes of its SEGM section, frame included; 0 when a scan found no section."""
    ticks: int = 0
    """How long it is shown, in the header's time base; 0 in a file without frame times."""
    time_length: int = 0
    """Bytes of the TIME section after it, frame included; 0 when there is none."""
    audio_length: int = 0
    """Bytes of the AUDI section after that, frame included; 0 when there is none."""
    other_length: int = 0
    """Bytes of the sections after that, of types that are not known here."""

    @property
    def total_length(self) -> int:
        """Bytes of all these sections."""
        return self.length + self.time_length + self.audio_length + self.other_length

    def pack(self, fields: Fields = ALL_INDEX_FIELDS) -> bytes:
        """The entry in the index of a file that has these fields in it, see `index_fields`."""
        values = {
            **_count_values(self.counts),
            "length": self.total_length,
            "token_bytes": self.counts.token_bytes,
            "ticks": self.ticks,
            "time_length": self.time_length,
            "audio_length": self.audio_length,
        }
        return _packed(fields, values)


def _count_values(counts: Counts) -> dict[str, int]:
    return {
        "frames": counts.frames,
        "trim_start": counts.trim_start,
        "trim_end": counts.trim_end,
        "flags": LOST_FLAG * counts.lost,
        "tokens": counts.tokens,
        "map_bytes": counts.map_bytes,
        "motion_bytes": counts.motion_bytes,
    }


def _packed(fields: Fields, values: dict[str, int]) -> bytes:
    return layout_of(fields).pack(*(values[name] for name, _ in fields))


def unpack_segment_start(payload: bytes, payload_length: int) -> tuple[int, Counts] | None:
    """First frame and counts at the start of a SEGM payload of `payload_length` bytes.

    None where it is too short, or says what no segment of this version can say; whether the counts are
    allowed is not checked.
    """
    if len(payload) < SEGMENT_STRUCT.size:
        return None
    names = [name for name, _ in SEGMENT_FIELDS]
    value = dict(zip(names, SEGMENT_STRUCT.unpack_from(payload), strict=True))
    token_bytes = payload_length - SEGMENT_STRUCT.size - value["map_bytes"] - value["motion_bytes"]
    if token_bytes < 0 or value["flags"] & ~LOST_FLAG:
        return None
    counts = Counts(
        frames=value["frames"],
        tokens=value["tokens"],
        map_bytes=value["map_bytes"],
        motion_bytes=value["motion_bytes"],
        token_bytes=token_bytes,
        trim_start=value["trim_start"],
        trim_end=value["trim_end"],
        lost=bool(value["flags"]),
    )
    return value["first_frame"], counts


def segment_of_payload(payload: bytes, counts: Counts, number: int, missing_bytes: int = 0) -> Segment | None:
    """The segment of a SEGM payload that begins with these counts and misses some bytes at its end.

    None where not even both maps are whole.
    """
    start = SEGMENT_STRUCT.size
    middle = start + counts.map_bytes
    end = middle + counts.motion_bytes
    if len(payload) < end:
        return None
    return Segment(
        number=number,
        frames=counts.frames,
        tokens=counts.tokens,
        map_payload=payload[start:middle],
        motion_payload=payload[middle:end],
        token_payload=payload[end:],
        trim_start=counts.trim_start,
        trim_end=counts.trim_end,
        lost=counts.lost,
        missing_bytes=missing_bytes,
    )
