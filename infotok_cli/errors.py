"""The tree of errors a user can meet; each class knows its exit code.

Every message names the bad value and the way out, on one line.
"""

from __future__ import annotations


class InfotokError(Exception):
    """Base of all errors that are reported as one line on stderr, without a traceback."""

    exit_code = 1


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
