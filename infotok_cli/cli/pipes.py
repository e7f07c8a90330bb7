"""`-` for standard input and output. A reader that goes away ends the command quietly."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import typer

from infotok_cli.cli import exit_codes
from infotok_cli.cli.output import silence_stdout
from infotok_cli.errors import OutputError, UsageError

PIPE = Path("-")


def input_of(source: Path) -> Path | BinaryIO:
    """The file, or standard input for `-`; UsageError when that is a terminal."""
    if source != PIPE:
        return source
    if sys.stdin.isatty():
        raise UsageError("standard input is a terminal: pipe a file into it, or name one")
    return sys.stdin.buffer


def output_of(target: Path, as_json: bool) -> Path | BinaryIO:
    """The file, or standard output for `-`; UsageError when that is a terminal or wanted for a report."""
    if target != PIPE:
        return target
    if as_json:
        raise UsageError("-o - fills standard output with data", way_out="leave out --json")
    if sys.stdout.isatty():
        raise UsageError("-o - would write data to a terminal: pipe it on, or name a file")
    return sys.stdout.buffer


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """End the command with the exit code of a broken pipe when that is why an output cannot be written."""
    try:
        yield
    except OutputError as error:
        if not isinstance(error.__cause__, BrokenPipeError):
            raise
        silence_stdout()
        raise typer.Exit(exit_codes.BROKEN_PIPE) from None
