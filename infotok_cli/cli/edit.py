"""`infotok cut`, `concat` and `repair`: .itk files into .itk files. None needs a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infotok_cli.cli import options
from infotok_cli.cli.output import print_out, tell, warn
from infotok_cli.cli.output_names import check_itk_name
from infotok_cli.errors import UsageError

if TYPE_CHECKING:
    from infotok_cli.itk.edit import EditReport

Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="OUT.itk",
        help="The file to write.",
        show_default=False,
        rich_help_panel=options.OUTPUT_PANEL,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the three commands to `app`."""
    app.command()(cut)
    app.command()(concat)
    app.command()(repair)


def cut(
    source: options.ItkFile,
    *,
    output: Output,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    start: options.Start = None,
    end: options.End = None,
    duration: options.Duration = None,
    frames: options.Frames = None,
    quiet: options.Quiet = False,
) -> None:
    """Copy the part between two times, exact to the frame.

    A segment that a cut goes through is copied whole and its other frames are hidden, so they can be
    recovered. Cutting does not erase: do not use it to redact.

    \b
    Examples:
      infotok cut film.itk --start 60 --end 90 -o scene.itk
      infotok cut film.itk --start 1:00 --duration 30s -o scene.itk
    """
    until = options.end_of(start, end, duration)
    _check([source], output, overwrite)
    from infotok_cli.itk.edit import cut_file

    report = cut_file(
        source, output, start_seconds=start, end_seconds=until, frames=frames, overwrite=overwrite
    )
    _show(report, as_json)


def concat(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="A.itk B.itk ...",
            help="Two or more files with the same settings, in order.",
            show_default=False,
        ),
    ],
    *,
    output: Output,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Join .itk files one after the other.

    They must have the same size, frame rate, colours, model and kind of allocation. Consecutive parts cut
    from one file become that file again.

    \b
    Examples:
      infotok concat one.itk two.itk -o both.itk
    """
    _check(sources, output, overwrite)
    if len(sources) < 2:
        raise UsageError("is only one file", way_out="name two or more to join", where=str(sources[0]))
    from infotok_cli.itk.edit import concat_files

    _show(concat_files(sources, output, overwrite=overwrite), as_json)


def repair(
    source: options.ItkFile,
    *,
    output: Output,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Save what is intact in a damaged or truncated .itk file.

    Writes a new file with every intact segment and a new index. Lost segments keep their place, so all
    times stay right; decode such a file with --skip-bad. What was lost is reported on stderr.

    \b
    Examples:
      infotok repair broken.itk -o repaired.itk
    """
    _check([source], output, overwrite)
    from infotok_cli.itk.edit import repair_file

    report = repair_file(source, output, overwrite=overwrite)
    if not report.notes and not as_json:
        tell(f"{source}: nothing to repair")
    _show(report, as_json)


def _check(sources: list[Path], target: Path, overwrite: bool) -> None:
    for source in sources:
        options.check_input(source)
        options.check_distinct(source, target)
    check_itk_name(target)
    options.check_file_output(target, overwrite)


def _show(report: EditReport, as_json: bool) -> None:
    from infotok_cli.cli import render

    for line in render.shortened(report.notes):
        warn(line)
    if as_json:
        print_out(render.json_of_edit(report))
    else:
        tell(render.edit_line(report))
