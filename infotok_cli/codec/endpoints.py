"""Where a codec reads from and writes to: a file by its name, or a stream, which is read or written once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, ClassVar

from infotok_cli.errors import InputError, UsageError
from infotok_cli.places import (
    STANDARD_INPUT,
    STANDARD_OUTPUT,
    FileOutput,
    Output,
    Place,
    StreamOutput,
    checked_stream,
    is_pipe,
    opened_pipe,
    output_of,
    stream_name,
)
from infotok_cli.video.picture_folder import FolderReader, numbered_pictures
from infotok_cli.video.pipe import PipeReader
from infotok_cli.video.reader import VideoReader, open_video

__all__ = [
    "STANDARD_INPUT",
    "STANDARD_OUTPUT",
    "FileInput",
    "FileOutput",
    "Input",
    "Output",
    "Place",
    "StreamInput",
    "StreamOutput",
    "input_of",
    "output_of",
]


@dataclass(frozen=True)
class FileInput:
    """A file to read, as often as it takes."""

    path: Path
    fps: Fraction | None = None
    """Pictures of a folder that are shown in a second."""
    skip_bad: bool = False
    """Whether a damaged video is read past the damage."""
    is_stream: ClassVar[bool] = False

    @property
    def name(self) -> str:
        return str(self.path)

    def size_bytes(self) -> int:
        """Bytes of the file, or of a folder's pictures; InputError when it has disappeared."""
        try:
            if os.path.isdir(self.path):
                return sum(path.stat().st_size for _, path in numbered_pictures(self.path))
            return self.path.stat().st_size
        except OSError as error:
            raise InputError(
                f"disappeared while it was read ({error.strerror})", way_out="put it back", where=self.name
            ) from error

    def open_video(self, *, audio: bool) -> VideoReader:
        """Open it as a video whose frame times are known; raises InputError.

        A folder is a video of numbered pictures, `fps` in a second; UsageError for `fps` of anything else.
        """
        if os.path.isdir(self.path):
            if self.skip_bad:
                raise UsageError(
                    "`skip_bad` does not go with a folder of pictures",
                    way_out="take the damaged ones out of it",
                    where=self.name,
                )
            return FolderReader(self.path, self.fps)
        if self.fps is not None:
            raise UsageError(
                "`fps` is for folders of pictures, a video has a frame rate of its own",
                way_out="leave it out",
                where=self.name,
            )
        return open_video(self.path, survey=True, audio=audio, skip_bad=self.skip_bad)

    def glimpse(self) -> VideoReader:
        """Open it for what its container and first frame tell, without a look at all packets."""
        if os.path.isdir(self.path):
            return FolderReader(self.path, self.fps)
        return open_video(self.path, skip_bad=self.skip_bad)


@dataclass(frozen=True)
class StreamInput:
    """A stream to read from front to back."""

    stream: BinaryIO
    fps: Fraction | None = None
    skip_bad: bool = False
    is_stream: ClassVar[bool] = True

    @property
    def name(self) -> str:
        return stream_name(self.stream, STANDARD_INPUT)

    def size_bytes(self) -> None:
        """Nobody knows before the end."""
        return

    def open_video(self, *, audio: bool) -> VideoReader:
        """Read it as a video; raises InputError, and UsageError for what a pipe cannot give."""
        for parameter, given in (("fps", self.fps), ("skip_bad", self.skip_bad)):
            if given:
                raise UsageError(
                    f"`{parameter}` does not go with a pipe",
                    way_out="save it to a file first",
                    where=self.name,
                )
        return PipeReader(self.stream, self.name, audio=audio)


Input = FileInput | StreamInput


def input_of(given: Place, *, fps: Fraction | None = None, skip_bad: bool = False) -> Input:
    """What `given` names; the rest as in `FileInput`. TypeError for neither a path nor a binary stream."""
    if isinstance(given, (str, os.PathLike)):
        if is_pipe(given):
            return StreamInput(opened_pipe(given), fps, skip_bad)
        return FileInput(Path(given), fps, skip_bad)
    return StreamInput(checked_stream(given, "read"), fps, skip_bad)
