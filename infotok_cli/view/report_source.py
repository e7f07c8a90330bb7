"""The video that was encoded, frame by frame beside what is decoded."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from infotok_cli.container.header import Header
from infotok_cli.errors import InputError
from infotok_cli.video.reader import open_video
from infotok_cli.video.video_info import Frame


def source_frames(path: Path, header: Header, wanted: range) -> Iterator[Frame]:
    """The frames `[H, W, 3]` of `path` with these numbers, at the size of the file that `header` is of.

    Raises InputError for another shape of picture, or fewer frames.
    """
    shape = (header.height, header.width, 3)
    with open_video(path) as video:
        is_same = (video.info.height, video.info.width, 3) == shape
        frames = video.frames(short_side=None if is_same else min(shape[:2]))
        given = 0
        for frame in islice(frames, wanted.start, wanted.stop):
            if frame.shape != shape:
                raise InputError(
                    f"is {frame.shape[1]}x{frame.shape[0]}, the file {shape[1]}x{shape[0]}",
                    way_out="give the video that was encoded, or leave `source` out",
                    where=str(path),
                )
            given += 1
            yield frame
    if given < len(wanted):
        raise InputError(
            f"has no frame {wanted.start + given}, which the file has",
            way_out="give the video that was encoded, from its start, or leave `source` out",
            where=str(path),
        )
