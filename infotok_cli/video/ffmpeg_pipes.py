"""Python's streams as FFmpeg is to see them: no seeking, and no signal that is lost on the way through it.

What a signal's handler raises while FFmpeg waits for one of these would be printed and forgotten. It is kept
instead, the stream ends for FFmpeg, and whoever called FFmpeg raises it.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from infotok_cli.errors import InputError, OutputError
from infotok_cli.files import PatientInput, write_all


def unwritable(name: str, error: OSError) -> OutputError:
    """What to say of an `error` of the system met in writing to `name`."""
    return OutputError(f"cannot be written ({error.strerror or error})", way_out="check the disk", where=name)


class _Called:
    def __init__(self) -> None:
        self._interruption: BaseException | None = None

    def raise_interruption(self) -> None:
        """Raise what a signal raised meanwhile; to be called after FFmpeg."""
        if self._interruption is not None:
            raise self._interruption


class ReadOnly(_Called):
    """A pipe: what is there now rather than all that was asked for. InputError where it cannot be read."""

    def __init__(self, pipe: BinaryIO, name: Path) -> None:
        super().__init__()
        self._pipe, self._name = PatientInput(pipe), name

    def read(self, length: int) -> bytes:
        if self._interruption is not None:
            return b""
        try:
            return self._pipe.read(length)
        except OSError as error:
            raise InputError(
                f"cannot be read ({error.strerror})",
                way_out="check where it comes from",
                where=str(self._name),
            ) from error
        except Exception:
            raise
        except BaseException as end:
            self._interruption = end
            return b""


class WriteOnly(_Called):
    """A sink that takes all or raises OSError, as FFmpeg does not look how much was taken."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = stream
        self.is_mute = False
        """Whether what is written goes nowhere."""

    def write(self, data: bytes) -> int:
        if not self.is_mute:
            try:
                write_all(self._stream, data)
                self._stream.flush()
            except Exception:
                raise
            except BaseException as end:
                self._interruption, self.is_mute = end, True
        return len(data)
