"""The header of an .itk file: what every segment of it has in common."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from typing import get_args

from infotok_cli.blocks import BLOCK, Grid, token_grid
from infotok_cli.colour import RANGE_FULL, RANGE_UNSPECIFIED, UNTAGGED, Colour
from infotok_cli.config import PATCH
from infotok_cli.container import layout
from infotok_cli.container.layout import Counts
from infotok_cli.container.tracks import pack_track
from infotok_cli.errors import InputError
from infotok_cli.routers import AllocationName, router_code, router_name
from infotok_cli.sound import AudioTrack

MAX_U32 = (1 << 32) - 1

_ALLOCATIONS: dict[int, AllocationName] = {
    layout.ALLOCATION_CODES[name]: name for name in get_args(AllocationName)
}


@dataclass(frozen=True, kw_only=True)
class Header:
    """Checked when built; raises InputError naming the value that the format cannot hold."""

    width: int
    """Columns of pixels, 1..16384."""
    height: int
    """Rows of pixels, 1..16384."""
    frame_rate: Fraction
    """Frames per second, constant over the file."""
    time_base: Fraction
    """Seconds per timestamp unit of the source video, and per tick of frame times."""
    segment_frames: int
    """Frames of every segment but the last, a multiple of 4 in 4..64."""
    levels: tuple[int, ...]
    """FSQ levels of one token, 1..16 of 2..255, product at most 65,536."""
    router: str
    """Informative: a name in `ROUTERS`, or "unknown (5)" for a code that came later."""
    allocation: AllocationName
    target_rate_ppm: int
    """Token rate asked for, in millionths, 0..1,000,000."""
    model_name: str
    """1..64 bytes of printable UTF-8."""
    model_sha256: bytes
    """SHA-256 of the weights file, 32 bytes."""
    encoder: str
    """Program and version that wrote the file, 0..255 bytes of printable UTF-8."""
    sample_aspect: Fraction = Fraction(1)
    """Width over height of a pixel."""
    colour: Colour = UNTAGGED
    keep_map_coding: int = 0
    token_coding: int = 0
    format_version: int = 1
    """1, or 2 where segments may be short, trimmed or lost, and for the next two."""
    has_times: bool = False
    """Whether the file says of every frame how long it is shown; otherwise the frame rate does."""
    audio: AudioTrack | None = None

    def __post_init__(self) -> None:
        _between("format version", self.format_version, 1, layout.FORMAT_VERSION)
        _between("width", self.width, 1, layout.MAX_WIDTH)
        _between("height", self.height, 1, layout.MAX_HEIGHT)
        _fraction("frame rate", self.frame_rate)
        _fraction("time base", self.time_base)
        _fraction("sample aspect", self.sample_aspect)
        for name in ("primaries", "transfer", "matrix"):
            _between(f"colour {name}", getattr(self.colour, name), 0, 255)
        _between("colour range", self.colour.range, RANGE_UNSPECIFIED, RANGE_FULL)
        _between("frames per segment", self.segment_frames, PATCH[0], layout.MAX_FRAMES_PER_SEGMENT)
        if self.segment_frames % PATCH[0]:
            raise InputError(f"frames per segment {self.segment_frames} is not a multiple of {PATCH[0]}")
        _between("positions per segment", self.positions(), 1, layout.MAX_POSITIONS_PER_SEGMENT)
        _between("number of quantizer levels", len(self.levels), 1, layout.MAX_QUANTIZER_LEVELS)
        for level in self.levels:
            _between("quantizer level", level, 2, layout.MAX_LEVEL)
        _between("product of quantizer levels", math.prod(self.levels), 2, 1 << 16)
        _between("target rate (ppm)", self.target_rate_ppm, 0, 1_000_000)
        if router_code(self.router) is None:
            raise InputError(f"router {self.router!r} has no code in the .itk format")
        _one_of("allocation", self.allocation, layout.ALLOCATION_CODES)
        _one_of("keep-map coding", self.keep_map_coding, layout.KEEP_MAP_CODINGS)
        _one_of("token coding", self.token_coding, layout.TOKEN_CODINGS)
        _between("bytes of the model SHA-256", len(self.model_sha256), 32, 32)
        _text("model name", self.model_name, 1, layout.MAX_MODEL_NAME_BYTES)
        _text("encoder", self.encoder, 0, layout.MAX_ENCODER_BYTES)
        if self.format_version == 1 and self.has_tracks:
            raise InputError("format version 1 holds neither frame times nor sound")
        if self.audio is not None:
            _check_track(self.audio)

    @property
    def has_tracks(self) -> bool:
        """Whether TIME or AUDI sections follow the segments."""
        return self.has_times or self.audio is not None

    @property
    def index_layout(self) -> int:
        """Which of `layout.INDEX_ENTRY_STRUCTS` the index has."""
        return layout.TRACKS if self.has_tracks else self.format_version

    def grid(self, frames: int | None = None) -> Grid:
        """Token grid `[t, h, w]` of a segment of `frames` frames (default: a full one)."""
        return token_grid(self.segment_frames if frames is None else frames, self.height, self.width)

    def positions(self, frames: int | None = None) -> int:
        """Positions of that grid."""
        return math.prod(self.grid(frames))

    def pack(self) -> bytes:
        """Payload of the HEAD section."""
        fixed = layout.HEAD_STRUCT.pack(
            self.format_version,
            layout.AUDIO_FLAG * (self.audio is not None) | layout.TIMES_FLAG * self.has_times,
            self.width,
            self.height,
            *self.frame_rate.as_integer_ratio(),
            *self.time_base.as_integer_ratio(),
            *self.sample_aspect.as_integer_ratio(),
            self.colour.primaries,
            self.colour.transfer,
            self.colour.matrix,
            self.colour.range,
            self.segment_frames,
            *PATCH,
            *BLOCK,
            router_code(self.router),
            layout.ALLOCATION_CODES[self.allocation],
            self.keep_map_coding,
            self.token_coding,
            self.target_rate_ppm,
            self.model_sha256,
        )
        tails = (bytes(self.levels), self.model_name.encode(), self.encoder.encode())
        track = b"" if self.audio is None else pack_track(self.audio)
        return fixed + b"".join(bytes([len(tail)]) + tail for tail in tails) + track


def unpack_header(payload: bytes) -> Header:
    """Header of a HEAD payload whose CRC32C was right.

    Raises:
        InputError: a newer format version, or a value that this one does not allow.
    """
    version = int.from_bytes(payload[:2], "little")
    if version > layout.FORMAT_VERSION:
        known = layout.FORMAT_VERSION
        raise InputError(
            f"format version {version} is newer than {known}, the newest known here", way_out="update infotok"
        )
    if len(payload) < layout.HEAD_STRUCT.size or not version:
        raise InputError(f"format version {version} with a header of {len(payload)} bytes is not allowed")
    names = [name for name, _ in layout.HEAD_FIELDS]
    value = dict(zip(names, layout.HEAD_STRUCT.unpack_from(payload), strict=True))
    patch = (value["patch_frames"], value["patch_rows"], value["patch_columns"])
    block = (value["block_steps"], value["block_rows"], value["block_columns"])
    known_flags = layout.AUDIO_FLAG | layout.TIMES_FLAG if version > 1 else 0
    if value["flags"] & ~known_flags or patch != PATCH or block != BLOCK:
        raise InputError(
            f"flags {value['flags']}, patch {patch} or block {block} are unknown here",
            way_out="update infotok",
        )
    levels, at = _take(payload, layout.HEAD_STRUCT.size)
    model_name, at = _take(payload, at)
    encoder, at = _take(payload, at)
    audio = None
    if value["flags"] & layout.AUDIO_FLAG:
        audio, at = _take_track(payload, at)
    if at != len(payload):
        raise InputError(f"{len(payload) - at} bytes too many")
    _one_of("allocation", value["allocation"], _ALLOCATIONS)
    return Header(
        width=value["width"],
        height=value["height"],
        frame_rate=_ratio("frame rate", value["frame_rate_num"], value["frame_rate_den"]),
        time_base=_ratio("time base", value["time_base_num"], value["time_base_den"]),
        sample_aspect=_ratio("sample aspect", value["sample_aspect_num"], value["sample_aspect_den"]),
        colour=Colour(
            primaries=value["colour_primaries"],
            transfer=value["colour_transfer"],
            matrix=value["colour_matrix"],
            range=value["colour_range"],
        ),
        segment_frames=value["segment_frames"],
        levels=tuple(levels),
        router=router_name(value["router"]),
        allocation=_ALLOCATIONS[value["allocation"]],
        keep_map_coding=value["keep_map_coding"],
        token_coding=value["token_coding"],
        target_rate_ppm=value["target_rate_ppm"],
        model_name=_decode("model name", model_name),
        model_sha256=value["model_sha256"],
        encoder=_decode("encoder", encoder),
        format_version=version,
        has_times=bool(value["flags"] & layout.TIMES_FLAG),
        audio=audio,
    )


def counts_fault(header: Header, counts: Counts) -> str | None:
    """What is wrong with the counts of one segment, or None."""
    if not 1 <= counts.frames <= header.segment_frames:
        return f"{counts.frames} frames, allowed are 1..{header.segment_frames}"
    if counts.shown < 1 or min(counts.trim_start, counts.trim_end) < 0:
        return f"{counts.frames} frames less {counts.trim_start} and {counts.trim_end} leave none to show"
    if counts.lost and (counts.tokens or counts.map_bytes or counts.token_bytes):
        return "tokens in a lost segment"
    if header.format_version == 1 and (counts.trim_start or counts.trim_end or counts.lost):
        return "trimmed or lost frames, which format version 1 cannot hold"
    return _payload_fault(header, counts)


def _payload_fault(header: Header, counts: Counts) -> str | None:
    positions = header.positions(counts.frames)
    limit = layout.max_coded_bytes(positions)
    if counts.tokens > positions:
        return f"{counts.tokens} tokens for {positions} positions"
    if counts.map_bytes > limit or counts.token_bytes > limit:
        return f"payloads of {counts.map_bytes} and {counts.token_bytes} bytes, allowed are {limit} each"
    packed = 2 * counts.tokens
    if counts.token_bytes > packed or (header.token_coding == 0 and counts.token_bytes < packed):
        return f"{counts.token_bytes} bytes for {counts.tokens} tokens of 2 bytes"
    return None


def _between(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise InputError(f"{name} {value} is out of range: the .itk format allows {low}..{high}")


def _one_of(name: str, value: object, known: Collection[object]) -> None:
    if value not in known:
        choices = ", ".join(str(choice) for choice in known)
        raise InputError(f"{name} {value!r} is unknown here (known: {choices})", way_out="update infotok")


def _fraction(name: str, value: Fraction) -> None:
    if not (0 < value.numerator <= MAX_U32 and value.denominator <= MAX_U32):
        raise InputError(f"{name} {value} is out of range: both parts must be 1..{MAX_U32}")


def _text(name: str, value: str, shortest: int, longest: int) -> None:
    if not value.isprintable():
        raise InputError(f"{name} {value!r} holds characters that cannot be printed")
    _between(f"bytes of the {name}", len(value.encode()), shortest, longest)


def _ratio(name: str, numerator: int, denominator: int) -> Fraction:
    if denominator == 0 or math.gcd(numerator, denominator) != 1:
        raise InputError(f"{name} {numerator}/{denominator} is not in lowest terms")
    return Fraction(numerator, denominator)


def _take(payload: bytes, at: int) -> tuple[bytes, int]:
    """A byte string after its one-byte length at `at`, and where the next one starts."""
    end = at + 1 + payload[at] if at < len(payload) else at + 1
    if end > len(payload):
        raise InputError(f"{end - len(payload)} bytes too few")
    return payload[at + 1 : end], end


def _take_track(payload: bytes, at: int) -> tuple[AudioTrack, int]:
    """The description of the sound track at `at`, and where it ends."""
    if at + layout.TRACK_STRUCT.size > len(payload):
        raise InputError("its description of the sound track is too short")
    names = [name for name, _ in layout.TRACK_FIELDS]
    value = dict(zip(names, layout.TRACK_STRUCT.unpack_from(payload, at), strict=True))
    middle = at + layout.TRACK_STRUCT.size + value["codec_bytes"]
    end = middle + value["private_bytes"]
    if end > len(payload):
        raise InputError(f"{end - len(payload)} bytes too few")
    track = AudioTrack(
        codec=_decode("audio codec", payload[middle - value["codec_bytes"] : middle]),
        private=payload[middle:end],
        sample_rate=value["sample_rate"],
        channels=value["channels"],
        bits=value["bits"],
        time_base=_ratio("audio time base", value["audio_base_num"], value["audio_base_den"]),
    )
    return track, end


def _check_track(track: AudioTrack) -> None:
    _text("audio codec", track.codec, 1, layout.MAX_CODEC_BYTES)
    _between("bytes private to the audio codec", len(track.private), 0, layout.MAX_PRIVATE_BYTES)
    _between("audio sample rate", track.sample_rate, 1, MAX_U32)
    _between("audio channels", track.channels, 1, 255)
    _between("audio bits", track.bits, 0, 255)
    _fraction("audio time base", track.time_base)


def _decode(name: str, raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{name} {raw!r} is not UTF-8") from error
