"""`infotok decode`: an .itk file becomes a video or a folder of pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from infotok_cli.cli import options
from infotok_cli.cli.output import detail, print_out, tell, warn
from infotok_cli.cli.output_names import beside
from infotok_cli.cli.pipes import input_of, is_piped, output_of, reader_may_leave
from infotok_cli.errors import UsageError

if TYPE_CHECKING:
    from infotok_cli.codec.decode import DecodeReport
    from infotok_cli.codec.decode_outputs import StreamFormat


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(decode)


def decode(
    source: options.ItkFile,
    *,
    output: Annotated[
        str | None,
        options.output_option(
            "OUT.mp4|FOLDER/",
            "A file (.mp4, .m4v, .mov, .mkv, .webm, .avi, .gif, .y4m), a folder for PNG frames, or - "
            "for standard output.",
            default="FILE with the suffix .decoded.mp4",
        ),
    ] = None,
    codec: Annotated[
        str | None,
        typer.Option(
            "--codec",
            metavar="NAME",
            help="Video codec: h264, hevc, av1, vp9, ffv1, or the name of an FFmpeg encoder.",
            show_default="h264, vp9 in .webm",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None,
    crf: Annotated[
        int | None,
        typer.Option(
            "--crf",
            metavar="N",
            help="Quality of that codec, 0 to 63: lower is better and larger; 18 to 28 is usual.",
            show_default="16 to 25, nearly transparent",
            parser=options.crf,
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None,
    pixel_format: Annotated[
        str | None,
        typer.Option(
            "--pixel-format",
            metavar="yuv420p|yuv444p",
            help="Colours of the video: yuv420p plays everywhere and pads odd sizes to even.",
            show_default="yuv420p, yuv444p for odd sizes in H.264 and HEVC",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None,
    stream_format: Annotated[
        str | None,
        typer.Option(
            "--stream-format",
            metavar="mkv|y4m",
            help="Format of standard output: Matroska, or uncompressed frames without sound.",
            show_default="mkv",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    start: options.Start = None,
    end: options.End = None,
    duration: options.Duration = None,
    frames: options.Frames = None,
    skip_bad: Annotated[
        bool,
        typer.Option(
            "--skip-bad",
            help="Decode a damaged file too: lost frames repeat the last good one and are listed on stderr.",
            rich_help_panel=options.SELECTION_PANEL,
        ),
    ] = False,
    no_audio: options.NoAudio = False,
    model: options.Model = None,
    device: options.Device = "auto",
    kernels: options.Kernels = None,
    precision: options.Precision = "auto",
    deterministic: options.Deterministic = False,
    compile_blocks: options.Compile = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Decode an .itk file into a video, or into PNG frames.

    Size, frame count, frame rate and sound are those of the encoded video. --start and --end read only
    the segments they need.

    \b
    Examples:
      infotok decode clip.itk
      infotok decode clip.itk -o clip.webm --crf 30
      infotok decode clip.itk -o frames/ --start 2 --end 3
      infotok decode broken.itk --skip-bad
      infotok decode clip.itk -o - --stream-format y4m | x264 - --demuxer y4m -o small.mkv
    """
    until = options.end_of(start, end, duration)
    read_from = input_of(source)
    if read_from is source:
        _check_input(source, skip_bad)
    target = _target(source, output, overwrite)
    write_to = output_of(target, as_json)
    if read_from is source:
        options.check_distinct(source, target)
    if write_to is target:
        _check_output(target, overwrite)

    from infotok_cli.cli.progress import progress
    from infotok_cli.codec.decode_outputs import frame_output

    kind = cast("StreamFormat | None", stream_format)  # checked there, as the others
    frame_output(
        write_to,
        codec=codec,
        crf=crf,
        overwrite=overwrite,
        stream_format=kind,
        pixel_format=pixel_format,
    )
    with reader_may_leave(), progress() as bar:
        bar.describe("loading the model")
        from infotok_cli.codec.decode import decode_file
        from infotok_cli.codec.load_engine import load_engine

        engine = load_engine(
            model, device, kernels, precision=precision, deterministic=deterministic, compiled=compile_blocks
        )
        bar.describe("decoding")
        report = decode_file(
            read_from,
            write_to,
            engine,
            start_seconds=start,
            end_seconds=until,
            frames=frames,
            codec=codec,
            crf=crf,
            overwrite=overwrite,
            skip_bad=skip_bad,
            audio=not no_audio,
            stream_format=kind,
            pixel_format=pixel_format,
            progress=bar,
        )
    _show(report, as_json)


def _check_input(source: Path, skip_bad: bool) -> None:
    """Raise what is wrong with the file, before a model is loaded."""
    from infotok_cli.container.reader import ItkReader

    options.check_input(source)
    ItkReader(source, recover=skip_bad).close()


def _show(report: DecodeReport, as_json: bool) -> None:
    from infotok_cli.cli import render

    for line in render.shortened(report.lost):
        warn(line)
    for warning in report.warnings:
        warn(render.spelled(warning))
    if as_json:
        print_out(render.json_of_run(report))
    else:
        tell(render.decode_line(report))
        detail(render.decode_details(report))


def _target(source: Path, output: str | None, overwrite: bool) -> Path:
    if output is None:
        if is_piped(source):
            raise UsageError("a pipe has no name to make one from", way_out="name the output with -o")
        return beside(source, ".decoded.mp4", overwrite=overwrite)
    target = Path(output)
    if output.endswith(("/", os.sep)) and target.suffix and not target.is_dir():
        raise UsageError(
            "a new folder of pictures cannot be named with a suffix",
            way_out=f"leave out {target.suffix}",
            where=str(output),
        )
    return target


def _check_output(target: Path, overwrite: bool) -> None:
    from infotok_cli.video.writer import is_png_folder

    if is_png_folder(target):
        options.check_folder_output(target, overwrite)
    else:
        options.check_file_output(target, overwrite)
