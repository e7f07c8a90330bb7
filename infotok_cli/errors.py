"""The tree of errors a user can meet; each class knows its exit code.

An error is a value: what is wrong, where, and the way out. The parts are joined when somebody reads them, so
code asks for a part and never looks into the text. In `what` and `way_out` backticks mark a parameter of the
Python API: `rate` reads as rate in Python and as --rate on the command line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Self

_PARAMETER = re.compile(r"`([\w-]+)`")


class InfotokError(Exception):
    """Base of all errors that are reported as one line on stderr, without a traceback."""

    exit_code = 1

    def __init__(self, what: str, *, way_out: str = "", where: str = "") -> None:
        """what: names the bad value. way_out: what to do. where: the file, and the place in it."""
        super().__init__(what)
        self.what = what
        self.way_out = way_out
        self.where = where

    def at(self, where: str, *, way_out: str | None = None) -> Self:
        """The same error with `where` put before its place, and another way out if one is given.

        Raise it `from` the one it was made of.
        """
        place = f"{where}: {self.where}" if self.where else where
        return type(self)(self.what, way_out=self.way_out if way_out is None else way_out, where=place)

    def text(self, spelled: Callable[[str], str] = str) -> str:
        """The whole message; `spelled` gives what a parameter is called where it is read."""
        joined = ": ".join(part for part in (self.where, self.what, self.way_out) if part)
        return _PARAMETER.sub(lambda mention: spelled(mention[1]), joined)

    def __str__(self) -> str:
        return self.text()

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuilt, (type(self), self.what, self.way_out, self.where)


def _rebuilt(kind: type[InfotokError], what: str, way_out: str, where: str) -> InfotokError:
    return kind(what, way_out=way_out, where=where)


class UsageError(InfotokError):
    """An option or argument is out of range or contradicts another (exit code 2)."""

    exit_code = 2


class InputError(InfotokError):
    """An input file is missing, unreadable, damaged or of the wrong kind (exit code 3)."""

    exit_code = 3


class ModelError(InfotokError):
    """A model is missing, broken, or not the one the file was made with (exit code 4)."""

    exit_code = 4


class OutputError(InfotokError):
    """An output cannot be written, or exists and may not be overwritten (exit code 5)."""

    exit_code = 5
