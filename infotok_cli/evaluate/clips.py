"""Which clips are measured, and which frames of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from infotok_cli.errors import InputError
from infotok_cli.video.reader import open_video

VIDEO_SUFFIXES = frozenset({".mp4", ".mkv", ".webm", ".mov", ".avi", ".m4v", ".ts", ".y4m", ".mpg", ".gif"})


def find_clips(paths: Sequence[Path]) -> list[Path]:
    """Video files named, or found in folders named, in order; InputError when there are none."""
    clips: list[Path] = []
    for path in paths:
        if path.is_dir():
            clips += sorted(entry for entry in path.iterdir() if entry.suffix.lower() in VIDEO_SUFFIXES)
        elif path.exists():
            clips.append(path)
        else:
            raise InputError("does not exist", way_out="check the name", where=str(path))
    if not clips:
        raise InputError("contains no video files", way_out="name others", where=", ".join(map(str, paths)))
    return clips


def clip_sha256(path: Path) -> str:
    """SHA-256 of the file, in hexadecimal; what a clip is known by, whatever it is called."""
    try:
        status = path.stat()
        return _sha256(path, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})", where=str(path)) from error


@cache
def _sha256(path: Path, size: int, changed: int) -> str:
    """Read once for as long as the file keeps its size and its time of change."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def end_after(path: Path, frames: int) -> float | None:
    """A time, in seconds, before which exactly the first `frames` frames are shown; None if all are."""
    if frames < 1:
        raise ValueError(f"cannot keep {frames} frames")
    with open_video(path) as video:
        last = None
        for number, timed in enumerate(video.timed_frames()):
            if number == frames and last is not None:
                return float((last + timed.seconds) / 2)
            last = timed.seconds
    return None
