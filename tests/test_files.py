"""What Python's own calls do not promise: all bytes written, no file replaced."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from infotok_cli.files import rename_to_new, write_all


class Piecemeal(io.RawIOBase):
    """Takes three bytes at a time; a number of bytes in, it has no room and does not wait for it."""

    def __init__(self, room: int = 1000) -> None:
        self.room, self.got = room, bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data) -> int | None:  # type: ignore[no-untyped-def, override]
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
