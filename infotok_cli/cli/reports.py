"""`infotok inspect` and `infotok stats`: what is in an .itk file. Neither needs a model."""

from __future__ import annotations

from typing import Annotated

import typer

from infotok_cli.cli import options
from infotok_cli.cli.output import emit
from infotok_cli.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add both commands to `app`."""
    app.command()(inspect)
    app.command()(stats)


def inspect(
    source: options.ItkFile,
    as_json: options.Json = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Also decode every keep map and check every token id; names all damaged segments.",
            rich_help_panel=options.SELECTION_PANEL,
        ),
    ] = False,
    model: options.Model = None,
) -> None:
    """Show what is in an .itk file, and check every byte of it. Runs no model.

    --verify reads the token coder out of the weights file: the packaged one, or --model.

    \b
    Examples:
      infotok inspect clip.itk
      infotok inspect clip.itk --verify
      infotok inspect clip.itk --json
    """
    from infotok_cli.cli import render
    from infotok_cli.itk.report import report_file, verify_file

    if verify:
        verify_file(source, model)
    report = report_file(source)
    emit(render.json_of_file(report) if as_json else render.inspect_table(report))


def stats(
    source: options.ItkFile,
    as_json: options.Json = False,
    as_csv: Annotated[
        bool,
        typer.Option("--csv", help="Print a line per segment as CSV.", rich_help_panel=options.OUTPUT_PANEL),
    ] = False,
) -> None:
    """Show how many tokens each segment got, and where in the picture. Needs no model.

    A row per segment, the token rate over time, and a heat map of the frame.

    \b
    Examples:
      infotok stats clip.itk
      infotok stats clip.itk --csv > segments.csv
    """
    if as_json and as_csv:
        raise UsageError("--json and --csv contradict each other", way_out="choose one")
    from infotok_cli.cli import render
    from infotok_cli.itk.report import report_stats

    report = report_stats(source)
    if as_json:
        emit(render.json_of_stats(report))
    elif as_csv:
        emit(render.csv_of_stats(report))
    else:
        from infotok_cli.cli.stats_view import print_stats

        print_stats(report)
