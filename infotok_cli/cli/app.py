"""The `infotok` command: its subcommands, and the one place where errors become exit codes.

Nothing heavy is imported here: commands import what they need.
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

from infotok_cli.cli import (
    batch,
    compare,
    decode,
    demo,
    doctor,
    edit,
    encode,
    evaluate,
    exit_codes,
    flat,
    play,
    report,
    reports,
    train,
    view,
)
from infotok_cli.cli.help import App, Group
from infotok_cli.cli.output import (
    claim_standard_streams,
    one_line,
    option_name,
    print_err,
    print_error,
    print_json_error,
    silence_stdout,
    unwritable_stdout,
    voice,
)
from infotok_cli.cli.usage import complaint, no_command
from infotok_cli.errors import InfotokError

__all__ = ["DEBUG_VARIABLE", "app", "main", "option_name"]

DEBUG_VARIABLE = "INFOTOK_DEBUG"

_PRINTERS = ("click", "typer", "rich")

_PANELS = {
    "Video to tokens and back": (encode, decode, batch),
    "Work on .itk files, without a model": (reports, edit, flat),
    "Show what it does": (view, report, play, compare),
    "Models": (train, evaluate),
    "Getting started": (demo, doctor),
}
"""The modules that hold commands, by the panel of the help that lists them."""

app = App(
    name="infotok",
    cls=Group,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for app.panel, _modules in _PANELS.items():
    for _module in _modules:
        _module.register(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        from infotok_cli import __version__

        typer.echo(f"infotok {__version__}")
        raise typer.Exit


@app.callback(
    invoke_without_command=True,
    epilog=f"{exit_codes.in_one_sentence()}\n\n'infotok COMMAND --help' says more about each command.",
)
def _root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", "-V", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Turn video into as few tokens as its content needs, and tokens back into video."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("help")
def _help(
    context: typer.Context,
    command: Annotated[str | None, typer.Argument(metavar="COMMAND", help="The command to explain.")] = None,
) -> None:
    """Show the help of infotok, or of one of its commands.

    \b
    Examples:
      infotok help encode
    """
    root = context.parent
    assert root is not None
    if command is None:
        typer.echo(root.get_help())
        return
    found = root.command.get_command(root, command)  # type: ignore[attr-defined]  # Group
    if found is None:
        raise no_command(command, root.command.list_commands(root))  # type: ignore[attr-defined]
    typer.echo(typer.Context(found, parent=root, info_name=command).get_help())


def main(argv: Sequence[str] | None = None) -> int:
    """Run `infotok` with these arguments (default: those of the process); returns the exit code."""
    claim_standard_streams()
    words = sys.argv[1:] if argv is None else argv
    voice.reset(as_json="--json" in words)
    _share_the_cores()
    _clean_up_on_termination()
    try:
        result = app(args=argv, prog_name="infotok", standalone_mode=False)
        code = result if isinstance(result, int) else 0
    except KeyboardInterrupt:
        code = exit_codes.INTERRUPTED
    except SystemExit as end:
        if end.code != 1:  # a signal
            raise
        code = exit_codes.BROKEN_PIPE  # the parser's own way out when nobody reads its help
    except Exception as error:
        code = _report(error)
    if code == exit_codes.INTERRUPTED:
        if voice.as_json:
            print_json_error(code, "KeyboardInterrupt", "interrupted")
        else:
            print_err("infotok: interrupted")
    try:
        sys.stdout.flush()
    except OSError:
        silence_stdout()
    return code


def _report(error: Exception) -> int:
    """Describe `error` on stderr, on one line, and return its exit code."""
    if isinstance(error, InfotokError):
        print_error(error)
        code = error.exit_code
    elif hasattr(error, "format_message"):
        # The base class of the parser's usage errors has moved between versions of typer.
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "infotok"
        code = int(getattr(error, "exit_code", 2))
        what, way_out = one_line(complaint(error)), f"see '{command} --help'"
        if voice.as_json:
            print_json_error(code, "UsageError", what, way_out=way_out)
        else:
            print_err(f"infotok: error: {what}: {way_out}")
    elif isinstance(error, OSError) and _raised_in(error, _PRINTERS):
        # Help and version are not written by `print_out`.
        silence_stdout()
        failure: InfotokError = unwritable_stdout(error)
        print_error(failure)
        code = failure.exit_code
    else:
        what = one_line(f"{type(error).__name__}: {error}")
        hint = "" if os.environ.get(DEBUG_VARIABLE) else f" ({DEBUG_VARIABLE}=1 shows where)"
        code = exit_codes.INTERNAL_ERROR
        if voice.as_json:
            print_json_error(code, "InternalError", what, way_out="please report it")
        else:
            print_err(f"infotok: internal error (please report): {what}{hint}")
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exception(error, file=sys.stderr)
    return code


def _raised_in(error: Exception, packages: Sequence[str]) -> bool:
    """Whether the code that raised `error` is of one of these packages."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(frames) and frames[-1].f_globals.get("__name__", "").partition(".")[0] in packages


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
