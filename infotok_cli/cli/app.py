"""The `infotok` command: its subcommands, and the one place where errors become exit codes.

0 done, 1 a bug of ours, 2 bad usage, 3 bad input file, 4 model missing or not the file's, 5 output
cannot be written, 130 interrupted. Nothing heavy is imported here: commands import what they need.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import Annotated

import typer

from infotok_cli.cli import decode, demo, doctor, edit, encode, evaluate, flat, report, reports, train, view
from infotok_cli.cli.output import (
    BROKEN_PIPE_EXIT_CODE,
    claim_standard_streams,
    silence_stdout,
    tell,
    unwritable_stdout,
)
from infotok_cli.errors import InfotokError

DEBUG_VARIABLE = "INFOTOK_DEBUG"
BUG_EXIT_CODE = 1
INTERRUPTED_EXIT_CODE = 130

_PRINTERS = ("click", "typer", "rich")

app = typer.Typer(
    name="infotok",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _module in (encode, decode, reports, view, report, edit, flat, demo, train, evaluate, doctor):
    _module.register(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        from infotok_cli import __version__

        typer.echo(f"infotok {__version__}")
        raise typer.Exit


@app.callback(
    invoke_without_command=True,
    epilog="Exit codes: 0 done, 1 a bug of ours, 2 bad usage, 3 bad input file, 4 model missing or not the "
    "file's, 5 output cannot be written, 130 interrupted.",
)
def _root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Turn video into as few tokens as its content needs, and tokens back into video.

    \b
    infotok encode clip.mp4        clip.mp4 to clip.itk
    infotok decode clip.itk -o back.mp4
    infotok inspect clip.itk       what is in the file
    infotok stats clip.itk         how many tokens each segment got, and where
    infotok cut, concat, repair    on .itk files, without a model
    infotok export clip.itk        its token ids for other programs
    infotok demo                   all of it on a made-up clip

    'infotok COMMAND --help' tells more about each.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(argv: Sequence[str] | None = None) -> int:
    """Run `infotok` with these arguments (default: those of the process); returns the exit code."""
    claim_standard_streams()
    _share_the_cores()
    _clean_up_on_termination()
    try:
        result = app(args=argv, prog_name="infotok", standalone_mode=False)
        code = result if isinstance(result, int) else 0
    except KeyboardInterrupt:
        code = INTERRUPTED_EXIT_CODE
    except SystemExit as end:
        if end.code != 1:  # a signal
            raise
        code = BROKEN_PIPE_EXIT_CODE  # the parser's own way out when nobody reads its help
    except Exception as error:
        code = _report(error)
    if code == INTERRUPTED_EXIT_CODE:
        tell("infotok: interrupted")
    try:
        sys.stdout.flush()
    except OSError:
        silence_stdout()
    return code


def _report(error: Exception) -> int:
    """Describe `error` on stderr, on one line, and return its exit code."""
    describe = getattr(error, "format_message", None)
    if isinstance(error, InfotokError):
        tell(f"infotok: error: {_one_line(error.text(option_name))}")
        code = error.exit_code
    elif callable(describe):
        # The base class of the parser's usage errors has moved between versions of typer.
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "infotok"
        tell(f"infotok: error: {_one_line(describe()).rstrip('.')}: see '{command} --help'")
        code = int(getattr(error, "exit_code", 2))
    elif isinstance(error, OSError) and _raised_in(error, _PRINTERS):
        # Help and version are not written by `emit`.
        silence_stdout()
        failure = unwritable_stdout(error)
        tell(f"infotok: error: {failure}")
        code = failure.exit_code
    else:
        what = _one_line(f"{type(error).__name__}: {error}")
        hint = "" if os.environ.get(DEBUG_VARIABLE) else f" ({DEBUG_VARIABLE}=1 shows where)"
        tell(f"infotok: bug: {what}{hint}")
        code = BUG_EXIT_CODE
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exception(error, file=sys.stderr)
    return code


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


def _raised_in(error: Exception, packages: Sequence[str]) -> bool:
    """Whether the code that raised `error` is of one of these packages."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(frames) and frames[-1].f_globals.get("__name__", "").partition(".")[0] in packages


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _share_the_cores() -> None:
    """Have torch's threads sleep, not spin, while they wait for each other; read when torch is loaded.

    Spinning takes the core from the very thread that is waited for when another process is busy: encoding
    then takes four times as long as with sleeping threads. On an idle machine there is no difference.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _clean_up_on_termination() -> None:
    """Let SIGTERM and SIGHUP unwind the stack, so that temporary files go away; respects nohup."""

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        try:
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, leave)
        except ValueError:  # not in the main thread
            return
