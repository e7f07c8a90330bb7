"""The whole terminal for as long as something is shown on it: what was there before comes back afterwards."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self

from infotok_cli.errors import UsageError

SMALLEST = (20, 6)
"""Columns and lines that something can be seen on."""

_ENTER = b"\x1b[?1049h\x1b[?25l\x1b[2J"
_LEAVE = b"\x1b[0m\x1b[?25h\x1b[?1049l"

KEYS = {
    b"\x1b[C": "right", b"\x1b[D": "left", b"\x1b[A": "up", b"\x1b[B": "down",
    b"\x1bOC": "right", b"\x1bOD": "left", b"\x1bOA": "up", b"\x1bOB": "down",
}  # fmt: skip
"""What a terminal sends for keys that are no character."""


def check_size() -> None:
    """Raise UsageError for a terminal that is too small for a picture."""
    columns, lines = os.get_terminal_size(sys.stdout.fileno())
    if columns < SMALLEST[0] or lines < SMALLEST[1]:
        raise UsageError(
            f"the terminal has {columns}x{lines} characters, too few for a picture",
            way_out=f"enlarge it to {SMALLEST[0]}x{SMALLEST[1]} or more",
        )


class Screen:
    """The terminal of standard output, and the keys of standard input if that is one too."""

    def __init__(self) -> None:
        """Raises UsageError for a terminal that is too small."""
        self._out = sys.stdout.fileno()
        self._keys: int | None = sys.stdin.fileno() if sys.stdin.isatty() else None
        self._before: list[Any] | None = None
        self._is_entered = False
        self._away = 0.0
        self._unread = b""
        check_size()

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        return tuple(os.get_terminal_size(self._out))  # type: ignore[return-value]

    def __enter__(self) -> Self:
        self._take()
        signal.signal(signal.SIGTSTP, self._stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def leave(self) -> None:
        """Give the terminal back; nothing where that is done."""
        if self._is_entered:
            self._give_back()
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)

    def put(self, lines: Sequence[bytes], status: str, *, clear: bool = False) -> None:
        """Show lines of characters in the middle, and a status in the last line of the screen.

        clear: whether to remove what is around them first.
        """
        columns, height = self.size
        parts = [b"\x1b[2J"] if clear else []
        top = max(0, (height - 1 - len(lines)) // 2)
        left = max(0, (columns - self.width) // 2)
        parts += [b"\x1b[%d;%dH%b" % (top + row + 1, left + 1, line) for row, line in enumerate(lines)]
        text = status[: columns - 1].encode(sys.stdout.encoding or "ascii", "replace")
        parts.append(b"\x1b[%d;1H\x1b[0m%b\x1b[K" % (height, text))
        self._write(b"".join(parts))

    width = 0
    """Columns that the lines of `put` take."""

    def keys(self, timeout: float) -> list[str]:
        """Keys that are pressed within this many seconds: characters, or the names in `KEYS`."""
        if self._keys is None:
            time.sleep(timeout)
            return []
        if not select.select([self._keys], [], [], timeout)[0]:
            return []
        data = os.read(self._keys, 1024)
        if not data:
            self._keys = None
        return list(self._named(self._unread + data))

    def away_seconds(self) -> float:
        """How long the program was stopped since this was last asked."""
        away, self._away = self._away, 0.0
        return away

    def _named(self, data: bytes) -> list[str]:
        names: list[str] = []
        while data:
            known = next((code for code in KEYS if data.startswith(code)), None)
            if known is None and any(code.startswith(data) for code in KEYS) and len(data) > 1:
                break
            names.append(KEYS[known] if known else chr(data[0]))
            data = data[len(known or b"?") :]
        self._unread = data
        return names

    def _take(self) -> None:
        import termios
        import tty

        self._is_entered = True
        if self._keys is not None:
            self._before = termios.tcgetattr(self._keys)
            tty.setcbreak(self._keys)
        self._write(_ENTER)

    def _give_back(self) -> None:
        import termios

        self._is_entered = False
        with suppress(OSError):
            self._write(_LEAVE)
        if self._keys is not None and self._before is not None:
            with suppress(OSError, termios.error):
                termios.tcsetattr(self._keys, termios.TCSADRAIN, self._before)

    def _stop(self, _: int, __: FrameType | None) -> None:
        """Ctrl-Z: give the terminal back until the program goes on."""
        began = time.monotonic()
        self._give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._take()
        self._away += time.monotonic() - began

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._out, rest) :]
