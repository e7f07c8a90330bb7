"""A folder of PNG pictures out: all of them or none, and no other file is touched."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import av
import numpy as np
from av.video.frame import VideoFrame

from infotok_cli.errors import InfotokError, OutputError
from infotok_cli.files import rename_to_new
from infotok_cli.sound import AudioPacket
from infotok_cli.video.frame_writer import check_picture, reported
from infotok_cli.video.video_info import Frame

FRAME_NAME = "frame-{:06d}.png"
FRAME_PATTERN = re.compile(r"frame-[0-9]{6,}\.png")


class PngWriter:
    """Writes frame-000001.png, frame-000002.png, ... into a folder, links followed, all or nothing.

    A new folder appears whole; into one that is there the pictures are moved one by one. One that holds
    anything is refused, at the start and again at `close`, unless `overwrite` is set and all it holds is
    earlier frames, which then go. Raises OutputError.
    """

    warnings: ClassVar[tuple[InfotokError, ...]] = ()

    def __init__(self, folder: str | Path, width: int, height: int, *, overwrite: bool = False) -> None:
        self._name = Path(folder).absolute()
        self._folder = Path(os.path.realpath(folder))
        self._overwrite = overwrite
        self._shape = (height, width, 3)
        self._count = 0
        self._partial: Path | None = None
        exists = self._earlier() is not None
        context = av.CodecContext.create("png", "w")
        context.width, context.height, context.pix_fmt = width, height, "rgb24"
        context.time_base = Fraction(1)
        # With more threads the encoder hands pictures out late.
        context.thread_count = 1
        self._context = context
        # Inside a folder that is there, as another file system may begin at it; beside one that is not.
        place = self._folder if exists else self._folder.parent
        with reported(self._name):
            self._partial = Path(tempfile.mkdtemp(prefix=".infotok-", dir=place))

    def _earlier(self) -> list[str] | None:
        """Frames that lie in the folder and may go; None if it is not there. OutputError if it is in use."""
        name = self._name
        if not os.path.lexists(self._folder):
            return None
        if not self._folder.is_dir():
            raise OutputError("is a file", way_out="name a folder for the pictures", where=str(name))
        with reported(name):
            entries = [entry for entry in self._folder.iterdir() if entry != self._partial]
        if entries and not self._overwrite:
            raise OutputError(
                "is not empty", way_out="name another folder or allow overwriting", where=str(name)
            )
        strangers = sorted(
            entry.name for entry in entries if entry.is_dir() or not FRAME_PATTERN.fullmatch(entry.name)
        )
        if strangers:
            raise OutputError(
                f"holds {strangers[0]}, which is not a frame", way_out="name another folder", where=str(name)
            )
        return [entry.name for entry in entries]

    def write_audio(self, packets: Sequence[AudioPacket]) -> None:
        """Pictures have no sound."""

    def write(self, frames: Frame, ticks: Sequence[int] | None = None) -> None:
        """Append frames `[T, H, W, 3]`, RGB 0..255; raises OutputError if the disk refuses them."""
        assert self._partial is not None
        for picture in frames:
            check_picture(picture, self._shape)
            frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts = self._count
            self._count += 1
            with reported(self._name):
                content = b"".join(bytes(packet) for packet in self._context.encode(frame))
                (self._partial / FRAME_NAME.format(self._count)).write_bytes(content)

    def close(self) -> None:
        """Move the pictures into place, if the folder is still free; older ones go once all are there."""
        assert self._partial is not None
        try:
            with reported(self._name):
                earlier = self._earlier()
                if earlier is None:
                    # mkdtemp makes folders private; the result gets the usual rights.
                    mask = os.umask(0)
                    os.umask(mask)
                    self._partial.chmod(0o777 & ~mask)
                    self._partial.rename(self._folder)
                else:
                    self._move_in(self._partial, earlier)
        finally:
            self.abort()

    def _move_in(self, partial: Path, earlier: Sequence[str]) -> None:
        """Exchange the `earlier` frames for the new ones, or, at an error, leave them as they are."""
        aside = partial / "earlier"
        taken: list[str] = []
        put: list[str] = []
        try:
            aside.mkdir()
            for name in earlier:
                (self._folder / name).rename(aside / name)
                taken.append(name)
            for name in map(FRAME_NAME.format, range(1, self._count + 1)):
                rename_to_new(partial / name, self._folder / name)
                put.append(name)
        except BaseException:
            for name in put:
                with contextlib.suppress(OSError):
                    (self._folder / name).unlink()
            for name in taken:
                with contextlib.suppress(OSError):
                    rename_to_new(aside / name, self._folder / name)
            raise

    def abort(self) -> None:
        """Throw away what is not in place; the target is left as it was."""
        if self._partial is not None:
            shutil.rmtree(self._partial, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()
