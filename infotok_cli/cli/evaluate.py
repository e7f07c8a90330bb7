"""`infotok eval`: quality against real bits over a set of clips, ours beside ordinary codecs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infotok_cli.cli import options
from infotok_cli.cli.output import print_err
from infotok_cli.errors import UsageError
from infotok_cli.routers import ALLOCATIONS, ROUTERS

COMPARE_PANEL = "What is measured"
RUN_PANEL = "How it runs"


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("eval")(evaluate)


def evaluate(
    clips: Annotated[list[Path], typer.Argument(help="Video files, or folders of them.")],
    *,
    rates: Annotated[
        str, typer.Option(help="Token rates, separated by commas.", rich_help_panel=COMPARE_PANEL)
    ] = "1,0.75,0.5,0.25",
    routers: Annotated[
        str, typer.Option(help=f"Routers: {', '.join(ROUTERS)}.", rich_help_panel=COMPARE_PANEL)
    ] = "fast",
    allocations: Annotated[
        str, typer.Option(help=f"Allocations: {', '.join(ALLOCATIONS)}.", rich_help_panel=COMPARE_PANEL)
    ] = "block",
    calibrated: Annotated[
        bool,
        typer.Option(
            "--calibrated",
            help="Rates are those of footage at large, as with 'infotok encode --calibrated-rate'.",
            rich_help_panel=COMPARE_PANEL,
        ),
    ] = False,
    anchors: Annotated[
        str,
        typer.Option(
            help="Ordinary codecs to compare with: x264, x265, svt-av1 (all: these three), "
            "x264-psnr, x265-psnr.",
            show_default="none",
            rich_help_panel=COMPARE_PANEL,
        ),
    ] = "",
    crfs: Annotated[
        str,
        typer.Option(
            help="CRFs of every anchor, separated by commas.",
            show_default="a grid of nine for each",
            rich_help_panel=COMPARE_PANEL,
        ),
    ] = "",
    vmaf: Annotated[
        bool, typer.Option("--vmaf", help="Measure VMAF too (extra: vmaf).", rich_help_panel=COMPARE_PANEL)
    ] = False,
    short_side: Annotated[
        int | None,
        typer.Option(
            help="Resize the shorter side to this many pixels.", rich_help_panel=options.SELECTION_PANEL
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(help="Only so much of each clip.", rich_help_panel=options.SELECTION_PANEL),
    ] = None,
    limit_frames: Annotated[
        int | None,
        typer.Option(
            help="Only so many frames of each clip.", min=1, rich_help_panel=options.SELECTION_PANEL
        ),
    ] = None,
    segment_frames: Annotated[
        int | None,
        typer.Option(help="Frames per segment, a multiple of 4.", rich_help_panel=COMPARE_PANEL),
    ] = None,
    refine: Annotated[
        int,
        typer.Option(
            help="Improve tokens in so many steps, as 'infotok encode --refine' does.",
            rich_help_panel=COMPARE_PANEL,
        ),
    ] = 0,
    model: options.Model = None,
    device: options.Device = "auto",
    kernels: options.Kernels = None,
    jobs: Annotated[
        int,
        typer.Option(
            help="Processes that measure side by side, each with its share of the cores.",
            min=1,
            max=256,
            rich_help_panel=RUN_PANEL,
        ),
    ] = 1,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with an interrupted run: what the .jsonl file beside the JSON file holds is not "
            "measured again.",
            rich_help_panel=RUN_PANEL,
        ),
    ] = False,
    json_path: Annotated[
        Path | None,
        typer.Option(
            "--json",
            help="Write every figure to this JSON file, and each measurement, once made, to a .jsonl file "
            "beside it.",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None,
    csv_path: Annotated[
        Path | None,
        typer.Option("--csv", help="Write a row per clip and setting.", rich_help_panel=options.OUTPUT_PANEL),
    ] = None,
    plot_path: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            help="Draw rate-distortion curves into this .png, .svg or .pdf (extra: plots).",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None,
    earlier: Annotated[
        list[Path] | None,
        typer.Option(
            "--with",
            help="JSON file of an earlier run, of another model say, to compare with; may be repeated.",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None,
    yes: options.Overwrite = False,
) -> None:
    """Measure PSNR, SSIM and MS-SSIM against real bits, through files on disk, beside other codecs.

    Figures are means over the frames of a clip, then over clips; bits are those of the whole file.
    At rate 1 all routers and allocations keep every position, so it is measured once. docs/EVAL.md
    says what each number is.

    \b
    Examples:
      infotok eval clips/ --anchors all --jobs 2 --json runs/eval.json --plot runs/eval.png
      infotok eval clips/ --rates 0.5 --seconds 2
    """
    from infotok_cli.cli.evaluate_options import Targets, parse_anchors, parse_settings
    from infotok_cli.cli.evaluate_view import Watch, show
    from infotok_cli.codec.load_engine import load_engine
    from infotok_cli.config import EncodeOptions
    from infotok_cli.evaluate.clips import find_clips
    from infotok_cli.evaluate.journal import Journal
    from infotok_cli.evaluate.report import merged
    from infotok_cli.evaluate.results import Wanted, read_results
    from infotok_cli.evaluate.sweep import Sweep, check_settings, run_sweep
    from infotok_cli.evaluate.vmaf import find_ffmpeg

    if seconds is not None and limit_frames is not None:
        raise UsageError("--seconds and --limit-frames both say where to stop", way_out="give one of them")
    if seconds is not None and not seconds > 0:
        raise UsageError(f"--seconds {seconds:g} leaves nothing", way_out="give more than 0")
    points = parse_settings(rates, routers, allocations, calibrated=calibrated)
    settings: list[Wanted] = [*points, *parse_anchors(anchors, crfs)]
    targets = Targets(json_path, csv_path, plot_path)
    targets.check(overwrite=yes, resume=resume)
    shared = EncodeOptions(
        short_side=short_side, segment_frames=segment_frames, end_seconds=seconds, refine=refine
    )
    found = find_clips(clips)
    before = [row for path in earlier or [] for row in read_results(path)]
    sweep = Sweep(
        clips=found,
        settings=settings,
        options=shared,
        limit_frames=limit_frames,
        vmaf_program=find_ffmpeg() if vmaf else None,
    )
    engine = load_engine(model, device, kernels)
    check_settings(sweep, engine)  # before a journal is begun, or begun anew
    journal = Journal.open(targets.journal, resume=resume) if targets.journal else None
    with Watch(len(found) * len(settings)) as watch:
        measured = run_sweep(sweep, engine, journal=journal, jobs=jobs, progress=watch.advance)
    rows = merged(measured, before)
    strangers = {row.clip_key for row in before} - {row.clip_key for row in measured}
    if strangers:
        print_err(
            f"{len(strangers)} clips of --with are left out: this run has none with their content and frames"
        )
    targets.write(rows, sweep, engine)
    show(rows)
