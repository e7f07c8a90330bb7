"""Files and streams where Python's own calls promise less than is needed. Standard library only."""

from __future__ import annotations

import io
import os
import select
import threading
from pathlib import Path
from typing import BinaryIO

LOOK_MILLISECONDS = 100
"""How often a thread that waits for bytes looks whether it still should."""

AT_ONCE_BYTES = 1 << 16

_thread = threading.local()


def read_until(stop: threading.Event) -> None:
    """Have `PatientInput` give no more bytes to the calling thread once `stop` is set."""
    _thread.stop = stop


class PatientInput:
    """A binary stream to be read as it comes, where a thread may have to give up waiting for it.

    Streams that are no plain file or pipe of the system are read too, but a read that waits is not ended.
    """

    def __init__(self, stream: BinaryIO) -> None:
        read1 = getattr(stream, "read1", None)
        raw = getattr(stream, "raw", stream)
        self._take = read1 or stream.read
        self._least = AT_ONCE_BYTES if read1 or isinstance(raw, io.FileIO) else 1
        self._held = b""
        self._is_fresh = True
        self._poll: select.poll | None = None
        if isinstance(raw, io.FileIO) and hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(raw.fileno(), select.POLLIN)

    def read(self, length: int) -> bytes:
        """What is there, at least a byte and at most `length`; none at the end, or after `read_until`.

        Raises OSError.
        """
        if not self._held and self._has_more():
            # The first read takes all that the stream itself may hold, of which its descriptor knows nothing.
            self._held = self._take(max(length, self._least)) or b""
            self._is_fresh = False
        found, self._held = self._held[:length], self._held[length:]
        return found

    def _has_more(self) -> bool:
        """Wait for bytes, or for the end of the stream; False where the thread has been told to stop."""
        stop: threading.Event | None = getattr(_thread, "stop", None)
        while stop is None or not stop.is_set():
            if self._poll is None or self._is_fresh or self._poll.poll(LOOK_MILLISECONDS):
                return True
        return False


def write_all(stream: BinaryIO, data: bytes) -> None:
    """Write all of `data`, which an unbuffered stream may take in pieces.

    OSError where it cannot be written; BlockingIOError where the stream does not wait for room.
    """
    rest = memoryview(data)
    while rest:
        taken = stream.write(rest)
        if taken is None:
            raise BlockingIOError("the stream does not block")
        rest = rest[taken:]


def rename_to_new(temporary: Path, target: Path) -> None:
    """Rename, but never over a file that has appeared meanwhile: FileExistsError. OSError as usual."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise FileExistsError(target) from None
        os.rename(temporary, target)
    else:
        temporary.unlink()
