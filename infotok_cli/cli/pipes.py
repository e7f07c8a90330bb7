"""`-` for standard input and output, and names of pipes. A reader that goes away ends the command quietly."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import typer

from infotok_cli.cli import exit_codes
from infotok_cli.cli.input_names import check_name
from infotok_cli.cli.output import silence_stdout
from infotok_cli.errors import OutputError, UsageError
from infotok_cli.places import (
    Source,
    Spooled,
    is_pipe,
    is_sink,
    is_standard_output,
    opened_pipe,
    opened_sink,
    spooled,
)

PIPE = Path("-")


def is_piped(source: Path) -> bool:
    """Whether an input is read from front to back: `-`, or the name of a pipe."""
    return source == PIPE or is_pipe(source)


def input_of(source: Path) -> Path | BinaryIO:
    """The file, or the pipe that `-` or its name stands for; UsageError when that is a terminal."""
    if source != PIPE:
        check_name(source)
        return opened_pipe(source) if is_pipe(source) else source
    if sys.stdin.isatty():
        raise UsageError("standard input is a terminal: pipe a file into it, or name one")
    return sys.stdin.buffer


@contextmanager
def seekable(source: Path, begins: bytes = b"") -> Iterator[Path | Spooled]:
    """The file, or what comes through the pipe that it names, copied to where it can be read at any place.

    A pipe that does not begin with `begins` is not copied further. Raises as `input_of` and `spooled` do.
    """
    given = input_of(source)
    if isinstance(given, Path):
        yield given
        return
    with spooled(given, begins=begins) as held:
        yield held


@contextmanager
def all_seekable(sources: Sequence[Path], begins: bytes = b"") -> Iterator[list[Source]]:
    """As `seekable`, of several; standard input may be one of them, once."""
    if sources.count(PIPE) > 1:
        raise UsageError("- is given twice, and can be read only once", way_out="save it to a file first")
    with ExitStack() as stack:
        yield [stack.enter_context(seekable(source, begins)) for source in sources]


def output_of(target: Path, as_json: bool) -> Path | BinaryIO:
    """The file, or what `-` or the name of a pipe or device stands for.

    UsageError when that is a terminal, or standard output while it is wanted for a report.
    """
    is_ours = target == PIPE or is_standard_output(target)
    if not is_ours:
        if not is_sink(target):
            return target
        sink = opened_sink(target)
        if sink.isatty():
            raise UsageError(
                "is a terminal, which data would upset", way_out="name a file", where=str(target)
            )
        return sink
    if as_json:
        raise UsageError(f"-o {target} fills standard output with data", way_out="leave out --json")
    if sys.stdout.isatty():
        raise UsageError(f"-o {target} would write data to a terminal", way_out="pipe it on, or name a file")
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
