"""A folder of numbered pictures in, as one video."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

from av.video.frame import VideoFrame

from infotok_cli.errors import InfotokError, InputError
from infotok_cli.sound import AudioPacket
from infotok_cli.tags import NO_TAGS
from infotok_cli.video.source import Source
from infotok_cli.video.timed_frames import Presentation, RunningStreams, TimedFrame, TimeRange
from infotok_cli.video.video_info import VideoInfo

USUAL_RATE = Fraction(30)
"""Frames per second of pictures, where nobody says."""

_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
_NUMBER = re.compile(r"(\d+)(?=\D*$)")


def numbered_pictures(folder: Path) -> list[tuple[int, Path]]:
    """Pictures of a folder and the last number in their names, in its order; other files are passed over.

    Raises InputError where there are none, where one has no number, or where two have the same.
    """
    try:
        names = [entry for entry in folder.iterdir() if entry.suffix.lower() in _PICTURES]
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})", way_out="check its permissions", where=str(folder)
        ) from error
    found = []
    for path in sorted(entry for entry in names if not entry.name.startswith(".")):
        number = _NUMBER.search(path.stem)
        if number is None:
            raise InputError(
                f"holds {path.name}, whose name has no number",
                way_out="number all pictures in the order they are shown",
                where=str(folder),
            )
        found.append((int(number[1]), path))
    if not found:
        raise InputError(
            "is a folder without numbered pictures",
            way_out="name a video, or a folder of frame-000001.png and so on",
            where=str(folder),
        )
    found.sort()
    for (one, path), (other, again) in pairwise(found):
        if one == other:
            raise InputError(
                f"holds {path.name} and {again.name}, which have the same number",
                way_out="leave only the pictures of one video in it",
                where=str(folder),
            )
    return found


class FolderReader:
    """A folder of pictures as a video without sound, `frame_rate` of them in a second.

    Raises InputError for a folder that does not hold one video, and for the first picture if it is damaged.
    """

    is_constant = True
    sound = None
    origin_seconds = Fraction(0)
    tags = NO_TAGS

    def __init__(self, folder: Path, frame_rate: Fraction | None = None) -> None:
        self._running = RunningStreams()
        pictures = numbered_pictures(folder)
        self._paths = [path for _, path in pictures]
        rate = frame_rate or USUAL_RATE
        with Source(self._paths[0]) as source:
            shown = Presentation.of(source, next(source.decode(source.packets()), None))
        self.info: VideoInfo = replace(
            shown.info,
            path=folder,
            frame_rate=rate,
            time_base=1 / rate,
            duration_seconds_from_container=None,
            frames_from_container=len(pictures),
            is_still_image=False,
        )
        self._shown = replace(shown, info=self.info)
        missing = pictures[-1][0] - pictures[0][0] + 1 - len(pictures)
        self.warnings: tuple[InfotokError, ...] = ()
        if missing:
            self.warnings = (
                InputError(
                    f"{missing} number{' is' if missing == 1 else 's are'} missing from "
                    f"{self._paths[0].name} to {self._paths[-1].name}",
                    way_out="pictures follow each other at once",
                    where=str(folder),
                ),
            )

    def timed_frames(
        self,
        start_seconds: float | None = None,
        end_seconds: float | None = None,
        short_side: int | None = None,
    ) -> Iterator[TimedFrame]:
        """Pictures with start <= time < end, in seconds after the first one; `FileReader` says more."""
        wanted = TimeRange(start_seconds or 0.0, end_seconds)
        return self._running.added(self._shown.timed(self._decoded(), wanted, short_side, has_clock=False))

    def _decoded(self) -> Generator[VideoFrame]:
        for path in self._paths:
            with Source(path) as source:
                yield from source.decode(source.packets())

    @contextmanager
    def sound_packets(self) -> Iterator[Iterator[AudioPacket | None]]:
        """None."""
        yield iter(())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()
