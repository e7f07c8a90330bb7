"""`infotok decode`: an .itk file becomes a video or a folder of pictures."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infotok_cli.cli import options, quantities
from infotok_cli.cli.file_checks import check_distinct, check_file_output, check_folder_output, check_input
from infotok_cli.cli.model_options import CodecOptions
from infotok_cli.cli.output import detail, print_out, tell, warn, warn_of_each
from infotok_cli.cli.output_names import beside
from infotok_cli.cli.pipes import input_of, is_piped, output_of, reader_may_leave
from infotok_cli.cli.time_options import TimeOptions
from infotok_cli.errors import UsageError

if TYPE_CHECKING:
    from infotok_cli.codec.decode import DecodeReport


MAX_CRF = 63
"""Encoders have limits of their own within these."""


@dataclass(frozen=True, kw_only=True)
class CodingOptions:
    """How decoded frames are coded; what goes with the output is checked where it is made."""

    codec: Annotated[
        str | None,
        typer.Option(
            "--codec",
            metavar="NAME",
            help="Video codec: h264, hevc, av1, vp9, ffv1, or the name of an FFmpeg encoder.",
            show_default="h264, vp9 in .webm",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None
    crf: Annotated[
        int | None,
        typer.Option(
            "--crf",
            metavar="N",
            help="Quality of that codec, 0 to 63: lower means a better picture and a larger file; 18 to 28 "
            "is usual.",
            show_default="16 to 25, nearly transparent",
            parser=quantities.whole("--crf", least=0, most=MAX_CRF),
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None
    pixel_format: Annotated[
        str | None,
        typer.Option(
            "--pixel-format",
            metavar="yuv420p|yuv444p",
            help="Colours of the video: yuv420p plays everywhere and pads odd sizes to even.",
            show_default="yuv420p, yuv444p for odd sizes in H.264 and HEVC",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None
    stream_format: Annotated[
        str | None,
        typer.Option(
            "--stream-format",
            metavar="mkv|y4m",
            help="Format of standard output: Matroska, or uncompressed frames without sound.",
            show_default="mkv",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None


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
    coding: CodingOptions,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    part: TimeOptions,
    skip_bad: Annotated[
        bool,
        options.skip_bad_option(
            "Decode a damaged file too: lost frames repeat the last good one and are listed on stderr."
        ),
    ] = False,
    no_audio: options.NoAudio = False,
    run: CodecOptions,
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
    until = part.until
    read_from = input_of(source)
    if read_from is source:
        _check_input(source, skip_bad)
    target = _target(source, output, overwrite)
    write_to = output_of(target, as_json)
    if read_from is source:
        check_distinct(source, target)
    if write_to is target:
        _check_output(target, overwrite)

    from infotok_cli.cli.progress import progress
    from infotok_cli.codec.decode_outputs import frame_output

    made = frame_output(write_to, overwrite=overwrite, **asdict(coding))
    with reader_may_leave(), progress() as bar:
        bar.describe("loading the model")
        from infotok_cli.codec.decode import decode_input
        from infotok_cli.codec.decode_inputs import Selection
        from infotok_cli.codec.endpoints import input_of as endpoint_of

        engine = run.engine()
        bar.describe("decoding")
        wanted = Selection(
            start_seconds=part.start, end_seconds=until, frames=part.frames, audio=not no_audio,
            skip_bad=skip_bad,
        )  # fmt: skip
        report = decode_input(endpoint_of(read_from), made, engine, wanted, bar)
    _show(report, as_json)


def _check_input(source: Path, skip_bad: bool) -> None:
    """Raise what is wrong with the file, before a model is loaded."""
    from infotok_cli.container.reader import ItkReader

    check_input(source)
    ItkReader(source, recover=skip_bad).close()


def _show(report: DecodeReport, as_json: bool) -> None:
    from infotok_cli.cli import render

    warn_of_each(report.lost)
    for warning in report.warnings:
        warn(warning)
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
    from infotok_cli.video.frame_writer import is_png_folder

    if is_png_folder(target):
        check_folder_output(target, overwrite)
    else:
        check_file_output(target, overwrite)
