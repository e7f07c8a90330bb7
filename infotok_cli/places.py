"""Where bytes come from and go to: a file by its name, or a stream, which is read or written once."""

from __future__ import annotations

import io
import os
import shutil
import stat
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, ClassVar, cast

from infotok_cli.atomic import atomic_output
from infotok_cli.errors import InputError, OutputError

PathName = str | os.PathLike[str]

Bytes = bytes | bytearray | memoryview

Place = PathName | BinaryIO
"""What callers name an input or output by: a path, or an opened binary stream."""

STANDARD_INPUT = "standard input"
STANDARD_OUTPUT = "standard output"

_DESCRIPTOR_FOLDERS = ("/dev/fd", "/proc/self/fd")
_STANDARD_OUTPUTS = ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")


@dataclass(frozen=True)
class Spooled:
    """What came through a pipe, in a file without a name, so that it can be read at any place."""

    stream: BinaryIO
    name: str
    """What messages call it."""
    lock: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)
    """Held from a seek to the read that follows it."""

    def __str__(self) -> str:
        return self.name


Source = PathName | Bytes | BinaryIO | Spooled
"""What can be read at any place, as often as it takes; a stream that does not seek is copied first."""

SPOOL_BYTES = 64 << 20
"""What is kept in memory of a file without a name; beyond that it lies in a temporary file."""


def spool() -> BinaryIO:
    """A new file without a name, to write and to read at any place; closing it removes it."""
    import tempfile

    return cast(BinaryIO, tempfile.SpooledTemporaryFile(SPOOL_BYTES, prefix="infotok-"))


def seekable(stream: BinaryIO) -> BinaryIO:
    """The stream itself where it can be read at any place, else all that is left of it, spooled.

    Raises OSError where it cannot be read.
    """
    ask = getattr(stream, "seekable", None)
    if ask is not None and ask():
        return stream
    held = spool()
    while piece := stream.read(1 << 20):
        held.write(piece)
    return held


def check_source(given: object, parameter: str = "source") -> None:
    """TypeError, naming the `parameter`, unless `given` is a `Source`."""
    if not isinstance(given, (Bytes, Spooled)) and not is_path(given) and not _is_stream(given, "read"):
        taken = "a str, an os.PathLike of str, bytes or a binary stream to read"
        raise TypeError(f"{parameter} must be {taken}, not {_kind(given)}")


def check_target(given: object) -> None:
    """TypeError unless `given`, the parameter `target`, is a `Place` to write to."""
    if not is_path(given) and not _is_stream(given, "write"):
        taken = "a str, an os.PathLike of str or a binary stream to write"
        raise TypeError(f"target must be {taken}, not {_kind(given)}")


def is_path(given: object) -> bool:
    """Whether it is a `PathName`."""
    return isinstance(given, (str, os.PathLike)) and isinstance(os.fspath(given), str)


def path_of(given: object, parameter: str) -> Path:
    """The path that an argument is; TypeError, naming its `parameter`, for anything else."""
    if isinstance(given, (str, os.PathLike)) and isinstance(named := os.fspath(given), str):
        return Path(named)
    raise TypeError(f"{parameter} must be a str or an os.PathLike of str, not {_kind(given)}")


def source_name(given: Source) -> str:
    """What messages call it: the path, the name of the stream where it has one, "bytes" or "stream"."""
    if isinstance(given, Bytes):
        return "bytes"
    return str(given) if isinstance(given, (str, os.PathLike, Spooled)) else stream_name(given, "stream")


def _is_stream(given: object, method: str) -> bool:
    return callable(getattr(given, method, None)) and not isinstance(given, io.TextIOBase)


def _kind(given: object) -> str:
    of_text = ", a stream of text" if isinstance(given, io.TextIOBase) else ""
    return type(given).__name__ + of_text


