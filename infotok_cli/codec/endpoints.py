"""Where bytes come from and go to: a file by its name, or a stream, which is read or written once."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar

from infotok_cli.atomic import atomic_output
from infotok_cli.errors import InputError
from infotok_cli.video.pipe import PipeReader
from infotok_cli.video.reader import VideoReader, open_video

Place = str | os.PathLike[str] | BinaryIO
"""What callers name an input or output by: a path, or an opened binary stream."""

STANDARD_INPUT = "standard input"
STANDARD_OUTPUT = "standard output"


@dataclass(frozen=True)
class FileInput:
    """A file to read, as often as it takes."""

    path: Path
    is_stream: ClassVar[bool] = False

    @property
    def name(self) -> str:
        return str(self.path)

    def size_bytes(self) -> int:
        """Bytes of the file; InputError when it has disappeared."""
        try:
            return self.path.stat().st_size
        except OSError as error:
            raise InputError(
                f"disappeared while it was read ({error.strerror})", way_out="put it back", where=self.name
            ) from error

    def open_video(self, *, audio: bool) -> VideoReader:
        """Open it as a video whose frame times are known; raises InputError."""
        return open_video(self.path, survey=True, audio=audio)


@dataclass(frozen=True)
class StreamInput:
    """A stream to read from front to back."""

    stream: BinaryIO
    is_stream: ClassVar[bool] = True
    name: ClassVar[str] = STANDARD_INPUT

    def size_bytes(self) -> None:
        """Nobody knows before the end."""
        return

    def open_video(self, *, audio: bool) -> VideoReader:
        """Read it as a video; raises InputError."""
        return PipeReader(self.stream, self.name, audio=audio)


@dataclass(frozen=True)
class FileOutput:
    """A file to write, which appears whole or not at all."""

    path: Path
    overwrite: bool
    is_stream: ClassVar[bool] = False

    @property
    def name(self) -> str:
        return str(self.path)

    def opened(self) -> AbstractContextManager[BinaryIO]:
        """Lend it for writing; raises OutputError."""
        return atomic_output(self.path, self.overwrite)


@dataclass(frozen=True)
class StreamOutput:
    """A stream to write from front to back, which stays open."""

    stream: BinaryIO
    is_stream: ClassVar[bool] = True
    name: ClassVar[str] = STANDARD_OUTPUT

    def opened(self) -> AbstractContextManager[BinaryIO]:
        return nullcontext(self.stream)


Input = FileInput | StreamInput
Output = FileOutput | StreamOutput


def input_of(given: Place) -> Input:
    """What `given` names; TypeError for what is neither a path nor a binary stream."""
    if isinstance(given, (str, os.PathLike)):
        return FileInput(Path(given))
    return StreamInput(_stream(given, "read"))


def output_of(given: Place, *, overwrite: bool) -> Output:
    """What `given` names; TypeError for what is neither a path nor a binary stream."""
    if isinstance(given, (str, os.PathLike)):
        return FileOutput(Path(given), overwrite)
    return StreamOutput(_stream(given, "write"))


def _stream(given: BinaryIO, method: str) -> BinaryIO:
    if not callable(getattr(given, method, None)):
        raise TypeError(f"expected a str, a path or a binary stream to {method}, not {type(given).__name__}")
    return given
