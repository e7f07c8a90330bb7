"""Panels of the help, and options that commands of all kinds share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from infotok_cli.cli import output

OUTPUT_PANEL = "Output"
BUDGET_PANEL = "How many tokens (at most one of these)"
TOKENS_PANEL = "Where tokens go"
INPUT_PANEL = "Input"
DAMAGE_PANEL = "Damaged videos and folders of pictures"
MODEL_PANEL = "How the model runs"
MESSAGES_PANEL = "Messages"


def _set_quiet(wanted: bool) -> bool:
    output.voice.quiet = output.voice.quiet or wanted
    return wanted


def _set_verbose(wanted: bool) -> bool:
    output.voice.verbose = output.voice.verbose or wanted
    return wanted


def output_option(metavar: str, help: str, *, default: str | None = None) -> Any:
    """Declaration of -o; `default` says in words what is written without it, None that it must be given."""
    return typer.Option(
        "--output",
        "-o",
        metavar=metavar,
        help=help,
        show_default=default or False,
        rich_help_panel=OUTPUT_PANEL,
    )


def source_option(help: str) -> Any:
    """Declaration of --source: the video that .itk files were made of."""
    return typer.Option(
        "--source", metavar="VIDEO", help=help, show_default="none", rich_help_panel=INPUT_PANEL
    )


def skip_bad_option(help: str, *, panel: str = INPUT_PANEL) -> Any:
    """Declaration of --skip-bad; `help` says what becomes of what is damaged."""
    return typer.Option("--skip-bad", help=help, rich_help_panel=panel)


NoAudio = Annotated[
    bool,
    typer.Option("--no-audio", help="Leave the sound out.", rich_help_panel=INPUT_PANEL),
]
Original = Annotated[
    Path | None, source_option("The video that was encoded, to show beside the decoded one, with PSNR.")
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        "-y",
        help="Replace an existing output.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print a report as one line of JSON on stdout.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        help="Say nothing on stderr but warnings and errors.",
        callback=_set_quiet,
        rich_help_panel=MESSAGES_PANEL,
    ),
]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        help="Also say what ran, and where time and bytes went.",
        callback=_set_verbose,
        rich_help_panel=MESSAGES_PANEL,
    ),
]
ShowBad = Annotated[
    bool,
    skip_bad_option("Show a damaged file too, with stripes over what is lost and a good frame in its place."),
]
ItkFile = Annotated[
    Path, typer.Argument(metavar="FILE.itk", help="A file made by 'infotok encode'.", show_default=False)
]
