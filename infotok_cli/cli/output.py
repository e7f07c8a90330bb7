"""Where text goes: data to stdout, messages to stderr. Standard library only, but for the parser's Exit."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import typer

from infotok_cli.cli import exit_codes
from infotok_cli.errors import InfotokError, OutputError

MOST_WARNINGS = 20


@dataclass
class Voice:
    """How much is said on stderr, and in which form; set by the options of a command."""

    quiet: bool = False
    verbose: bool = False
    as_json: bool = False
    """Errors and warnings are lines of JSON."""

    def reset(self, *, as_json: bool) -> None:
        """Begin a command."""
        self.quiet = self.verbose = False
        self.as_json = as_json


voice = Voice()


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
        f"cannot be written ({error.strerror})", way_out="check the disk", where="standard output"
    )


def print_err(text: str) -> None:
    """Write a message to stderr; control characters, and what its encoding lacks, are escaped."""
    encoding = sys.stderr.encoding or "ascii"
    shown = "\n".join(map(printable, text.split("\n"))).encode(encoding, "backslashreplace")
    with contextlib.suppress(OSError):
        print(shown.decode(encoding), file=sys.stderr, flush=True)


def tell(text: str) -> None:
    """Say on stderr what was done, unless --quiet or --json is given."""
    if not voice.quiet and not voice.as_json:
        print_err(text)


def detail(text: str) -> None:
    """Say more of it, with --verbose."""
    if voice.verbose:
        tell(text)


def warn(what: str | InfotokError) -> None:
    """Say on stderr what a person should know though all went on."""
    text = what if isinstance(what, str) else what.text(option_name)
    print_err(json.dumps({"warning": text}) if voice.as_json else f"infotok: warning: {text}")


def warn_of_each(lines: Sequence[str]) -> None:
    """Warn of the first things, and say how many more there are."""
    for line in lines[:MOST_WARNINGS]:
        warn(line)
    if len(lines) > MOST_WARNINGS:
        warn(f"and {len(lines) - MOST_WARNINGS:,} more")


def print_error(error: InfotokError) -> None:
    """Say on stderr what failed: a line of text, with --json an object."""
    if not voice.as_json:
        print_err(error_line(error))
        return
    parts = InfotokError(error.what), InfotokError(error.way_out)
    what, way_out = (part.text(option_name) for part in parts)
    print_json_error(error.exit_code, type(error).__name__, what, where=error.where, way_out=way_out)


def print_json_error(exit_code: int, kind: str, what: str, *, where: str = "", way_out: str = "") -> None:
    """Say on stderr what failed, as one line of JSON."""
    parts = {"kind": kind, "exit_code": exit_code, "what": what, "where": where, "way_out": way_out}
    print_err(json.dumps({"error": parts}))


def printable(text: str) -> str:
    """The text on one line, with all that a terminal might act on escaped: \\x1b, \\n, lone surrogates."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


_OPTIONS = {
    "start_seconds": "--start",
    "end_seconds": "--end",
    "audio": "--no-audio",
    "compiled": "--compile",
    "overwrite": "-y",
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


def terminal_height() -> int:
    """Lines of the terminal, 24 where there is none."""
    return shutil.get_terminal_size((80, 24)).lines


def can_show(characters: str) -> bool:
    """Whether the encoding of stdout has these characters."""
    try:
        characters.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
