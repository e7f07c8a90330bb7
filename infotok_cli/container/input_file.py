"""A file, or bytes or a stream of one, read at any place; what goes wrong is an InputError that names it."""

from __future__ import annotations

import io
import os
import stat
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from infotok_cli.container import layout
from infotok_cli.container.sections import FRAME_BYTES, unpack_frame
from infotok_cli.errors import InputError
from infotok_cli.kinds import FLAT_IDS, HEAD_BYTES, kind_of
from infotok_cli.places import Bytes, Source, Spooled, check_source, seekable, source_name


class InputFile:
    """Opened when built; raises InputError for what is missing, empty, not a regular file or unreadable."""

    name: str
    """The path as it stands in messages, on one line; "bytes" or "stream" for what has none."""
    size_bytes: int

    def __init__(self, source: Source) -> None:
        """Open a path, bytes, or a binary stream, which is read from its start and stays open.

        A stream that cannot be read at any place is read to its end at once; beyond 64 MiB its bytes lie
        in a temporary file. Raises TypeError for anything else.
        """
        check_source(source)
        name = source_name(source)
        self.name = name if name.isprintable() else repr(name)
        self._lock = source.lock if isinstance(source, Spooled) else threading.Lock()
        self._path = source if isinstance(source, (str, os.PathLike)) else None
        self.stream = self._open() if self._path is not None else self._held(source)
        """At any place."""
        self._openings = 0
        """By `opened`, of a file that was closed, and not over yet."""
        self.size_bytes = self._size()
        if not self.size_bytes:
            self.close()
            raise self.error("is empty", "give an .itk file")

    def close(self) -> None:
        """Close the file; a stream or bytes that were given stay as they are."""
        if self._path is not None:
            self.stream.close()

    @property
    def source(self) -> Source:
        """What opens it once more: the path, or the stream that its bytes are in."""
        return Spooled(self.stream, self.name, self._lock) if self._path is None else self._path

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Open it again for a while if it was closed; raises InputError when that is no longer possible."""
        if self._path is None or not (self.stream.closed or self._openings):
            yield
            return
        if self.stream.closed:
            self.stream = self._open()
        self._openings += 1
        try:
            yield
        finally:
            self._openings -= 1
            if not self._openings:
                self.stream.close()

    def error(self, what: str, way_out: str) -> InputError:
        """An error of this file, to be raised."""
        return InputError(what, way_out=way_out, where=self.name)

    def read(self, offset: int, length: int) -> bytes:
        """Exactly this many bytes; InputError where the file, as it is now, has fewer."""
        try:
            with self._lock:
                self.stream.seek(offset)
                data = self.stream.read(length)
                while len(data) < length and (more := self.stream.read(length - len(data))):
                    data += more  # an unbuffered stream gives what it likes
        except OSError as error:
            raise self.error(
                f"cannot be read at byte {offset} ({error.strerror})", "check the disk"
            ) from error
        if len(data) != length:
            raise self.error(
                f"ends inside bytes {offset}..{offset + length - 1}, it changed while being read",
                "try again once it is complete",
            )
        return data

    def section(self, kind: bytes, offset: int, what: str, way_out: str) -> bytes:
        """Payload of the whole section of this type at `offset`; errors call it `what`."""
        room = self.size_bytes - offset - FRAME_BYTES
        if room < 0:
            raise self.error(f"is truncated at byte {self.size_bytes}, inside the {what}", way_out)
        frame, place = unpack_frame(self.read(offset, FRAME_BYTES)), f"{what} (byte {offset})"
        if frame.kind != kind or not frame.is_possible:
            raise self.error(f"{place} is damaged, its type or length is wrong", way_out)
        if frame.length > room:
            raise self.error(f"{place} is damaged or the file truncated", way_out)
        payload = self.read(offset + FRAME_BYTES, frame.length)
        if not frame.holds(payload):
            raise self.error(f"{place} is damaged, checksum differs", way_out)
        return payload

    def check_magic(self, way_out: str) -> None:
        """Raise InputError unless the file begins as every .itk file does."""
        start = self.read(0, min(self.size_bytes, len(layout.MAGIC)))
        if start == layout.MAGIC:
            return
        if layout.MAGIC.startswith(start):
            raise self.error(f"is truncated at byte {self.size_bytes}, inside the magic", way_out)
        kind = kind_of(self.read(0, min(self.size_bytes, HEAD_BYTES)))
        if kind == FLAT_IDS:
            raise self.error(
                f"is not an .itk file but {kind}", f"'infotok import {self.name}' makes one of it"
            )
        if kind is not None:
            raise self.error(
                f"is not an .itk file but {kind}", f"'infotok encode {self.name}' makes one of it"
            )
        raise self.error("is not an .itk file (wrong first bytes)", "give one made by 'infotok encode'")

    def _size(self) -> int:
        try:
            return self.stream.seek(0, os.SEEK_END)
        except OSError as error:
            raise self.error(f"cannot be read ({error.strerror or error})", "check the disk") from error

    def _held(self, source: Source) -> BinaryIO:
        """What has no path, as a stream to read at any place."""
        if isinstance(source, Spooled):
            return source.stream
        if isinstance(source, Bytes):
            return io.BytesIO(source)
        try:
            stream = seekable(cast(BinaryIO, source))
            if stream is not source:
                weakref.finalize(self, stream.close)
            return stream
        except OSError as error:
            reason = error.strerror or error
            raise self.error(f"cannot be read ({reason})", "check where it comes from") from error

    def _open(self) -> BinaryIO:
        assert self._path is not None
        try:
            status = os.stat(self._path)
            if stat.S_ISDIR(status.st_mode):
                raise self.error("is a folder", "give an .itk file")
            if not stat.S_ISREG(status.st_mode):
                raise self.error(
                    "is not a regular file, so its index cannot be found", "save it to a file first"
                )
            return open(self._path, "rb")
        except FileNotFoundError as error:
            raise self.error("does not exist", "check the name") from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise self.error(f"cannot be opened ({reason})", "check name and permissions") from error
