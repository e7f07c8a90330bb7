"""Files and streams where Python's own calls promise less than is needed. Standard library only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO


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
