"""`infotok encode`: a video becomes an .itk file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infotok_cli.cli import encode_options, options
from infotok_cli.cli.output import print_err, print_out
from infotok_cli.cli.output_names import beside, check_itk_name
from infotok_cli.cli.pipes import PIPE, input_of, output_of, reader_may_leave
from infotok_cli.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(encode)


def encode(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            help="A video or an image, anything FFmpeg reads; - is standard input.",
            show_default=False,
        ),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT.itk",
            help="The file to write; - is standard output.",
            show_default="INPUT with the suffix .itk",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    rate: encode_options.Rate = None,
    calibrated_rate: encode_options.CalibratedRate = None,
    max_tokens: encode_options.MaxTokens = None,
    tokens_per_second: encode_options.TokensPerSecond = None,
    bitrate: encode_options.Bitrate = None,
    target_size: encode_options.TargetSize = None,
    target_psnr: encode_options.TargetPsnr = None,
    start: options.Start = None,
    end: options.End = None,
    short_side: encode_options.ShortSide = None,
    no_audio: encode_options.NoAudio = False,
    router: encode_options.Router = "fast",
    allocation: encode_options.Allocation = None,
    segment_frames: encode_options.SegmentFrames = None,
    refine: encode_options.Refine = 0,
    model: options.Model = None,
    device: options.Device = "auto",
    kernels: options.Kernels = None,
    precision: options.Precision = "auto",
    deterministic: options.Deterministic = False,
    compile_blocks: options.Compile = False,
) -> None:
    """Encode a video into tokens, as an .itk file.

    Simple parts get few tokens, busy ones many; the total is set by --rate or another budget. Sound is
    copied untouched.

    \b
    Examples:
      infotok encode clip.mp4                              # writes clip.itk
      infotok encode clip.mp4 -o small.itk --rate 0.25
      infotok encode clip.mp4 --target-size 100k
      infotok encode film.mkv --start 60 --end 90 --short-side 256
      camera | infotok encode - -o - | infotok decode - -o - | player
    """
    from infotok_cli.codec.options import check_source

    wanted = encode_options.asked_for(
        rate=rate,
        calibrated_rate=calibrated_rate,
        max_tokens=max_tokens,
        tokens_per_second=tokens_per_second,
        bitrate=bitrate,
        target_size=target_size,
        target_psnr=target_psnr,
        start=start,
        end=end,
        short_side=short_side,
        no_audio=no_audio,
        router=router,
        allocation=allocation,
        segment_frames=segment_frames,
        refine=refine,
    )
    if source == PIPE and output is None:
        raise UsageError("standard input has no name to make one from", way_out="name the output with -o")
    read_from = input_of(source)
    check_source(read_from is source, wanted)
    if read_from is source:
        options.check_input(source)
    target = output or beside(source, ".itk", overwrite=overwrite)
    write_to = output_of(target, as_json)
    if read_from is source:
        options.check_distinct(source, target)
    if write_to is target:
        check_itk_name(target)
        options.check_file_output(target, overwrite)

    from infotok_cli.cli import render
    from infotok_cli.cli.progress import progress

    with reader_may_leave(), progress() as bar:
        bar.describe("loading the model")
        from infotok_cli.codec.encode import encode_file
        from infotok_cli.codec.load_engine import load_engine

        engine = load_engine(
            model, device, kernels, precision=precision, deterministic=deterministic, compiled=compile_blocks
        )
        bar.describe("encoding")
        report = encode_file(read_from, write_to, engine, wanted, overwrite=overwrite, progress=bar)
    for warning in report.warnings:
        print_err(f"infotok: warning: {render.spelled(warning)}")
    if as_json:
        print_out(render.json_of_run(report))
    else:
        print_err(render.encode_line(report))
