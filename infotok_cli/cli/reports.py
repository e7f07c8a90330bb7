"""`infotok inspect` and `infotok stats`: what is in .itk files. Neither runs a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from infotok_cli.cli import options, quantities
from infotok_cli.cli.file_checks import check_distinct, check_file_output
from infotok_cli.cli.model_options import Model
from infotok_cli.cli.output import print_error, print_out, printable
from infotok_cli.cli.pipes import seekable
from infotok_cli.container.layout import MAGIC
from infotok_cli.errors import InputError, ModelError, UsageError
from infotok_cli.places import Source

ItkFiles = Annotated[
    list[Path],
    typer.Argument(metavar="FILE.itk...", help="Files made by 'infotok encode'.", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add both commands to `app`."""
    app.command()(inspect)
    app.command()(stats)


def inspect(
    sources: ItkFiles,
    as_json: options.Json = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Also decode all tokens, and name every damaged segment. Reads the token coder from the "
            "weights file.",
            rich_help_panel=options.INPUT_PANEL,
        ),
    ] = False,
    model: Model = None,
) -> None:
    """Show what is in .itk files, and check every byte of them.

    Several files are shown one after the other, with --json one line each; a bad one does not keep the
    others from being shown.

    \b
    Examples:
      infotok inspect clip.itk
      infotok inspect *.itk --json
      infotok inspect clip.itk --verify
    """
    from infotok_cli.cli import file_view
    from infotok_cli.itk.report import report_file, verify_file

    def show(source: Source, first: bool) -> None:
        if verify:
            verify_file(source, model)
        report = report_file(source)
        if as_json:
            print_out(file_view.json_of_file(report, verified=verify))
        else:
            print_out(("" if first else "\n") + file_view.inspect_table(report, verified=verify))

    for_each(sources, show)


def stats(
    sources: ItkFiles,
    *,
    as_json: options.Json = False,
    as_csv: Annotated[
        bool,
        typer.Option("--csv", help="Print a line per segment as CSV.", rich_help_panel=options.OUTPUT_PANEL),
    ] = False,
    summary: Annotated[
        bool,
        typer.Option(
            "--summary", help="Leave out the rows per segment.", rich_help_panel=options.OUTPUT_PANEL
        ),
    ] = False,
    segment: Annotated[
        int | None,
        typer.Option(
            "--segment",
            parser=quantities.whole("--segment"),
            metavar="N",
            help="Draw the map of this segment, counted from 0.",
            show_default="the mean over time",
            rich_help_panel=options.INPUT_PANEL,
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            metavar="FILE",
            help="Draw chart and map into this .png, .svg or .pdf (needs the extra 'plots').",
            show_default="none",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Show how many tokens each segment got, and where.

    The token rate over time, a heat map of the frame, and a row per segment; on a terminal the map is in
    colour, and neighbouring segments share a row where there are more than fit. Several files are shown one
    after the other: with --json one line each, with --csv as one table that begins with the input.

    \b
    Examples:
      infotok stats clip.itk
      infotok stats clip.itk --summary --segment 0
      infotok stats clip.itk --plot stats.png
      infotok stats clip.itk --csv > segments.csv
    """
    if as_json and as_csv:
        raise UsageError("--json and --csv exclude each other", way_out="give only one of them")
    if as_csv and summary:
        raise UsageError("--csv and --summary exclude each other", way_out="give only one of them")
    if plot is not None:
        _check_plot(plot, sources, overwrite)
    from infotok_cli.cli import file_view
    from infotok_cli.itk.report import report_stats

    several = len(sources) > 1

    def show(source: Source, first: bool) -> None:
        report = report_stats(source, segment)
        if plot is not None:
            from infotok_cli.cli.stats_view import write_plot

            write_plot(report, plot, overwrite)
        if as_json:
            print_out(file_view.json_of_stats(report, summary=summary))
        elif as_csv:
            print_out(file_view.csv_of_stats(report, headings=first, name=str(source) if several else None))
        else:
            from infotok_cli.cli.stats_view import print_stats

            if several:
                print_out(("" if first else "\n") + f"{printable(str(source))}:")
            print_stats(report, summary=summary)

    for_each(sources, show)


def _check_plot(plot: Path, sources: Sequence[Path], overwrite: bool) -> None:
    from infotok_cli.evaluate.plots import check_plot

    if len(sources) > 1:
        raise UsageError(f"--plot draws one file, not {len(sources)}", way_out="give one at a time")
    check_plot(plot)
    check_distinct(sources[0], plot)
    check_file_output(plot, overwrite)


def for_each(sources: Sequence[Path], show: Callable[[Source, bool], None]) -> None:
    """Call `show` with each file, or what came through a pipe, and whether it is the first to be shown.

    Of several, bad ones are reported and skipped; the exit code is that of the first bad one.
    """
    if len(sources) == 1:
        with seekable(sources[0], MAGIC) as given:
            show(given, True)
        return
    code, first = 0, True
    for source in sources:
        try:
            with seekable(source, MAGIC) as given:
                show(given, first)
            first = False
        except (InputError, ModelError) as error:
            print_error(error)
            code = code or error.exit_code
    if code:
        raise typer.Exit(code)
