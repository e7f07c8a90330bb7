"""`infotok cut`, `concat` and `repair`: .itk files into .itk files. None needs a model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from infotok_cli.cli import options
from infotok_cli.cli.file_checks import check_distinct, check_file_output, check_input
from infotok_cli.cli.output import print_out, printable, tell, warn_of_each
from infotok_cli.cli.output_names import check_itk_name
from infotok_cli.cli.pipes import all_seekable, is_piped, output_of, reader_may_leave
from infotok_cli.cli.time_options import TimeOptions
from infotok_cli.container.layout import MAGIC
from infotok_cli.errors import UsageError
from infotok_cli.places import Source
from infotok_cli.wording import counted

if TYPE_CHECKING:
    from infotok_cli.itk.edit import EditReport

Output = Annotated[Path, options.output_option("OUT.itk", "The file to write; - is standard output.")]


_NAMED_INPUTS = 4
"""Files that a line about a join names all of."""


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
    part: TimeOptions,
    quiet: options.Quiet = False,
) -> None:
    """Copy the part between two times, exact to the frame.

    A segment that a cut goes through is copied whole and its other frames are hidden, so they can be
    recovered. Cutting does not erase: do not use it to redact.

    \b
    Examples:
      infotok cut film.itk --start 60 --end 90 -o scene.itk
      infotok cut film.itk --start 1:00 --duration 30s -o scene.itk
      infotok cut film.itk --end 10 -o - | infotok decode - -o - | player
    """
    until = part.until
    with _opened([source], output, overwrite, as_json) as ((given,), target):
        from infotok_cli.itk.edit import cut_file

        report = cut_file(
            given,
            target,
            start_seconds=part.start,
            end_seconds=until,
            frames=part.frames,
            overwrite=overwrite,
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
    if len(sources) < 2:
        raise UsageError("is only one file", way_out="name two or more to join", where=str(sources[0]))
    with _opened(sources, output, overwrite, as_json) as (given, target):
        from infotok_cli.itk.edit import concat_files

        report = concat_files(given, target, overwrite=overwrite)
    _show(report, as_json)


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
    with _opened([source], output, overwrite, as_json) as ((given,), target):
        from infotok_cli.itk.edit import repair_file

        report = repair_file(given, target, overwrite=overwrite)
    if not report.notes and not as_json:
        tell(f"{report.inputs[0]}: nothing to repair")
    _show(report, as_json)


@contextmanager
def _opened(
    sources: list[Path], output: Path, overwrite: bool, as_json: bool
) -> Iterator[tuple[list[Source], Path | BinaryIO]]:
    """Check the names, lend what they stand for; ends quietly when the reader of a pipe goes away."""
    for source in sources:
        if not is_piped(source):
            check_input(source)
            check_distinct(source, output)
    target = output_of(output, as_json)
    if target is output:
        check_itk_name(output)
        check_file_output(output, overwrite)
    with reader_may_leave(), all_seekable(sources, MAGIC) as given:
        yield given, target


def _show(report: EditReport, as_json: bool) -> None:
    warn_of_each(report.notes)
    if as_json:
        from infotok_cli.cli.json_values import json_line

        print_out(json_line(report))
    else:
        tell(report_line(report))


def report_line(report: EditReport) -> str:
    """What a cut, a join or a repair wrote, on one line."""
    from infotok_cli.cli.render import sized

    inputs = [printable(name) for name in report.inputs]
    if len(inputs) > _NAMED_INPUTS:
        inputs[1:] = [f"{len(inputs) - 1} more"]
    extra = [
        f", {counted(count, what)}"
        for count, what in (
            (report.lost_frames, "lost frame"),
            (report.hidden_frames, "hidden frame"),
        )
        if count
    ]
    return (
        f"{' + '.join(inputs)} -> {sized(report.output, report.size_bytes)}: "
        f"{counted(report.frames, 'frame')} in {counted(report.segments, 'segment')}{''.join(extra)}"
    )
