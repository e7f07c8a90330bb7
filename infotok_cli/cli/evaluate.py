"""`infotok eval`: quality against real bits over a set of clips, ours beside conventional codecs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infotok_cli.cli import encode_options, options, quantities
from infotok_cli.cli.evaluate_options import MeasureOptions, TargetOptions, to_text
from infotok_cli.cli.model_options import Device, Kernels, Model
from infotok_cli.cli.output import print_out, warn
from infotok_cli.cli.time_options import End, Frames
from infotok_cli.errors import UsageError
from infotok_cli.wording import counted

RUN_PANEL = "How it runs"


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("eval")(evaluate)


def evaluate(
    clips: Annotated[list[Path], typer.Argument(help="Video files, or folders of them.")],
    *,
    measured: MeasureOptions,
    short_side: encode_options.ShortSide = None,
    end: End = None,
    frames: Frames = None,
    segment_frames: encode_options.SegmentFrames = None,
    refine: encode_options.Refine = 0,
    model: Model = None,
    device: Device = "auto",
    kernels: Kernels = None,
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
    targets: TargetOptions,
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
      infotok eval clips/ --rates 0.5 --end 2
      infotok eval clips/ --metrics psnr,dists
    """
    from infotok_cli.cli.evaluate_view import Watch, show
    from infotok_cli.codec.load_engine import load_engine
    from infotok_cli.codec.options import EncodeOptions
    from infotok_cli.evaluate.journal import Journal
    from infotok_cli.evaluate.report import as_json, merged
    from infotok_cli.evaluate.results import read_results
    from infotok_cli.evaluate.sweep import check_settings, run_sweep

    if end is not None and not end > 0:
        raise UsageError(f"`end` {end:g} leaves nothing to measure", way_out="give more than 0")
    shared = EncodeOptions(
        short_side=short_side, segment_frames=segment_frames, end_seconds=end, frames=frames,
        refine=refine, audio=False,
    )  # fmt: skip
    sweep = measured.sweep(clips, shared)
    targets.check(overwrite=yes, resume=resume)
    before = [row for path in earlier or [] for row in read_results(path)]
    engine = load_engine(model, device, kernels)
    sweep = measured.also_keyed(sweep, engine)
    check_settings(sweep, engine)  # before a journal is begun, or begun anew
    journal = Journal.open(targets.journal, resume=resume) if targets.journal else None
    with Watch(len(sweep.clips) * len(sweep.settings)) as watch:
        ours = run_sweep(sweep, engine, journal=journal, jobs=jobs, progress=watch.advance)
    rows = merged(ours, before)
    strangers = {row.clip_key for row in before} - {row.clip_key for row in ours}
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
