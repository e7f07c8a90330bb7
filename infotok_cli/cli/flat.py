"""`infotok export` and `infotok import`: tokens as flat ids or training data. Neither runs a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infotok_cli.cli import options, quantities
from infotok_cli.cli.file_checks import check_distinct, check_file_output, check_input
from infotok_cli.cli.model_options import Model
from infotok_cli.cli.output import print_out, printable, tell, warn
from infotok_cli.cli.pipes import is_piped, output_of, reader_may_leave, seekable
from infotok_cli.container.layout import MAGIC
from infotok_cli.errors import UsageError
from infotok_cli.wording import counted

if TYPE_CHECKING:
    from infotok_cli.itk.flat import FlatReport
    from infotok_cli.itk.training_formats.export import TrainingReport

FLAT_FORMATS = "npz|npy|jsonl|safetensors"
SEQUENCES_PANEL = "Sequences (megatron and memmap)"

Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar=FLAT_FORMATS,
        help="Format of FILE.",
        show_default="by the suffix, else by what it holds",
        rich_help_panel=options.OUTPUT_PANEL,
    ),
]


def register(app: typer.Typer) -> None:
    """Add both commands to `app`."""
    app.command("export")(export)
    app.command("import")(import_)


def export(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILES...",
            help="Files made by 'infotok encode'; for training data several, or folders of them.",
            show_default=False,
        ),
    ],
    *,
    output: Annotated[
        Path | None,
        options.output_option(
            "OUT",
            "The file, - for standard output, or for training data the folder (parquet: file) to write.",
            default="FILE with the suffix of the format",
        ),
    ] = None,
    format_name: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="npz, npy, jsonl or safetensors: flat ids of one file. "
            "megatron, memmap, parquet or webdataset: training data of many.",
            show_default="by the suffix, else npz",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None,
    marks: Annotated[
        str | None,
        typer.Option(
            "--marks",
            metavar="A,B",
            help="Marks to put between tokens: any of step, motion, skip, segment-end and video-end.",
            show_default="none",
            rich_help_panel=SEQUENCES_PANEL,
        ),
    ] = None,
    id_offset: Annotated[
        int,
        typer.Option(
            "--id-offset",
            parser=quantities.whole("--id-offset"),
            metavar="N",
            help="Add N to every id; the ids become int32 where 16 bits are too few.",
            rich_help_panel=SEQUENCES_PANEL,
        ),
    ] = 0,
    document: Annotated[
        str | None,
        typer.Option(
            "--document",
            metavar="video|segment",
            help="Whether each video or each segment is a document.",
            show_default="video",
            rich_help_panel=SEQUENCES_PANEL,
        ),
    ] = None,
    shard_size: Annotated[
        float | None,
        typer.Option(
            "--shard-size",
            parser=quantities.size("--shard-size"),
            metavar="BYTES",
            help="Approximate size of each webdataset tar.",
            show_default="1G",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None,
    skip_bad: Annotated[
        bool,
        options.skip_bad_option("For training data: leave out damaged files, with a warning for each."),
    ] = False,
    model: Model = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Write the tokens for other programs: flat ids of a file, or training data of many.

    Flat ids are one sequence of uint16 per segment: ids below 64,000 are tokens, those above are motion, runs
    of dropped positions and marks (docs/FORMAT.md). 'infotok import' makes the same .itk file again, byte for
    byte, except for sound, frame times, title and date, which are left out.

    Training data (docs/TRAINING_DATA.md) holds many files, with where each is from; it is not imported again.

    \b
    Examples:
      infotok export clip.itk                      # writes clip.npz
      infotok export clip.itk --format jsonl
      infotok export clip.itk -o clip.safetensors
      infotok export clip.itk -o train --format megatron --marks step,video-end
    """
    for source in sources:
        if not is_piped(source) and not source.is_dir():
            check_input(source)
    format_name = format_name or _format_of_suffix(output)
    asked = _training_format(format_name)
    if not asked:
        _check_flat(
            sources,
            {
                "--marks": marks,
                "--id-offset": id_offset,
                "--document": document,
                "--shard-size": shard_size,
                "--skip-bad": skip_bad,
            },
        )
        _export_flat(sources[0], output, format_name, model=model, overwrite=overwrite, as_json=as_json)
        return
    from infotok_cli.itk.training_formats.export import export_training
    from infotok_cli.itk.training_formats.sequences import parse_marks

    report = export_training(
        sources,
        _training_target(output, asked),
        asked,
        marks=parse_marks(marks or ""),
        id_offset=id_offset,
        document=document,
        shard_size=None if shard_size is None else int(shard_size),
        model=model,
        skip_bad=skip_bad,
        overwrite=overwrite,
    )
    _show_training(report, as_json)


