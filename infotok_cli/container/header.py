"""The header of an .itk file: what every segment of it has in common."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import get_args

from infotok_cli.blocks import LEAD_STEPS, Grid, token_grid
from infotok_cli.colour import RANGE_FULL, RANGE_UNSPECIFIED, UNTAGGED, Colour
from infotok_cli.config import PATCH
from infotok_cli.container import checks, layout
from infotok_cli.container.layout import Counts
from infotok_cli.container.sections import UPDATE
from infotok_cli.container.tracks import check_track, pack_track, unpack_track
from infotok_cli.errors import InputError
from infotok_cli.routers import AllocationName, router_code, router_name
from infotok_cli.sound import AudioTrack
from infotok_cli.token_codings import TOKEN_CODINGS

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
    """Frames per second, 1/3600 to 1000; with frame times, on average as far as the encoder knew."""
    time_base: Fraction
    """Seconds per timestamp unit of the source video, and per tick of frame times; at most 3600."""
    segment_frames: int
    """Most frames of a segment, a multiple of 4 in 4..64."""
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
    """Width over height of a pixel, 1/1000 to 1000."""
    colour: Colour = UNTAGGED
    keep_map_coding: int = 0
    token_coding: int = 0
    has_times: bool = False
    """Whether the file says of every frame how long it is shown; otherwise the frame rate does."""
    audio: AudioTrack | None = None

    def __post_init__(self) -> None:
        checks.between("width", self.width, 1, layout.MAX_WIDTH)
        checks.between("height", self.height, 1, layout.MAX_HEIGHT)
        checks.fraction("frame rate", self.frame_rate, layout.FRAME_RATES)
        checks.fraction("time base", self.time_base, layout.TIME_UNITS)
        checks.fraction("sample aspect", self.sample_aspect, layout.SAMPLE_ASPECTS)
        for name in ("primaries", "transfer", "matrix"):
            checks.between(f"colour {name}", getattr(self.colour, name), 0, 255)
        checks.between("colour range", self.colour.range, RANGE_UNSPECIFIED, RANGE_FULL)
        checks.between("frames per segment", self.segment_frames, PATCH[0], layout.MAX_FRAMES_PER_SEGMENT)
        if self.segment_frames % PATCH[0]:
            raise InputError(f"frames per segment {self.segment_frames} is not a multiple of {PATCH[0]}")
        checks.between("positions per segment", self.positions(), 1, layout.MAX_POSITIONS_PER_SEGMENT)
        checks.between("number of quantizer levels", len(self.levels), 1, layout.MAX_QUANTIZER_LEVELS)
        for level in self.levels:
            checks.between("quantizer level", level, 2, layout.MAX_LEVEL)
        checks.between("product of quantizer levels", math.prod(self.levels), 2, 1 << 16)
        checks.between("target rate (ppm)", self.target_rate_ppm, 0, 1_000_000)
        if router_code(self.router) is None:
            raise InputError(f"router {self.router!r} has no code in the .itk format")
        checks.one_of("allocation", self.allocation, layout.ALLOCATION_CODES)
        checks.one_of("keep-map coding", self.keep_map_coding, layout.KEEP_MAP_CODINGS)
        checks.one_of("token coding", self.token_coding, TOKEN_CODINGS)
        checks.between("bytes of the model SHA-256", len(self.model_sha256), 32, 32)
        checks.text("model name", self.model_name, 1, layout.MAX_MODEL_NAME_BYTES)
        checks.text("encoder", self.encoder, 0, layout.MAX_ENCODER_BYTES)
        if self.audio is not None:
            check_track(self.audio)

    @property
    def format_version(self) -> int:
        """That of the file that has this header."""
        return layout.FORMAT_VERSION

    @property
    def index_fields(self) -> layout.Fields:
        """Fields of an entry of the file's index."""
        return layout.index_fields(self.has_times, self.audio is not None)

    def grid(self, frames: int | None = None) -> Grid:
        """Token grid `[t, h, w]` of a segment of `frames` frames (default: a full one)."""
        return token_grid(self.segment_frames if frames is None else frames, self.height, self.width)

    def positions(self, frames: int | None = None) -> int:
        """Positions of that grid."""
        return math.prod(self.grid(frames))

    def lead_positions(self) -> int:
        """Those of them in a segment's lead, which shows nothing."""
        _, rows, columns = self.grid()
        return LEAD_STEPS * rows * columns

    def seconds(self, frames: int, ticks: int) -> Fraction:
        """How long shown frames last: this many ticks in a file with frame times, else this many frames."""
        return ticks * self.time_base if self.has_times else frames / self.frame_rate

    def pack(self) -> bytes:
        """Payload of the HEAD section."""
        fixed = layout.HEAD_STRUCT.pack(
            layout.FORMAT_VERSION,
            self.segment_frames,
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
    """Header of a HEAD payload whose CRC32C was right; bits of flags that may be passed over are dropped.

    Raises:
        InputError: a newer format version, a file from before version 1, or a value that is not allowed.
    """
    _check_version(payload)
    if len(payload) < layout.HEAD_STRUCT.size:
        raise InputError(f"{layout.HEAD_STRUCT.size - len(payload)} bytes too few")
    names = [name for name, _ in layout.HEAD_FIELDS]
    value = dict(zip(names, layout.HEAD_STRUCT.unpack_from(payload), strict=True))
    unknown = value["flags"] & layout.REQUIRED_FLAGS & ~(layout.AUDIO_FLAG | layout.TIMES_FLAG)
    if unknown:
        raise InputError(f"flags {unknown:#06x} are newer than format version 1", way_out=UPDATE)
    levels, at = _take(payload, layout.HEAD_STRUCT.size)
    model_name, at = _take(payload, at)
    encoder, at = _take(payload, at)
    audio = None
    if value["flags"] & layout.AUDIO_FLAG:
        audio, at = unpack_track(payload, at)
    if at != len(payload):
        raise InputError(f"{len(payload) - at} bytes too many")
    checks.one_of("allocation", value["allocation"], _ALLOCATIONS)
    return Header(
        width=value["width"],
        height=value["height"],
        frame_rate=_ratio("frame rate", value),
        time_base=_ratio("time base", value),
        sample_aspect=_ratio("sample aspect", value),
        colour=_colour(value),
        segment_frames=value["segment_frames"],
        levels=tuple(levels),
        router=router_name(value["router"]),
        allocation=_ALLOCATIONS[value["allocation"]],
        keep_map_coding=value["keep_map_coding"],
        token_coding=value["token_coding"],
        target_rate_ppm=value["target_rate_ppm"],
        model_name=checks.decoded("model name", model_name),
        model_sha256=value["model_sha256"],
        encoder=checks.decoded("encoder", encoder),
        has_times=bool(value["flags"] & layout.TIMES_FLAG),
        audio=audio,
    )


def _check_version(payload: bytes) -> None:
    """Byte 0 is the version; byte 1, never 0 in any version, is 0 in files from before version 1."""
    if len(payload) < 2:
        raise InputError(f"{len(payload)} bytes are too few")
    version, second = payload[:2]
    if not second:
        raise InputError(
            "made by a development version of infotok, before format version 1",
            way_out="encode the video again",
        )
    if version > layout.FORMAT_VERSION:
        raise InputError(
            f"format version {version} is newer than {layout.FORMAT_VERSION}, the newest known here",
            way_out=UPDATE,
        )
    checks.between("format version", version, 1, layout.FORMAT_VERSION)


def counts_fault(header: Header, counts: Counts) -> str | None:
    """What is wrong with the counts of one segment, or None."""
    if not 1 <= counts.frames <= header.segment_frames:
        return f"{counts.frames} frames, allowed are 1..{header.segment_frames}"
    if counts.shown < 1 or min(counts.trim_start, counts.trim_end) < 0:
        return f"{counts.frames} frames less {counts.trim_start} and {counts.trim_end} leave none to show"
    if counts.lost and (counts.tokens or counts.map_bytes or counts.motion_bytes or counts.token_bytes):
        return "tokens in a lost segment"
    return _payload_fault(header, counts)


def _payload_fault(header: Header, counts: Counts) -> str | None:
    positions = header.positions(counts.frames)
    limit = layout.max_coded_bytes(positions)
    if counts.tokens > positions:
        return f"{counts.tokens} tokens for {positions} positions"
    payloads = (counts.map_bytes, counts.motion_bytes, counts.token_bytes)
    if max(payloads) > limit:
        return f"payloads of {payloads[0]}, {payloads[1]} and {payloads[2]} bytes, allowed are {limit} each"
    packed = 2 * counts.tokens
    shortens = TOKEN_CODINGS[header.token_coding].shortens
    if counts.token_bytes > packed or (counts.token_bytes < packed and not shortens):
        return f"{counts.token_bytes} bytes for {counts.tokens} tokens of 2 bytes"
    return None


def _ratio(name: str, value: dict[str, int]) -> Fraction:
    """The fraction of a header's fields of this name."""
    field = name.replace(" ", "_")
    return checks.lowest_terms(name, value[f"{field}_num"], value[f"{field}_den"])


def _colour(value: dict[str, int]) -> Colour:
    return Colour(
        primaries=value["colour_primaries"],
        transfer=value["colour_transfer"],
        matrix=value["colour_matrix"],
        range=value["colour_range"],
    )


def _take(payload: bytes, at: int) -> tuple[bytes, int]:
    """A byte string after its one-byte length at `at`, and where the next one starts."""
    end = at + 1 + payload[at] if at < len(payload) else at + 1
    if end > len(payload):
        raise InputError(f"{end - len(payload)} bytes too few")
    return payload[at + 1 : end], end
