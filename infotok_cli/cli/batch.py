"""`infotok batch`: many videos become .itk files, in shards that resume."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infotok_cli.cli import encode_options, exit_codes, options, quantities
from infotok_cli.cli.batch_progress import batch_progress
from infotok_cli.cli.output import option_name, print_err, print_out, printable
from infotok_cli.errors import UsageError

if TYPE_CHECKING:
    from infotok_cli.batch.encode import BatchReport
    from infotok_cli.batch.plan import Work
    from infotok_cli.batch.run_file import RunSettings
    from infotok_cli.batch.shards import Shard

BATCH_PANEL = "Which files"


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(batch)


def batch(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUTS...",
            help="Folders, globs, videos, lists (.txt), tables (.csv, .parquet) with a column named path, "
            "or URLs.",
            show_default=False,
        ),
    ],
    *,
    output_name: Annotated[
        str,  # a Path would lose a slash of a URL
        options.output_option(
            "FOLDER", "The folder for the .itk files, laid out like their inputs; run again to resume."
        ),
    ],
    as_json: options.Json = False,
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard",
            metavar="I/N",
            help="Do only part I of N, counted from 0.",
            show_default="RANK and WORLD_SIZE, else a Slurm array's, else all",
            rich_help_panel=BATCH_PANEL,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", metavar="N", min=0, help="Encode at most N files.", rich_help_panel=BATCH_PANEL
        ),
    ] = None,
    max_failures: Annotated[
        int | None,
        typer.Option(
            "--max-failures",
            metavar="N",
            min=0,
            help="Stop when more than N files have failed.",
            rich_help_panel=BATCH_PANEL,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="N",
            parser=quantities.whole("--workers", least=1),
            help="Processes, each with its own model and its share of the threads; with --gpus so many for "
            "each device, with Ray so many actors.",
            show_default="1; with Ray as many as there is room for",
            rich_help_panel=BATCH_PANEL,
        ),
    ] = None,
    gpus: Annotated[
        str | None,
        typer.Option(
            "--gpus",
            metavar="N|LIST",
            help="One model on each of N CUDA devices, or on those in a list: 0,2 for two, 3, for one.",
            show_default="one device",
            rich_help_panel=BATCH_PANEL,
        ),
    ] = None,
    psnr: Annotated[
        bool,
        typer.Option(
            "--psnr",
            help="Also decode each file and record its PSNR, in the column psnr_db of the stats.",
            rich_help_panel=BATCH_PANEL,
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="List what would be done, and do nothing else.", rich_help_panel=BATCH_PANEL
        ),
    ] = False,
    missing: Annotated[
        bool,
        typer.Option(
            "--missing",
            help="Print the numbers of rows that have no output yet, such as 0-3,7, and do nothing else.",
            rich_help_panel=BATCH_PANEL,
        ),
    ] = False,
    engine: Annotated[
        str,
        typer.Option(
            "--engine",
            metavar="local|ray",
            parser=quantities.one_of("--engine", ("local", "ray")),
            help="Encode on this machine, or on a Ray cluster.",
            rich_help_panel=BATCH_PANEL,
        ),
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            metavar="HOST:PORT",
            help="The Ray cluster to join, or auto.",
            show_default="RAY_ADDRESS, else one is started here",
            rich_help_panel=BATCH_PANEL,
        ),
    ] = None,
    rate: encode_options.Rate = None,
    calibrated_rate: encode_options.CalibratedRate = None,
    max_tokens: encode_options.MaxTokens = None,
    tokens_per_second: encode_options.TokensPerSecond = None,
    bitrate: encode_options.Bitrate = None,
    target_size: encode_options.TargetSize = None,
    target_psnr: encode_options.TargetPsnr = None,
    start: options.Start = None,
    end: options.End = None,
    frames: options.Frames = None,
    short_side: encode_options.ShortSide = None,
    no_audio: options.NoAudio = False,
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
    """Encode many videos, on one machine or split over several.

    Outputs that are complete and match the model and the settings are skipped, so running the same command
    again resumes it. A file that fails is noted in failures.jsonl, and the others go on.

    \b
    Examples:
      infotok batch clips -o tokens
      infotok batch videos.csv -o tokens --rate 0.25 --workers 2
      infotok batch videos.csv -o tokens --rate 0.25 --shard 3/8
      infotok batch videos.csv -o tokens --rate 0.25 --missing
    """
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
        frames=frames,
        short_side=short_side,
        no_audio=no_audio,
        router=router,
        allocation=allocation,
        segment_frames=segment_frames,
        refine=refine,
    )
    from infotok_cli.batch.devices import seats
    from infotok_cli.batch.loading import ModelLoader
    from infotok_cli.batch.results import check_pyarrow
    from infotok_cli.batch.run_file import RunSettings, model_sha256
    from infotok_cli.batch.shards import Shard, array_expression, choose_shard
    from infotok_cli.itk.find_weights import find_model

    if address is not None and engine != "ray":
        raise UsageError("`address` goes with `engine` ray", way_out="give both, or leave it out")
    if engine == "ray" and gpus is not None:
        raise UsageError(
            "`gpus` does not go with `engine` ray", way_out="leave it out: its actors find theirs"
        )
    every_shard = missing and shard is None
    part = Shard() if every_shard else choose_shard(shard, os.environ)
    places = seats(device, workers or 1, gpus, os.environ)
    output = _folder(output_name)
    check_pyarrow()
    weights = find_model(model)
    run = RunSettings(
        shards=part.count,
        model_sha256=model_sha256(weights),
        options=wanted,
        precision=precision,
        deterministic=deterministic,
        psnr=psnr,
    )
    work = _work(inputs, output, part, run, every_shard=every_shard)
    if missing:
        if work.missing_rows:
            print_out(array_expression(work.missing_rows))
        return
    if dry_run:
        _list(work, output)
        return

    load = ModelLoader(
        weights=weights,
        kernels=kernels,
        precision=precision,
        deterministic=deterministic,
        compiled=compile_blocks,
    )
    with batch_progress() as bar:
        if engine == "ray":
            from infotok_cli.batch.ray_engine import RayOptions, encode_batch_on_ray

            report = encode_batch_on_ray(
                work, output, run,
                RayOptions(
                    weights=weights, device=device, kernels=kernels, compiled=compile_blocks, address=address,
                    workers=workers,
                ),
                bar, shard=part, limit=limit, max_failures=max_failures, spelled=option_name,
            )  # fmt: skip
        elif len(places) > 1 or gpus is not None:
            from infotok_cli.batch.workers import encode_batch_in_workers

            report = encode_batch_in_workers(
                work, output, run, load, bar,
                seats=places, shard=part, limit=limit, max_failures=max_failures, spelled=option_name,
            )  # fmt: skip
        else:
            from infotok_cli.batch.encode import encode_batch

            report = encode_batch(
                work, output, run, lambda: load(places[0]), bar,
                shard=part, limit=limit, max_failures=max_failures, spelled=option_name,
            )  # fmt: skip
    _show(report, output, as_json)
    if report.failed:
        raise typer.Exit(exit_codes.SOME_FAILED)


def _work(inputs: list[str], output: Path, part: Shard, run: RunSettings, *, every_shard: bool) -> Work:
    """What `part` has to do; with `every_shard` it may be all of a run of any number of shards."""
    from infotok_cli.batch.inputs import find_items
    from infotok_cli.batch.items import Item
    from infotok_cli.batch.plan import find_work
    from infotok_cli.batch.run_file import check_run

    found = find_items(inputs, output)
    targets = (item.target for item in found if isinstance(item, Item))
    check_run(output, run, targets, any_count=every_shard)
    return find_work(found, output, part, run)


def _folder(name: str) -> Path:
    """The output folder, which may have to be made; UsageError for what cannot be one."""
    from infotok_cli.batch.remote import is_url

    if is_url(name):
        raise UsageError("is a URL, and outputs are local files", way_out="name a folder with -o", where=name)
    if os.path.lexists(name) and not os.path.isdir(name):
        raise UsageError("is not a folder", way_out="name a folder with -o", where=name)
    return Path(name)


def _list(work: Work, folder: Path) -> None:
    """What a run would do, a line for each file."""
    for row in work.done:
        print_out(printable(f"done    {row.source} -> {folder / (row.output or '')}"))
    for item in work.todo:
        print_out(printable(f"encode  {item.source} -> {folder / item.target}"))
    for refused in work.refused:
        print_out(printable(f"fail    {refused.error.text(option_name)}"))


def _show(report: BatchReport, folder: Path, as_json: bool) -> None:
    if as_json:
        import json
        from dataclasses import asdict

        facts = {name: value for name, value in asdict(report).items() if name != "rows"}
        facts["duration_seconds"] = facts.pop("video_seconds")
        print_out(json.dumps({**facts, "output": str(folder)}))
        return
    speed = report.video_seconds / report.seconds if report.seconds else 0.0
    parts = [
        f"{report.encoded} encoded",
        f"{report.skipped} there already",
        f"{report.failed} failed",
        *([f"{report.left} not tried"] if report.left else []),
    ]
    print_err(
        f"{folder}: {', '.join(parts)}; {report.video_seconds / 3600:.3f} hours of video, "
        f"{report.tokens:,} tokens, {report.seconds:.1f} s ({speed:.2f}x real time)"
    )
    if report.stopped:
        print_err("infotok: warning: stopped, as more files failed than --max-failures allows")