def _check_flat(sources: list[Path], only_training: dict[str, object]) -> None:
    """Raise UsageError for what flat ids cannot have: options of training data, and several files."""
    for name in (name for name, value in only_training.items() if value):
        raise UsageError(
            f"{name} is for training data", way_out="add a format such as --format megatron, or leave it out"
        )
    if len(sources) > 1:
        raise UsageError(
            f"flat ids are of one file, and {len(sources)} are given",
            way_out="export them one by one, or choose a format such as --format megatron",
        )


def _training_target(output: Path | None, asked: str) -> Path:
    """Where training data goes; UsageError for nowhere, and for a pipe."""
    if output is None:
        raise UsageError("has no name to write to", way_out="give one with -o", where=f"--format {asked}")
    if is_piped(output):
        raise UsageError(f"--format {asked} does not go through a pipe", way_out="name an output with -o")
    return output


def _format_of_suffix(output: Path | None) -> str | None:
    """The one training format that a suffix names."""
    return "parquet" if output is not None and output.suffix.lower() == ".parquet" else None


def _training_format(name: str | None) -> str | None:
    """The name itself if it is one of training data; UsageError if it is none at all."""
    if name is None or name in FLAT_FORMATS.split("|"):
        return None
    from infotok_cli.itk.training_formats.export import TRAINING_FORMATS

    if name not in TRAINING_FORMATS:
        known = [*FLAT_FORMATS.split("|"), *TRAINING_FORMATS]
        raise UsageError(f"--format {name!r} is unknown", way_out=f"choose {', '.join(known)}")
    return name


def _export_flat(
    source: Path,
    output: Path | None,
    format_name: str | None,
    *,
    model: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    from infotok_cli.itk.flat_files import DEFAULT_FORMAT, flat_format

    target = _target(source, output, f".{format_name or 'npz'}")
    write_to = output_of(target, as_json)
    flat_format(target, format_name or (None if write_to is target else DEFAULT_FORMAT))
    if write_to is target:
        check_file_output(target, overwrite)
    with reader_may_leave(), seekable(source, MAGIC) as given:
        from infotok_cli.itk.flat import export_file

        report = export_file(given, write_to, format_name, model=model, overwrite=overwrite)
    _show(report, as_json)


def _show_training(report: TrainingReport, as_json: bool) -> None:
    for line in report.notes:
        warn(f"left out: {line}")
    from infotok_cli.cli.render import sized

    if report.lost_segments:
        lost = counted(report.lost_segments, "segment")
        warn(f"left out: {lost} that a repair could not save")
    if as_json:
        from infotok_cli.cli.json_values import json_line

        print_out(json_line(report))
        return
    tell(
        f"{sized(report.output, report.size_bytes)}: {counted(report.tokens, 'token')} in "
        f"{counted(report.segments, 'segment')} of {counted(report.videos, 'video')}, as {report.format}"
    )


def import_(
    source: Annotated[
        Path, typer.Argument(metavar="FILE", help="A file made by 'infotok export'.", show_default=False)
    ],
    *,
    output: Annotated[
        Path | None,
        options.output_option(
            "OUT.itk", "The file to write; - is standard output.", default="FILE with the suffix .itk"
        ),
    ] = None,
    format_name: Format = None,
    model: Model = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Make an .itk file from exported flat ids.

    \b
    Examples:
      infotok import clip.npz                      # writes clip.itk
      infotok import ids.jsonl -o made.itk
      infotok export clip.itk -o - | infotok import - -o again.itk
    """
    from infotok_cli.itk.flat_files import format_of

    target = _target(source, output, ".itk")
    if not is_piped(source):
        format_of(source, format_name)
    write_to = output_of(target, as_json)
    if write_to is target:
        check_file_output(target, overwrite)
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
    check_input(source)
    target = output or source.with_suffix(suffix)
    check_distinct(source, target)
    return target


def _show(report: FlatReport, as_json: bool) -> None:
    left_out = " and ".join(report.left_out)
    warnings = [f"{report.input}: flat ids leave out its {left_out}"] if left_out else []
    for warning in warnings:
        warn(warning)
    if as_json:
        from infotok_cli.cli.json_values import json_line

        print_out(json_line(report, warnings=warnings))
        return
    from infotok_cli.cli.render import sized

    tell(
        f"{printable(report.input)} -> {sized(report.output, report.size_bytes)}: "
        f"{counted(report.ids, 'flat id')} ({counted(report.tokens, 'token')}) "
        f"in {counted(report.segments, 'segment')}"
    )
