"""Which FFmpeg encoders are used, and with what pixel formats, options and colour tags."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import av
from av.video.format import VideoFormat

from infotok_cli.colour import RANGE_FULL, RANGE_LIMITED, Colour
from infotok_cli.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """How one FFmpeg encoder is driven."""

    name: str
    pixel_format: str = "yuv420p"
    odd_pixel_format: str = "yuv420p"
    """For an odd width or height; encoders that round 4:2:0 sizes up need 4:4:4 here."""
    default_crf: int | None = None
    """None: the encoder has no quality setting."""
    options: tuple[tuple[str, str], ...] = ()
    least_side: int = 1
    """Smallest width and height it can be trusted with."""
    live_options: tuple[tuple[str, str], ...] = ()
    """More options, for streams: no frame is kept back."""
    codec_tag: str = ""
    """How files other than Matroska are to name the codec, where FFmpeg's choice is not played everywhere."""
    undated_frames: int = 0
    """Videos of at most this many frames come with decoding times that the encoder never set."""
    environment: tuple[tuple[str, str], ...] = ()
    """Variables that the library reads instead of options, where they are not set."""

    def pixel_format_for(self, width: int, height: int, wanted: str | None = None) -> str:
        """Pixel format for pictures of this size, which is `wanted` if that is given.

        UsageError where it has none, or not that one.
        """
        if min(width, height) < self.least_side:
            raise UsageError(
                f"codec {self.name} cannot be trusted with {width}x{height} pixels, it needs "
                f"{self.least_side} a side",
                way_out="choose h264",
            )
        if wanted is not None:
            offered = [offer.name for offer in av.codec.Codec(self.name, "w").video_formats or []]
            if wanted not in offered:
                raise UsageError(
                    f"codec {self.name} cannot write `pixel_format` {wanted}",
                    way_out="leave it out, or choose h264",
                )
            return wanted
        odd = bool(width % 2 or height % 2)
        found = self.odd_pixel_format if odd else self.pixel_format
        if not found:
            raise UsageError(
                f"codec {self.name} cannot write odd sizes ({width}x{height})", way_out="choose h264"
            )
        return found


ENCODERS = {
    "h264": Encoder(
        name="libx264",
        odd_pixel_format="yuv444p",
        default_crf=16,
        # Against the usual preset at 18: 40 % of the time, 0.7 dB less at 38 dB, 18 % more bytes.
        options=(("preset", "veryfast"),),
        live_options=(("tune", "zerolatency"),),
    ),
    "hevc": Encoder(
        name="libx265",
        odd_pixel_format="yuv444p",
        default_crf=20,
        options=(("x265-params", "log-level=none"),),
        least_side=64,  # x265 writes beyond its buffers for some smaller sizes and crashes
        codec_tag="hvc1",
        undated_frames=2,
    ),
    # The library prints its settings unless told otherwise.
    "av1": Encoder(name="libsvtav1", default_crf=25, environment=(("SVT_LOG", "0"),)),
    "vp9": Encoder(name="libvpx-vp9", default_crf=24, options=(("b", "0"), ("row-mt", "1"))),
    "ffv1": Encoder(
        name="ffv1", pixel_format="bgr0", odd_pixel_format="bgr0", options=(("level", "3"), ("slicecrc", "1"))
    ),
    # 256 colours that stay the same, dithered.
    "gif": Encoder(name="gif", pixel_format="bgr8", odd_pixel_format="bgr8"),
}
"""Short codec names; ffv1 is lossless in RGB."""

WHOLE_FORMATS = ("yuv444p", "yuv444p10le", "gbrp", "rgb24", "bgr24", "bgr0", "rgba", "bgra")
HALVED_FORMATS = ("yuv420p", "yuv422p", "yuv422p10le")
"""Pixel formats to try with encoders not listed above; halved ones need even sizes."""


CHOOSABLE_FORMATS = ("yuv420p", "yuv444p")
"""Pixel formats that may be asked for: what every player shows, and whole colours."""


def padded_size(width: int, height: int, encoder: Encoder, pixel_format: str) -> tuple[int, int]:
    """The size to write: even for a format that halves colours, where the encoder needs it."""
    if pixel_format != "yuv420p" or encoder.odd_pixel_format == "yuv420p":
        return width, height
    return width + width % 2, height + height % 2


def find_encoder(codec: str) -> Encoder:
    """Settings for a short codec name or an FFmpeg encoder; UsageError for one that is not there."""
    short = {encoder.name: encoder for encoder in ENCODERS.values()}
    chosen = ENCODERS.get(codec) or short.get(codec)
    known = f"choose {', '.join(ENCODERS)} or an FFmpeg video encoder"
    try:
        found = av.codec.Codec(chosen.name if chosen else codec, "w")
    except (av.FFmpegError, ValueError) as error:
        raise UsageError(f"`codec` {codec!r} is not available", way_out=known) from error
    if found.type != "video":
        raise UsageError(f"`codec` {codec!r} is for {found.type}", way_out=known)
    if chosen:
        return chosen
    offered = [offer.name for offer in found.video_formats or []]
    whole = next((name for name in WHOLE_FORMATS if name in offered), "")
    halved = next((name for name in HALVED_FORMATS if name in offered), whole)
    if not halved:
        raise UsageError(f"`codec` {codec!r} takes no pixel format that can be made from RGB", way_out=known)
    return Encoder(name=codec, pixel_format=halved, odd_pixel_format=whole)


def has_encoder(name: str) -> bool:
    """Whether the FFmpeg in use has this encoder, by FFmpeg's name for it."""
    try:
        av.codec.Codec(name, "w")
    except (av.FFmpegError, ValueError):
        return False
    return True


def library_versions() -> str:
    """PyAV and the FFmpeg libraries that hold the encoders, as one line."""
    codec = ".".join(str(part) for part in av.library_versions["libavcodec"])
    return f"PyAV {av.__version__}, libavcodec {codec}"


def writable_colour(colour: Colour, height: int, pixel_format: str) -> Colour:
    """Colour tags with which a picture of this format can be converted and written."""
    if VideoFormat(pixel_format).is_rgb:
        return dataclasses.replace(colour, matrix=0, range=RANGE_FULL)
    from_rgb = colour.matrix == 0
    return dataclasses.replace(
        colour,
        matrix=colour.matrix_for(height),
        range=RANGE_FULL if colour.range == RANGE_FULL and not from_rgb else RANGE_LIMITED,
    )
