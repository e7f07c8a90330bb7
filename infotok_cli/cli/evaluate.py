"""`infotok eval`: quality against real bits over a set of clips, ours beside conventional codecs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from infotok_cli.cli import options, quantities
from infotok_cli.cli.output import print_out, warn
from infotok_cli.errors import UsageError
from infotok_cli.evaluate.metric_table import DEFAULT_METRICS, METRIC_NAMES, in_order, shares
from infotok_cli.routers import ALLOCATIONS, ROUTERS
from infotok_cli.wording import counted

COMPARE_PANEL = "What is measured"
RUN_PANEL = "How it runs"


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("eval")(evaluate)


def evaluate(
    clips: Annotated[list[Path], typer.Argument(help="Video files, or folders of them.")],
    *,
    rates: Annotated[
        str,
        typer.Option(
            metavar="R,R,...", help="Token rates, separated by commas.", rich_help_panel=COMPARE_PANEL
        ),
    ] = "1,0.75,0.5,0.25",
    routers: Annotated[
        str,
        typer.Option(
            metavar="NAME,...", help=f"Routers: {', '.join(ROUTERS)}.", rich_help_panel=COMPARE_PANEL
        ),
    ] = "fast",
    allocations: Annotated[
        str,
        typer.Option(
            metavar="NAME,...", help=f"Allocations: {', '.join(ALLOCATIONS)}.", rich_help_panel=COMPARE_PANEL
        ),
    ] = "block",
    calibrated: Annotated[
        bool,
        typer.Option(
            "--calibrated",
            help="Take rates as averages over typical footage, as 'infotok encode --calibrated-rate' does.",
            rich_help_panel=COMPARE_PANEL,
        ),
    ] = False,
    anchors: Annotated[
        str,
        typer.Option(
            metavar="NAME,...",
            help="Conventional codecs to compare with: x264, x265, svt-av1 (all: these three), "
            "x264-psnr, x265-psnr.",
            show_default="none",
            rich_help_panel=COMPARE_PANEL,
        ),
    ] = "",
    crfs: Annotated[
        str,
        typer.Option(
            metavar="N,N,...",
            help="CRFs of every anchor, separated by commas.",
            show_default="a grid of nine for each",
            rich_help_panel=COMPARE_PANEL,
        ),
    ] = "",
    anchors_keyint: Annotated[
        str,
        typer.Option(
            "--anchors-keyint",
            metavar="N",
            help="Also measure every anchor with a keyframe at least every N frames; 'segment' means once a "
            "segment, as ours.",
            show_default="each encoder's own only",
            rich_help_panel=COMPARE_PANEL,
        ),
    ] = "",
    metrics: Annotated[
        str,
        typer.Option(
            metavar="NAME,...",
            help=f"Metrics: {', '.join(METRIC_NAMES)} ({shares(METRIC_NAMES.values(), 'name')}). All but the "
            "first three need the extra 'perceptual'. PSNR is always measured.",
            rich_help_panel=COMPARE_PANEL,
        ),
    ] = ",".join(DEFAULT_METRICS),
    short_side: Annotated[
        int | None,
        typer.Option(
            parser=quantities.whole("--short-side", units=("p", "px", "pixels")),
            metavar="PIXELS",
            help="Resize the shorter side to this many pixels.",
            rich_help_panel=options.SELECTION_PANEL,
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            parser=quantities.seconds("--seconds"),
            metavar="TIME",
            help="Use only the start of each clip, up to this time.",
            rich_help_panel=options.SELECTION_PANEL,
        ),
    ] = None,
    limit_frames: Annotated[
        int | None,
        typer.Option(
            parser=quantities.whole("--limit-frames", least=1),
            metavar="N",
            help="Use only the first N frames of each clip.",
            rich_help_panel=options.SELECTION_PANEL,
        ),
    ] = None,
    segment_frames: Annotated[
        int | None,
        typer.Option(
            parser=quantities.whole("--segment-frames"),
            metavar="N",
            help="Frames per segment, a multiple of 4.",
            rich_help_panel=COMPARE_PANEL,
        ),
    ] = None,
    refine: Annotated[
        int,
        typer.Option(
            parser=quantities.whole("--refine"),
            metavar="N",
            help="Improve tokens in N steps, as 'infotok encode --refine' does.",
            rich_help_panel=COMPARE_PANEL,
        ),
    ] = 0,
    model: options.Model = None,
    device: options.Device = "auto",
    kernels: options.Kernels = None,
    jobs: Annotated[
        int,
        typer.Option(
            parser=quantities.whole("--jobs", least=1, most=256),
            metavar="N",
            help="Parallel measuring processes, each with its share of the cores.",
            rich_help_panel=RUN_PANEL,
        ),
    ] = 1,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Resume an interrupted run: measurements in the .jsonl file beside OUTPUT are not repeated.",
            rich_help_panel=RUN_PANEL,
        ),
    ] = False,
    output: Annotated[
        Path | None,
        options.output_option(
            "OUT.json",
            "Write all results to this .json file, and each measurement as it is made to a .jsonl file "
            "beside it.",
        ),
    ] = None,
    csv_path: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            metavar="OUT.csv",
            help="Write a CSV row per clip and setting.",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None,
    compare_csv: Annotated[
        Path | None,
        typer.Option(
            "--compare-csv",
            metavar="OUT.csv",
            help="Write a CSV row per pair of curves and metric: differences and their confidence intervals.",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None,
    plot_path: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            metavar="OUT.png",
            help="Draw rate-distortion curves into this .png, .svg or .pdf (extra: plots).",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None,
    published: Annotated[
        bool,
        typer.Option(
            "--published",
            help="Also plot what others have published about their tokenizers, on other clips.",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = False,
    earlier: Annotated[
        list[Path] | None,
        typer.Option(
            "--with",
            metavar="EARLIER.json",
            help="Results of an earlier run to compare with, for example of another model; may be repeated.",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None,
    json: options.Json = False,
    yes: options.Overwrite = False,
) -> None:
    """Measure quality against the bits of real files, and compare with other codecs.

    Figures are means over the frames of a clip, then over clips; bits are those of the whole file.
    At rate 1 all routers and allocations keep every position, so it is measured once. docs/EVAL.md
    explains every number.

    \b
    Examples:
      infotok eval clips/ --anchors all --jobs 2 -o runs/eval.json --plot runs/eval.png
      infotok eval clips/ --anchors x264 --anchors-keyint segment
      infotok eval clips/ --rates 0.5 --seconds 2
      infotok eval clips/ --metrics psnr,dists
    """
    from infotok_cli.cli.evaluate_options import (
        Targets,
        also_with_keyframes,
        parse_anchors,
        parse_keyint,
        parse_settings,
        to_text,
    )
    from infotok_cli.cli.evaluate_view import Watch, show
    from infotok_cli.codec.load_engine import load_engine
    from infotok_cli.codec.options import EncodeOptions
    from infotok_cli.evaluate.clips import find_clips
    from infotok_cli.evaluate.journal import Journal
    from infotok_cli.evaluate.quality import check_metrics
    from infotok_cli.evaluate.report import as_json, merged
    from infotok_cli.evaluate.results import Wanted, read_results
    from infotok_cli.evaluate.sweep import Sweep, check_settings, run_sweep

    if seconds is not None and limit_frames is not None:
        raise UsageError("--seconds and --limit-frames both say where to stop", way_out="give one of them")
    if seconds is not None and not seconds > 0:
        raise UsageError(f"--seconds {seconds:g} leaves nothing to measure", way_out="give more than 0")
    points = parse_settings(rates, routers, allocations, calibrated=calibrated)
    settings: list[Wanted] = [*points, *parse_anchors(anchors, crfs)]
    keyint = parse_keyint(anchors_keyint, anchors) if anchors_keyint else None
    wanted = in_order(metrics.split(","))
    targets = Targets(output, csv_path, plot_path, compare_csv, published)
    targets.check(overwrite=yes, resume=resume)
    shared = EncodeOptions(
        short_side=short_side,
        segment_frames=segment_frames,
        end_seconds=seconds,
        refine=refine,
        audio=False,
    )
    found = find_clips(clips)
    before = [row for path in earlier or [] for row in read_results(path)]
    sweep = Sweep(
        clips=found,
        settings=settings,
        options=shared,
        limit_frames=limit_frames,
        metrics=wanted,
    )
    check_metrics(wanted)
    engine = load_engine(model, device, kernels)
    if anchors_keyint:
        sweep = replace(sweep, settings=also_with_keyframes(settings, keyint or sweep.segment_frames(engine)))
    check_settings(sweep, engine)  # before a journal is begun, or begun anew
    journal = Journal.open(targets.journal, resume=resume) if targets.journal else None
    with Watch(len(found) * len(sweep.settings)) as watch:
        measured = run_sweep(sweep, engine, journal=journal, jobs=jobs, progress=watch.advance)
    rows = merged(measured, before)
    strangers = {row.clip_key for row in before} - {row.clip_key for row in measured}
    if strangers:
        are = "is" if len(strangers) == 1 else "are"
        warn(
            f"{counted(len(strangers), 'clip')} of --with {are} left out: this run has none with the same "
            "content and frames"
        )
    document = as_json(rows, sweep, engine)
    targets.write(rows, document)
    if json:
        print_out(to_text(document, is_line=True))
    else:
        show(rows)
