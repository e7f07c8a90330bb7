"""`infotok encode`: a video becomes an .itk file."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Annotated, cast

import typer

from infotok_cli.cli import options, quantities
from infotok_cli.cli.output import detail, print_out, tell, warn
from infotok_cli.cli.output_names import check_itk_name, itk_output
from infotok_cli.cli.pipes import input_of, is_piped, output_of, reader_may_leave
from infotok_cli.errors import UsageError
from infotok_cli.routers import ROUTERS, AllocationName

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
        typer.Option(
            "--output",
            "-o",
            metavar="OUT.itk|FOLDER/",
            help="The file to write, or a folder for it; - is standard output.",
            show_default="INPUT with the suffix .itk",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Write nothing: print what would be done, and the tokens, bytes and memory it would take.",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = False,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate",
            parser=quantities.share("--rate"),
            metavar="R",
            help="Token rate, 0.125 to 1: the share of positions (4 frames of 8x8 pixels) that get a token.",
            show_default="0.5",
            rich_help_panel=options.BUDGET_PANEL,
        ),
    ] = None,
    calibrated_rate: Annotated[
        float | None,
        typer.Option(
            "--calibrated-rate",
            parser=quantities.share("--calibrated-rate"),
            metavar="R",
            help="Average rate over typical footage, usually 0.25 or 0.5: hard segments get more, easy ones "
            "less, each on its own.",
            rich_help_panel=options.BUDGET_PANEL,
        ),
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            "--max-tokens",
            parser=quantities.whole("--max-tokens"),
            metavar="N",
            help="At most N tokens in the file.",
            rich_help_panel=options.BUDGET_PANEL,
        ),
    ] = None,
    tokens_per_second: Annotated[
        float | None,
        typer.Option(
            "--tokens-per-second",
            parser=quantities.number("--tokens-per-second"),
            metavar="N",
            help="N tokens per second of video, on average.",
            rich_help_panel=options.BUDGET_PANEL,
        ),
    ] = None,
    bitrate: Annotated[
        float | None,
        typer.Option(
            "--bitrate",
            parser=quantities.bits("--bitrate"),
            metavar="BITS",
            help="File size in bits per second of video, such as 100k.",
            rich_help_panel=options.BUDGET_PANEL,
        ),
    ] = None,
    target_size: Annotated[
        float | None,
        typer.Option(
            "--target-size",
            parser=quantities.size("--target-size"),
            metavar="BYTES",
            help="A file of at most BYTES, such as 500k, 1.5M or 64KiB.",
            rich_help_panel=options.BUDGET_PANEL,
        ),
    ] = None,
    target_psnr: Annotated[
        float | None,
        typer.Option(
            "--target-psnr",
            parser=quantities.number("--target-psnr", units=("db",)),
            metavar="DB",
            help="The fewest tokens expected to give this mean PSNR (24 to 28, usually).",
            rich_help_panel=options.BUDGET_PANEL,
        ),
    ] = None,
    start: options.Start = None,
    end: options.End = None,
    duration: options.Duration = None,
    frames: options.Frames = None,
    short_side: Annotated[
        int | None,
        typer.Option(
            "--short-side",
            parser=quantities.whole("--short-side", units=("p", "px", "pixels")),
            metavar="PIXELS",
            help="Resize to this many pixels on the shorter side.",
            show_default="the size of INPUT",
            rich_help_panel=options.SELECTION_PANEL,
        ),
    ] = None,
    fps: Annotated[
        str | None,
        typer.Option(
            "--fps",
            metavar="N",
            help="Pictures per second of a folder, such as 25 or 30000/1001.",
            show_default="30",
            rich_help_panel=options.SELECTION_PANEL,
        ),
    ] = None,
    skip_bad: Annotated[
        bool,
        typer.Option(
            "--skip-bad",
            help="Encode a damaged or truncated video up to the damage.",
            rich_help_panel=options.SELECTION_PANEL,
        ),
    ] = False,
    no_audio: Annotated[
        bool,
        typer.Option("--no-audio", help="Leave the sound out.", rich_help_panel=options.SELECTION_PANEL),
    ] = False,
    router: Annotated[
        str,
        typer.Option(
            "--router",
            metavar="|".join(ROUTERS),
            help="What decides: "
            + "; ".join(f"{name} {router.help}" for name, router in ROUTERS.items())
            + ".",
            rich_help_panel=options.TOKENS_PANEL,
        ),
    ] = "fast",
    allocation: Annotated[
        str | None,
        typer.Option(
            "--allocation",
            metavar="block|position",
            help="What gets tokens: blocks of 2x2x2 positions, or single positions (for comparison).",
            show_default="block; position with --router elastic",
            rich_help_panel=options.TOKENS_PANEL,
        ),
    ] = None,
    segment_frames: Annotated[
        int | None,
        typer.Option(
            "--segment-frames",
            parser=quantities.whole("--segment-frames"),
            metavar="N",
            help="Frames per segment, each coded on its own: a multiple of 4, at most 64.",
            show_default="the model's",
            rich_help_panel=options.TOKENS_PANEL,
        ),
    ] = None,
    refine: Annotated[
        int,
        typer.Option(
            "--refine",
            parser=quantities.whole("--refine"),
            metavar="N",
            help="Improve the tokens against what the decoder will show, in N steps: better pictures, "
            "slightly larger files, much slower encoding. 8 steps give most of the gain.",
            rich_help_panel=options.TOKENS_PANEL,
        ),
    ] = 0,
    model: options.Model = None,
    device: options.Device = "auto",
    kernels: options.Kernels = None,
    precision: options.Precision = "auto",
    deterministic: options.Deterministic = False,
    compile_blocks: options.Compile = False,
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
    from infotok_cli.codec.options import DEFAULT_RATE, EncodeOptions, check_source

    budget = options.one_budget(
        rate,
        {
            "calibrated-rate": calibrated_rate,
            "max-tokens": max_tokens,
            "tokens-per-second": tokens_per_second,
            "bitrate": bitrate,
            "target-size": target_size,
            "target-psnr": target_psnr,
        },
    )
    wanted = EncodeOptions(
        rate=DEFAULT_RATE if rate is None else rate,
        budget=budget,
        router=router,  # checked there, as all the others
        allocation=cast("AllocationName | None", allocation),
        short_side=short_side,
        segment_frames=segment_frames,
        refine=refine,
        start_seconds=start,
        end_seconds=options.end_of(start, end, duration),
        frames=frames,
        audio=not no_audio,
    )
    if is_piped(source) and output is None:
        raise UsageError("a pipe has no name to make one from", way_out="name the output with -o")
    if is_piped(source) and dry_run:
        raise UsageError("--dry-run would use up the pipe", way_out="save it to a file first")
    pace = _frame_rate(fps)
    read_from = input_of(source)
    check_source(read_from is source, wanted)
    if read_from is source:
        _check_source(source)
    target = itk_output(source, output, overwrite=overwrite)
    write_to = output_of(target, as_json and not dry_run)
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
        from infotok_cli.codec.forecast import forecast_file
        from infotok_cli.codec.load_engine import load_engine

        engine = load_engine(
            model, device, kernels, precision=precision, deterministic=deterministic, compiled=compile_blocks
        )
        if read_from is source:
            expected = forecast_file(source, engine, wanted, fps=pace)
            if dry_run:
                print_out(render.forecast_text(expected, str(target), as_json=as_json))
                return
            bar.note(render.large_input(expected))
        bar.describe("encoding")
        report = encode_file(
            read_from,
            write_to,
            engine,
            wanted,
            fps=pace,
            skip_bad=skip_bad,
            overwrite=overwrite,
            progress=bar,
        )
    for warning in report.warnings:
        warn(render.spelled(warning))
    if as_json:
        print_out(render.json_of_run(report))
    else:
        tell(render.encode_line(report))
        detail(render.encode_details(report))


def _check_source(source: Path) -> None:
    """Raise InputError unless there is a file, or a folder of pictures."""
    if os.path.isdir(source) and source != Path():
        from infotok_cli.video.picture_folder import numbered_pictures

        numbered_pictures(source)
    else:
        options.check_input(source)


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
