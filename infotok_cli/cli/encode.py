"""`infotok encode`: a video becomes an .itk file."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from infotok_cli.cli import encode_options, options
from infotok_cli.cli.file_checks import check_distinct, check_file_output, check_input
from infotok_cli.cli.model_options import CodecOptions
from infotok_cli.cli.output import detail, print_out, tell, warn
from infotok_cli.cli.output_names import check_itk_name, itk_output
from infotok_cli.cli.pipes import input_of, is_piped, output_of, reader_may_leave
from infotok_cli.errors import UsageError

if TYPE_CHECKING:
    from infotok_cli.codec.encode import EncodeReport
    from infotok_cli.codec.options import EncodeOptions

HIGHEST_FPS = 1000
LARGEST_PART = 1_000_000
"""Of a frame rate's numerator and denominator."""


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(encode)


def encode(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            help="A video or image, anything FFmpeg reads, or a folder of numbered pictures; - is stdin.",
            show_default=False,
        ),
    ],
    *,
    output: Annotated[
        str | None,
        options.output_option(
            "OUT.itk", "The file, or a folder for it; - is stdout.", default="INPUT as .itk"
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Write nothing; print the tokens, bytes, time and memory it would take.",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = False,
    budget: encode_options.BudgetOptions,
    part: encode_options.SourceOptions,
    tokens: encode_options.TokenOptions,
    fps: Annotated[
        str | None,
        typer.Option(
            "--fps",
            metavar="N",
            help="Frame rate for a folder of pictures, such as 25 or 30000/1001.",
            show_default="30",
            rich_help_panel=options.DAMAGE_PANEL,
        ),
    ] = None,
    skip_bad: Annotated[
        bool,
        options.skip_bad_option(
            "Encode a damaged video too: the last good frame stands in for lost ones, and a warning "
            "says where.",
            panel=options.DAMAGE_PANEL,
        ),
    ] = False,
    run: CodecOptions,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Encode a video into tokens, as an .itk file.

    Simple parts get few tokens, busy ones many; the total is set by --rate or another budget. Sound is
    copied untouched.

    \b
    Examples:
      infotok encode clip.mp4                              # writes clip.itk
      infotok encode clip.mp4 -o small.itk --rate 0.25
      infotok encode clip.mp4 --target-size 100k
      infotok encode frames/ --fps 25                      # numbered pictures
      infotok encode film.mkv --start 60 --end 90 --short-side 256
      camera | infotok encode - -o - | infotok decode - -o - | player
    """
    wanted = encode_options.asked_for(budget, part, tokens)
    pace = _frame_rate(fps)
    if is_piped(source) and dry_run:
        raise UsageError("--dry-run would use up the pipe", way_out="save it to a file first")
    read_from = _input(source, output, wanted)
    target = itk_output(source, output, overwrite=overwrite)
    write_to = output_of(target, as_json and not dry_run)
    if read_from is source:
        _look_at(source, pace, skip_bad)
        check_distinct(source, target)
    if write_to is target:
        check_itk_name(target)
        check_file_output(target, overwrite)

    from infotok_cli.cli import render
    from infotok_cli.cli.progress import progress

    with reader_may_leave(), progress() as bar:
        bar.describe("loading the model")
        from infotok_cli.codec.encode import dry_run as dry_run_of
        from infotok_cli.codec.encode import encode_file

        engine = run.engine()
        if dry_run:
            bar.describe("trying")
            expected = dry_run_of(source, engine, wanted, fps=pace, skip_bad=skip_bad)
            print_out(render.forecast_text(expected, str(target), as_json=as_json))
            return
        bar.describe("encoding")
        report = encode_file(
            read_from, write_to, engine, wanted,
            fps=pace, skip_bad=skip_bad, overwrite=overwrite, progress=bar,
        )  # fmt: skip
    _show(report, as_json)


def _show(report: EncodeReport, as_json: bool) -> None:
    from infotok_cli.cli import render

    for warning in report.warnings:
        warn(warning)
    if as_json:
        print_out(render.json_of_run(report))
    else:
        tell(render.encode_line(report))
        detail(render.encode_details(report))


def _input(source: Path, output: str | None, wanted: EncodeOptions) -> Path | BinaryIO:
    """What is read: a file or a folder of pictures that is there, or a pipe that can give what is `wanted`.

    Raises InputError and UsageError.
    """
    if is_piped(source) and output is None:
        raise UsageError("a pipe has no name to make one from", way_out="name the output with -o")
    given = input_of(source)
    if given is not source:
        wanted.check_single_pass("a pipe", "save it to a file")
        return given
    if os.path.isdir(source) and source != Path():
        from infotok_cli.video.picture_folder import numbered_pictures

        numbered_pictures(source)
    else:
        check_input(source)
    return source


def _look_at(source: Path, fps: Fraction | None, skip_bad: bool) -> None:
    """Raise what the first frame of the video says against it, before a model is loaded."""
    from infotok_cli.codec.endpoints import FileInput

    with FileInput(source, fps, skip_bad).glimpse():
        pass


def _frame_rate(text: str | None) -> Fraction | None:
    """The frame rate that `text` names, above 0 and up to 1000; UsageError for anything else."""
    if text is None:
        return None
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= HIGHEST_FPS or max(rate.as_integer_ratio()) > LARGEST_PART:
        raise UsageError(
            f"--fps {text!r} is not a frame rate", way_out=f"give a number up to {HIGHEST_FPS}, or 30000/1001"
        )
    return rate
