"""Whether .itk files, and the video they are seen beside, belong to one clip."""

from __future__ import annotations

from pathlib import Path

from infotok_cli.container.reader import ItkReader
from infotok_cli.errors import InputError, ModelError
from infotok_cli.video.reader import open_video

ROUNDING = 0.02
"""Share of its frames by which the length that a container declares may be off."""


def check_same_clip(path: Path, reader: ItkReader, first_path: Path, first: ItkReader) -> None:
    """InputError for a file whose pictures cannot stand in the place of the first one's."""
    facts = [
        (one.header.width, one.header.height, one.total_frames, one.duration_seconds)
        for one in (reader, first)
    ]
    if facts[0] != facts[1]:
        here, there = (
            f"{width}x{height}, {frames} frames in {float(seconds):.3f} s"
            for width, height, frames, seconds in facts
        )
        raise InputError(
            f"is {here}, but {first_path.name} is {there}",
            way_out="give files of one clip",
            where=str(path),
        )


def check_same_model(path: Path, reader: ItkReader, first_path: Path, first: ItkReader) -> None:
    """ModelError for a file that other weights made than the first one."""
    here, there = (f"{one.header.model_name} {one.header.model_sha256.hex()[:12]}" for one in (reader, first))
    if here != there:
        raise ModelError(
            f"was made with model {here}, but {first_path.name} with {there}",
            way_out="give files of one model",
            where=str(path),
        )


def longer_source(source: Path | None, frames: int) -> list[str]:
    """A line that says so where the video declares clearly more than `frames`; InputError as the reader."""
    if source is None:
        return []
    with open_video(source) as video:
        declared = video.info.expected_frames(None, None)
    if declared is None or declared <= frames * (1 + ROUNDING) + 1:
        return []
    return [
        f"{source.name} has about {declared} frames, the file {frames}: its first {frames} are taken; "
        "where the file begins later, cut the video there first"
    ]
