"""What Python's own calls do not promise: all bytes written, no file replaced."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from infotok_cli.files import PatientInput, read_until, rename_to_new, write_all


class Piecemeal(io.RawIOBase):
    """Takes three bytes at a time; a number of bytes in, it has no room and does not wait for it."""

    def __init__(self, room: int = 1000) -> None:
        self.room, self.got = room, bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int | None:
        taken = bytes(data[: min(3, self.room - len(self.got))])
        self.got += taken
        return len(taken) or None


def test_all_is_written_in_pieces() -> None:
    stream = Piecemeal()
    write_all(stream, bytes(range(100)))  # type: ignore[arg-type]
    write_all(stream, b"")  # type: ignore[arg-type]
    assert stream.got == bytes(range(100))


def test_a_stream_that_does_not_wait_is_an_error() -> None:
    stream = Piecemeal(room=10)
    with pytest.raises(BlockingIOError):
        write_all(stream, bytes(100))  # type: ignore[arg-type]


def test_a_file_that_has_appeared_is_not_replaced(tmp_path: Path) -> None:
    new, taken = tmp_path / "new", tmp_path / "taken"
    new.write_text("new")
    taken.write_text("theirs")
    with pytest.raises(FileExistsError):
        rename_to_new(new, taken)
    assert (new.read_text(), taken.read_text()) == ("new", "theirs")
    rename_to_new(new, tmp_path / "free")
    assert not new.exists()
    assert (tmp_path / "free").read_text() == "new"


@contextmanager
def pipe() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as source, os.fdopen(writing, "wb", buffering=0) as sink:
        yield source, sink


def test_what_is_there_is_read_without_waiting_for_more() -> None:
    with pipe() as (source, sink):
        given = PatientInput(source)
        sink.write(b"abcde")
        assert given.read(2) == b"ab"
        assert given.read(100) == b"cde"
        sink.write(b"f")
        assert given.read(100) == b"f"
        sink.close()
        assert given.read(100) == given.read(100) == b""


def test_what_the_stream_holds_itself_is_not_waited_for() -> None:
    """Its descriptor is silent, as all bytes have left the pipe."""
    with pipe() as (source, sink):
        sink.write(b"abcde")
        assert source.read(1) == b"a"
        given = PatientInput(source)
        assert given.read(4) == b"bcde"


class OnlyReads:
    """No file of the system, and nothing but `read`."""

    def __init__(self, data: bytes) -> None:
        self.stream, self.asked = io.BytesIO(data), 0

    def read(self, length: int) -> bytes:
        self.asked += length
        return self.stream.read(length)


def test_streams_that_are_no_files() -> None:
    for stream in (io.BytesIO(b"abcde"), OnlyReads(b"abcde")):
        given = PatientInput(stream)  # type: ignore[arg-type]
        assert (given.read(2), given.read(100), given.read(100)) == (b"ab", b"cde", b"")
    only = OnlyReads(b"abcde")
    assert PatientInput(only).read(2) == b"ab"  # type: ignore[arg-type]
    assert only.asked == 2


def test_a_thread_gives_up_a_silent_pipe() -> None:
    stop, got = threading.Event(), []
    with pipe() as (source, sink):
        given = PatientInput(source)

        def read() -> None:
            read_until(stop)
            while data := given.read(100):
                got.append(data)

        thread = threading.Thread(target=read)
        sink.write(b"abc")
        thread.start()
        sink.write(b"def")
        thread.join(0.5)
        assert thread.is_alive()
        stop.set()
        thread.join(5)
        assert not thread.is_alive()
        assert b"".join(got) == b"abcdef"
        # Other threads read on.
        sink.write(b"ghi")
        assert given.read(100) == b"ghi"
