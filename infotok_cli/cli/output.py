"""Where text goes: data to stdout, talk to stderr. Standard library only."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys

import typer

from infotok_cli.errors import OutputError

BROKEN_PIPE_EXIT_CODE = 141
"""What a shell reports for a program that its reader left: 128 + SIGPIPE."""


def claim_standard_streams() -> None:
    """Put something that cannot be used in the place of standard streams that were closed by the caller.

    Otherwise the next file that is opened would take their number, and whatever a library says would end
    up in it; as it is, reading or writing them fails as it does with any bad file.
    """
    for number, (name, access) in enumerate(
        (("stdin", os.O_WRONLY), ("stdout", os.O_RDONLY), ("stderr", os.O_RDWR))
    ):
        if getattr(sys, name) is None:
            unusable = os.open(os.devnull, access)  # the lowest free number, so most often `number` itself
            setattr(sys, name, open(unusable, "w" if number else "r"))  # noqa: SIM115  open to the end


def emit(text: str) -> None:
    """Write a line (or several) of data to stdout.

    Ends the command quietly when the reader has gone; raises OutputError when the disk is full.
    """
    try:
        print(text, flush=True)
    except BrokenPipeError:
        silence_stdout()
        raise typer.Exit(BROKEN_PIPE_EXIT_CODE) from None
    except OSError as error:
        silence_stdout()
        raise unwritable_stdout(error) from error


def unwritable_stdout(error: OSError) -> OutputError:
    """What to say of an `error` met in writing to stdout."""
    return OutputError(f"standard output cannot be written: {error.strerror}", way_out="check the disk")


def tell(text: str) -> None:
    """Write a line for the person at the terminal to stderr."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


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
