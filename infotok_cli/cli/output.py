"""Where text goes: data to stdout, messages to stderr. Standard library only, but for the parser's Exit."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys

import typer

from infotok_cli.cli import exit_codes
from infotok_cli.errors import InfotokError, OutputError


def claim_standard_streams() -> None:
    """Replace standard streams that the caller closed by ones that cannot be used.

    Otherwise the next file that is opened would take their number, and whatever a library prints would end
    up in it; as it is, reading or writing them fails as it does with any bad file.
    """
    for number, (name, access) in enumerate(
        (("stdin", os.O_WRONLY), ("stdout", os.O_RDONLY), ("stderr", os.O_RDWR))
    ):
        if getattr(sys, name) is None:
            unusable = os.open(os.devnull, access)  # the lowest free number, so most often `number` itself
            setattr(sys, name, open(unusable, "w" if number else "r"))  # noqa: SIM115  open to the end


def print_out(text: str) -> None:
    """Write a line (or several) of data to stdout; what its encoding lacks is escaped.

    Ends the command quietly when the reader has gone; raises OutputError when the disk is full.
    """
    encoding = sys.stdout.encoding or "ascii"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except BrokenPipeError:
        silence_stdout()
        raise typer.Exit(exit_codes.BROKEN_PIPE) from None
    except OSError as error:
        silence_stdout()
        raise unwritable_stdout(error) from error


def unwritable_stdout(error: OSError) -> OutputError:
    """The OutputError for an `error` met in writing to stdout."""
    return OutputError(
        f"cannot be written: {error.strerror}", way_out="check the disk", where="standard output"
    )


def print_err(text: str) -> None:
    """Write a message to stderr; control characters, and what its encoding lacks, are escaped."""
    encoding = sys.stderr.encoding or "ascii"
    shown = "\n".join(map(printable, text.split("\n"))).encode(encoding, "backslashreplace")
    with contextlib.suppress(OSError):
        print(shown.decode(encoding), file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """The text on one line, with all that a terminal might act on escaped: \\x1b, \\n, lone surrogates."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


_OPTIONS = {
    "start_seconds": "--start",
    "end_seconds": "--end",
    "audio": "--no-audio",
    "compiled": "--compile",
}
"""Parameters whose option has a name of its own."""


def option_name(parameter: str) -> str:
    """What a parameter of the Python API is called on the command line."""
    return _OPTIONS.get(parameter, "--" + parameter.replace("_", "-"))


def error_line(error: InfotokError) -> str:
    """What stderr says of an error, on one line."""
    return f"infotok: error: {one_line(error.text(option_name))}"


def one_line(text: str) -> str:
    """The text with each run of blanks and line ends as one blank."""
    return " ".join(text.split())


def silence_stdout() -> None:
    """Point stdout at nothing, so that what it still holds raises no error at exit."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def terminal_width() -> int:
    """Columns to fill: those of the terminal, 80 where there is none."""
    return max(40, shutil.get_terminal_size((80, 24)).columns)


def can_show(characters: str) -> bool:
    """Whether the encoding of stdout has these characters."""
    try:
        characters.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
