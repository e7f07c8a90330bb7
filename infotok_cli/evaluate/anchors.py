"""Ordinary codecs to compare with: x264, x265 and SVT-AV1 as PyAV's FFmpeg has them.

An anchor is measured at a grid of CRFs, which makes a curve of its own, and compared with our points
by reading that curve at their bits, between two measured neighbours. So an anchor does not depend on
our model, is measured once for all models, and serves BD-rates, which need a curve anyway.
"""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from infotok_cli.colour import Colour
from infotok_cli.errors import InputError, UsageError
from infotok_cli.video.encoders import find_encoder, has_encoder
from infotok_cli.video.writer import VideoWriter

CONTAINER = ".mkv"
"""Smaller than .mp4 around the same packets."""

X86_NAMES = ("x86_64", "AMD64")

# With AVX-512 x264 gives another file every time (sizes differ by 1 %), without it the same one. SSE4.2
# is what numpy asks of these processors anyway.
_X264 = (("x264-params", "asm=SSE4.2"),) if platform.machine() in X86_NAMES else ()

_X265 = "log-level=none:info=0:pools=none:frame-threads=1"


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """One encoder with fixed settings. It runs on one thread, so that bytes are the same everywhere."""

    name: str
    codec: str
    """Key of `ENCODERS`."""
    options: tuple[tuple[str, str], ...]
    crfs: tuple[int, ...]
    """Default grid, from good to as few bits as the encoder can."""
    highest_crf: int
    min_side: int = 1
    """Smallest picture the encoder is given, in pixels a side."""

    @property
    def encoder(self) -> str:
        """FFmpeg's name of the encoder."""
        return find_encoder(self.codec).name


def _x264(name: str, *tune: tuple[str, str]) -> Anchor:
    options = (("preset", "medium"), ("threads", "1"), *_X264, *tune)
    grid = tuple(range(18, 51, 4))
    return Anchor(name=name, codec="h264", options=options, crfs=grid, highest_crf=51)


def _x265(name: str, *tune: tuple[str, str]) -> Anchor:
    options = (("preset", "medium"), ("x265-params", _X265), *tune)
    grid = tuple(range(18, 51, 4))
    # Narrow pictures (48 columns and fewer) corrupt the memory of the process.
    return Anchor(name=name, codec="hevc", options=options, crfs=grid, highest_crf=51, min_side=64)


_SVT_AV1 = Anchor(
    name="svt-av1",
    codec="av1",
    options=(("preset", "6"), ("svtav1-params", "lp=1")),
    crfs=(20, 28, 36, 44, 50, 55, 59, 61, 63),
    highest_crf=63,
)

PSNR_TUNE = ("tune", "psnr")

ANCHORS: dict[str, Anchor] = {
    anchor.name: anchor
    for anchor in (
        _x264("x264"),
        _x265("x265"),
        _SVT_AV1,
        _x264("x264-psnr", PSNR_TUNE),
        _x265("x265-psnr", PSNR_TUNE),
    )
}
"""By name; the ones with -psnr give up what is tuned to the eye for squared error."""


LONGEST_KEYINT = 100_000
"""Frames from one keyframe to the next, at most."""

_KEYINT_NAME = re.compile(r"(?P<anchor>.+)-keyint(?P<frames>[1-9]\d{0,5})", re.ASCII)


def with_keyframes(anchor: Anchor, frames: int) -> Anchor:
    """`anchor` with a keyframe at least every `frames` frames, at all of which decoding can start.

    No frame refers across a keyframe (closed GOPs), as none of ours does across a cut between segments.
    Encoders still put further keyframes at scene cuts.
    """
    options = (*anchor.options, ("g", str(frames)), ("flags", "+cgop"))
    return replace(anchor, name=f"{anchor.name}-keyint{frames}", options=options)


def find_anchor(name: str) -> Anchor:
    """The anchor of this name, such as x264 or, `with_keyframes`, x264-keyint32; UsageError for others."""
    keyed = _KEYINT_NAME.fullmatch(name)
    anchor = ANCHORS.get(keyed["anchor"] if keyed else name)
    if anchor is None or (keyed and int(keyed["frames"]) > LONGEST_KEYINT):
        raise UsageError(
            f"`anchors` {name!r} is unknown",
            way_out=f"choose {', '.join(ANCHORS)}, or one of them with keyframes, such as x264-keyint32",
        )
    return with_keyframes(anchor, int(keyed["frames"])) if keyed else anchor


def check_anchor(name: str) -> Anchor:
    """The anchor of this name; UsageError for an unknown one, or one whose encoder is not there."""
    anchor = find_anchor(name)
    try:
        encoder = anchor.encoder
    except UsageError:
        encoder = ""
    if not encoder or not has_encoder(encoder):
        raise UsageError(
            f"`anchors` {name}: this PyAV has no encoder for {anchor.codec}",
            way_out="leave it out, or install PyAV's own wheel",
        )
    return anchor


def check_size(anchor: Anchor, size: tuple[int, int], clip: str) -> None:
    """Raise InputError for a picture (width, height) that is too small for the encoder."""
    if min(size) < anchor.min_side:
        raise InputError(
            f"{size[0]}x{size[1]} pixels are too few for {anchor.name}, which takes at least "
            f"{anchor.min_side} per side",
            way_out="leave out the clip or the anchor",
            where=str(clip),
        )


def anchor_writer(
    anchor: Anchor, crf: int, target: Path, *, size: tuple[int, int], rate: Fraction, colour: Colour
) -> VideoWriter:
    """A writer of frames of `size` (width, height) into `target`."""
    check_size(anchor, size, str(target))
    return VideoWriter(
        target, *size, rate, codec=anchor.codec, crf=crf, colour=colour, encoder_options=anchor.options
    )
