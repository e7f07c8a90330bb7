"""What callers may name an input or an output by: paths, bytes and binary streams; each checked here."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from infotok_cli.atomic import atomic_output

PathName = str | os.PathLike[str]

Bytes = bytes | bytearray | memoryview

Source = PathName | Bytes | BinaryIO
"""A file to read: by name, its bytes, or an opened binary stream of them."""

Target = PathName | BinaryIO
"""A file to write: by name, or an opened binary stream that takes its bytes."""

SPOOL_BYTES = 64 << 20
"""What is kept in memory of a file without a name; beyond that it lies in a temporary file."""


def path_of(given: object, parameter: str) -> Path:
    """The path that an argument is; TypeError, naming its `parameter`, for anything else."""
    if isinstance(given, (str, os.PathLike)) and isinstance(named := os.fspath(given), str):
        return Path(named)
    raise TypeError(f"{parameter} must be a str or an os.PathLike of str, not {_kind(given)}")


def check_source(given: object, parameter: str = "source") -> None:
    """TypeError, naming the `parameter`, unless `given` is a `Source`."""
    if isinstance(given, (bytes, bytearray, memoryview)) or _is_stream(given, "read"):
        return
    if not isinstance(given, (str, os.PathLike)) or not isinstance(os.fspath(given), str):
        taken = "a str, an os.PathLike of str, bytes or a binary stream to read"
        raise TypeError(f"{parameter} must be {taken}, not {_kind(given)}")


def check_target(given: object, parameter: str = "target") -> None:
    """TypeError, naming the `parameter`, unless `given` is a `Target`."""
    if _is_stream(given, "write"):
        return
    if not isinstance(given, (str, os.PathLike)) or not isinstance(os.fspath(given), str):
        taken = "a str, an os.PathLike of str or a binary stream to write"
        raise TypeError(f"{parameter} must be {taken}, not {_kind(given)}")


def source_name(given: Source) -> str:
    """What a report calls it: the path, the name of the stream where it has one, "bytes" or "stream"."""
    return "bytes" if isinstance(given, (bytes, bytearray, memoryview)) else target_name(given)


def target_name(given: Target) -> str:
    """What a report calls it: the path, the name of the stream where it has one, or "stream"."""
    name = os.fspath(given) if isinstance(given, (str, os.PathLike)) else getattr(given, "name", None)
    return name if isinstance(name, str) else "stream"


def spool() -> BinaryIO:
    """A new file without a name, to write and to read at any place; closing it removes it."""
    import tempfile

    return cast(BinaryIO, tempfile.SpooledTemporaryFile(SPOOL_BYTES))


def seekable(stream: BinaryIO) -> BinaryIO:
    """The stream itself where it can be read at any place, else all that is left of it, spooled.

    Raises OSError where it cannot be read, TypeError where it gives text.
    """
    ask = getattr(stream, "seekable", None)
    if ask is not None and ask():
        return stream
    spooled = spool()
    while piece := stream.read(1 << 20):
        spooled.write(piece)
    return spooled


@contextmanager
def written(target: Target, overwrite: bool = False) -> Iterator[BinaryIO]:
    """Lend a binary stream to write: of a file that appears whole or not at all, or the stream given.

    Raises OutputError; see `atomic_output`.
    """
    if isinstance(target, (str, os.PathLike)):
        with atomic_output(Path(target), overwrite) as stream:
            yield stream
    else:
        yield target


def _is_stream(given: object, method: str) -> bool:
    return callable(getattr(given, method, None)) and not isinstance(given, io.TextIOBase)


def _kind(given: object) -> str:
    if isinstance(given, io.TextIOBase):
        return f"{type(given).__name__}, a stream of text"
    return type(given).__name__