@contextmanager
def spooled(stream: BinaryIO, *, begins: bytes = b"") -> Iterator[Spooled]:
    """Copy a stream to a temporary file, which is gone afterwards, however the process ends.

    A stream that does not begin with `begins` is of the wrong kind and copied no further.
    Raises InputError where it cannot be read, OutputError where there is no room for it.
    """
    import tempfile

    name = stream_name(stream, STANDARD_INPUT)
    with tempfile.TemporaryFile(prefix="infotok-") as held:
        try:
            head = _exactly(stream, len(begins))
            held.write(head)
        except OSError as error:
            raise InputError(
                f"cannot be read ({error.strerror})", way_out="check where it comes from", where=name
            ) from error
        if head == begins:
            try:
                shutil.copyfileobj(stream, held)
            except OSError as error:
                raise OutputError(
                    f"cannot be copied to a temporary file ({error.strerror})",
                    way_out="point TMPDIR to a folder with room",
                    where=name,
                ) from error
        held.flush()
        yield Spooled(held, name)


def _exactly(stream: BinaryIO, length: int) -> bytes:
    """This many bytes, fewer at the end of the stream."""
    data = b""
    while len(data) < length and (more := stream.read(length - len(data))):
        data += more
    return data


def stream_name(stream: BinaryIO, otherwise: str) -> str:
    """What messages call a stream: the name it was opened by, if it has one."""
    name = getattr(stream, "name", None)
    return name if isinstance(name, str) and not name.startswith("<") else otherwise


def is_pipe(path: str | os.PathLike[str]) -> bool:
    """Whether an input is to be read from front to back: a named pipe, or what a shell writes for <(...)."""
    return _is_kind(path, stat.S_ISFIFO)


def is_sink(path: str | os.PathLike[str]) -> bool:
    """Whether an output is written to as it is: a named pipe, a device such as /dev/null, >(...)."""
    parent = os.path.dirname(os.path.abspath(path)) if os.path.isabs(path) else ""
    numbered = parent in _DESCRIPTOR_FOLDERS and os.path.exists(path)
    return numbered or is_standard_output(path) or _is_kind(path, stat.S_ISFIFO, stat.S_ISCHR)


def is_standard_output(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a system's name for standard output."""
    return os.fspath(path) in _STANDARD_OUTPUTS


def _is_kind(path: str | os.PathLike[str], *kinds: object) -> bool:
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return any(kind(mode) for kind in kinds)  # type: ignore[operator]


def opened_pipe(path: str | os.PathLike[str]) -> BinaryIO:
    """An input that is a pipe, opened, which waits for a writer; InputError where it cannot be."""
    try:
        return open(path, "rb")
    except OSError as error:
        raise InputError(
            f"cannot be opened ({error.strerror})", way_out="check its permissions", where=str(path)
        ) from error


def opened_sink(path: str | os.PathLike[str]) -> BinaryIO:
    """An output that is a pipe or a device, opened, which waits for a reader; OutputError."""
    try:
        return open(path, "wb", buffering=0)  # FileIO: a write may take only a part
    except OSError as error:
        raise OutputError(
            f"cannot be opened ({error.strerror})", way_out="check its permissions", where=str(path)
        ) from error


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

    @property
    def name(self) -> str:
        return stream_name(self.stream, STANDARD_OUTPUT)

    def opened(self) -> AbstractContextManager[BinaryIO]:
        return nullcontext(self.stream)


Output = FileOutput | StreamOutput


def output_of(given: Place, *, overwrite: bool) -> Output:
    """What `given` names; TypeError for what is neither a path nor a binary stream."""
    if isinstance(given, (str, os.PathLike)):
        return StreamOutput(opened_sink(given)) if is_sink(given) else FileOutput(Path(given), overwrite)
    return StreamOutput(checked_stream(given, "write"))


def checked_stream(given: BinaryIO, method: str) -> BinaryIO:
    """The stream itself; TypeError unless it has `method` and takes or gives bytes."""
    if not _is_stream(given, method):
        raise TypeError(f"expected a str, a path or a binary stream to {method}, not {_kind(given)}")
    return given
