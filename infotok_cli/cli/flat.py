"""`infotok export` and `infotok import`: the tokens of an .itk file as flat ids. Neither runs a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infotok_cli.cli import options
from infotok_cli.cli.output import print_out, tell, warn
from infotok_cli.cli.pipes import is_piped, output_of, reader_may_leave, seekable
from infotok_cli.container.layout import MAGIC
from infotok_cli.errors import UsageError

if TYPE_CHECKING:
    from infotok_cli.itk.flat import FlatReport

Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="npz|npy|jsonl|safetensors",
        help="Format of the file of ids.",
        show_default="by the suffix, else npz",
        rich_help_panel=options.OUTPUT_PANEL,
    ),
]


def register(app: typer.Typer) -> None:
    """Add both commands to `app`."""
    app.command("export")(export)
    app.command("import")(import_)


def export(
    source: options.ItkFile,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="The file to write; - is standard output.",
            show_default="FILE with the suffix of the format",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None,
    format_name: Format = None,
    model: options.Model = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Write the tokens as flat ids, for other programs.

    One sequence of uint16 per segment: ids below 64,000 are tokens, those above are runs of dropped
    positions and marks (docs/FORMAT.md). 'infotok import' makes the same .itk file again, byte for byte,
    but for sound and frame times, which are left out.

    \b
    Examples:
      infotok export clip.itk                      # writes clip.npz
      infotok export clip.itk --format jsonl
      infotok export clip.itk -o clip.safetensors
    """
    from infotok_cli.itk.flat_files import DEFAULT_FORMAT, flat_format

    target = _target(source, output, f".{format_name or 'npz'}")
    write_to = output_of(target, as_json)
    flat_format(target, format_name or (None if write_to is target else DEFAULT_FORMAT))
    if write_to is target:
        options.check_file_output(target, overwrite)
    with reader_may_leave(), seekable(source, MAGIC) as given:
        from infotok_cli.itk.flat import export_file

        report = export_file(given, write_to, format_name, model=model, overwrite=overwrite)
    _show(report, as_json)


def import_(
    source: Annotated[
        Path, typer.Argument(metavar="FILE", help="A file made by 'infotok export'.", show_default=False)
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT.itk",
            help="The file to write; - is standard output.",
            show_default="FILE with the suffix .itk",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None,
    format_name: Format = None,
    model: options.Model = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Make an .itk file from exported flat ids.

    \b
    Examples:
      infotok import clip.npz                      # writes clip.itk
      infotok import ids.jsonl -o made.itk
    """
    from infotok_cli.itk.flat_files import flat_format

    if format_name is None and is_piped(source):
        raise UsageError("a pipe has no suffix that says what it holds", way_out="name its --format")
    flat_format(source, format_name)
    target = _target(source, output, ".itk")
    write_to = output_of(target, as_json)
    if write_to is target:
        options.check_file_output(target, overwrite)
    with reader_may_leave(), seekable(source) as given:
        from infotok_cli.itk.flat import import_file

        report = import_file(given, write_to, format_name, model=model, overwrite=overwrite)
    _show(report, as_json)


def _target(source: Path, output: Path | None, suffix: str) -> Path:
    """The output, which is not the input; raises InputError and UsageError for names that will not do."""
    if is_piped(source):
        if output is None:
            raise UsageError("a pipe has no name to make one from", way_out="name the output with -o")
        return output
    options.check_input(source)
    target = output or source.with_suffix(suffix)
    options.check_distinct(source, target)
    return target


def _show(report: FlatReport, as_json: bool) -> None:
    from infotok_cli.cli import render

    for warning in render.flat_warnings(report):
        warn(warning)
    if as_json:
        print_out(render.json_of_flat(report))
        return
    tell(render.flat_line(report))
