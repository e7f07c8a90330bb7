"""Outputs that have one frame rate and no place for the times of frames."""

from __future__ import annotations

from fractions import Fraction

from infotok_cli.errors import UsageError
from infotok_cli.video.video_info import LARGEST_ROUNDING_SECONDS


def check_constant(
    frame: int, seconds: Fraction, rate: Fraction, tick: Fraction, *, kind: str, name: str
) -> None:
    """Raise UsageError unless frame number `frame` is shown when the rate says, to within rounding.

    tick: seconds per unit of the clock that `seconds` was told by. kind: what the output `name` is.
    """
    if abs(seconds - frame / rate) > min(tick, LARGEST_ROUNDING_SECONDS):
        raise UsageError(
            f"frame {frame} is shown at {float(seconds):.4f} s, and {kind} has one frame rate only",
            way_out="choose `stream_format` mkv, or a .mkv file" if kind == "Y4M" else "choose a .mkv file",
            where=name,
        )
