"""Cutting a video into segments: runs of frames that are coded on their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from infotok_cli.errors import InputError
from infotok_cli.video.clip import Frame


def read_segments(frames: Iterable[Frame], segment_frames: int) -> Iterator[Frame]:
    """Group frames `[H, W, 3]` into segments `[T, H, W, 3]`; T is the real frame count, never padded.

    Holds one segment at a time; each one yielded is a new array.
    Raises InputError if a frame has another size than the first.
    """
    if segment_frames < 1:
        raise ValueError(f"cannot cut frames into segments of {segment_frames}")
    shape: tuple[int, ...] | None = None
    gathered: list[Frame] = []
    for number, frame in enumerate(frames):
        if shape is None:
            shape = frame.shape
        elif frame.shape != shape:
            raise InputError(
                f"frame {number} is {frame.shape[1]}x{frame.shape[0]} pixels after {shape[1]}x{shape[0]}: "
                "a video must keep one size; cut it with --start and --end"
            )
        gathered.append(frame)
        if len(gathered) == segment_frames:
            yield np.stack(gathered)
            gathered.clear()
    if gathered:
        yield np.stack(gathered)
