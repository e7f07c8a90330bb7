"""`infotok decode`: an .itk file becomes a video or a folder of pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from infotok_cli.cli import options
from infotok_cli.cli.output import emit, tell
from infotok_cli.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(decode)


def decode(
    source: options.ItkFile,
    *,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT.mp4|FOLDER/",
            help="The file to write (.mp4, .m4v, .mov, .mkv, .webm), or a folder for PNG frames.",
            show_default="FILE with the suffix .mp4, in its folder",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None,
    codec: Annotated[
        str | None,
        typer.Option(
            "--codec",
            metavar="NAME",
            help="h264, hevc, av1, vp9, ffv1 or an encoder of FFmpeg.",
            show_default="h264, vp9 in .webm",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None,
    crf: Annotated[
        int | None,
        typer.Option(
            "--crf",
            metavar="N",
            help="Quality of that codec, lower is better.",
            show_default="nearly transparent",
            min=0,
            max=63,
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    start: options.Start = None,
    end: options.End = None,
    skip_bad: Annotated[
        bool,
        typer.Option(
            "--skip-bad",
            help="Decode a damaged file too: the last good frame stands for those that are lost, and stderr "
            "says what was.",
            rich_help_panel=options.SELECTION_PANEL,
        ),
    ] = False,
    model: options.Model = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    deterministic: options.Deterministic = False,
) -> None:
    """Decode an .itk file into a video, or into PNG frames.

    Size, frame count and frame rate are those of the encoded video.
    With --start and --end only the segments in between are read.

    \b
    Examples:
      infotok decode clip.itk                              writes clip.mp4
      infotok decode clip.itk -o clip.webm --crf 30
      infotok decode clip.itk -o frames/ --start 2 --end 3
      infotok decode broken.itk --skip-bad
    """
    options.check_input(source)
    target = _target(source, output)
    options.check_distinct(source, target)
    _check_output(target, overwrite)

    from infotok_cli.cli import render
    from infotok_cli.cli.progress import progress
    from infotok_cli.container.reader import ItkReader

    with ItkReader(source, recover=skip_bad) as reader:
        total = reader.total_frames
        rate = reader.header.frame_rate
    first, last = (start or 0.0) * rate, total if end is None else end * rate
    with progress(max(1, round(min(total, last) - first))) as bar:
        bar.describe("loading the model")
        from infotok_cli.codec.decode import decode_file
        from infotok_cli.codec.models import load_engine

        engine = load_engine(model, device, precision=precision, deterministic=deterministic)
        bar.describe("decoding")
        report = decode_file(
            source,
            target,
            engine,
            start_seconds=start,
            end_seconds=end,
            codec=codec,
            crf=crf,
            overwrite=overwrite,
            skip_bad=skip_bad,
            progress=bar.update,
        )
    for line in render.shortened(report.lost):
        tell(f"infotok: warning: {line}")
    if as_json:
        emit(render.json_of_run(report))
    else:
        tell(render.decode_line(report))


def _target(source: Path, output: str | None) -> Path:
    if output is None:
        return source.with_suffix(".mp4")
    target = Path(output)
    if output.endswith(("/", os.sep)) and target.suffix and not target.is_dir():
        raise UsageError(
            f"{output}: a new folder of pictures cannot be named with a suffix: leave out {target.suffix}"
        )
    return target


def _check_output(target: Path, overwrite: bool) -> None:
    from infotok_cli.video.writer import is_png_folder

    if is_png_folder(target):
        options.check_folder_output(target, overwrite)
    else:
        options.check_file_output(target, overwrite)
