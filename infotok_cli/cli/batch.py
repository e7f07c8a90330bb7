"""`infotok batch`: many videos become .itk files, in shards that resume."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

from infotok_cli.cli import encode_options, exit_codes, options
from infotok_cli.cli.batch_options import FileOptions, PlaceOptions
from infotok_cli.cli.batch_progress import batch_progress
from infotok_cli.cli.model_options import CodecOptions
from infotok_cli.cli.output import option_name, print_err, print_out, printable
from infotok_cli.errors import UsageError

if TYPE_CHECKING:
    from infotok_cli.batch.encode import BatchReport
    from infotok_cli.batch.loading import ModelLoader
    from infotok_cli.batch.plan import Work
    from infotok_cli.batch.run_file import RunSettings
    from infotok_cli.batch.shards import Shard


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
    files: FileOptions,
    places: PlaceOptions,
    budget: encode_options.BudgetOptions,
    part: encode_options.SourceOptions,
    tokens: encode_options.TokenOptions,
    model: CodecOptions,
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
    wanted = encode_options.asked_for(budget, part, tokens)
    from infotok_cli.batch.results import check_pyarrow
    from infotok_cli.batch.run_file import RunSettings, model_sha256

    seats, shard = places.seats(model.device), files.part()
    output = _folder(output_name)
    check_pyarrow()
    loader = _loader(model)
    run = RunSettings(
        shards=shard.count, model_sha256=model_sha256(loader.weights), options=wanted,
        precision=model.precision, deterministic=model.deterministic, psnr=files.psnr,
    )  # fmt: skip
    work = _work(inputs, output, shard, run, every_shard=files.of_every_shard)
    if files.missing or files.dry_run:
        _list(work, output, only_missing=files.missing)
        return
    limits: _Limits = {
        "shard": shard, "limit": files.limit, "max_failures": files.max_failures, "spelled": option_name,
    }  # fmt: skip
    with batch_progress() as bar:
        if places.engine == "ray":
            from infotok_cli.batch.ray_engine import RayOptions, encode_batch_on_ray

            cluster = RayOptions(
                loader=loader, device=model.device, address=places.address, workers=places.workers
            )
            report = encode_batch_on_ray(work, output, run, cluster, bar, **limits)
        elif len(seats) > 1 or places.gpus is not None:
            from infotok_cli.batch.workers import encode_batch_in_workers

            report = encode_batch_in_workers(work, output, run, loader, bar, seats=seats, **limits)
        else:
            from infotok_cli.batch.encode import encode_batch

            report = encode_batch(work, output, run, lambda: loader(seats[0]), bar, **limits)
    _show(report, output, as_json)
    if report.failed:
        raise typer.Exit(exit_codes.SOME_FAILED)


class _Limits(TypedDict):
    """What every way to encode a batch takes."""

    shard: Shard
    limit: int | None
    max_failures: int | None
    spelled: Callable[[str], str]


def _loader(model: CodecOptions) -> ModelLoader:
    from infotok_cli.batch.loading import ModelLoader
    from infotok_cli.itk.find_weights import find_model

    return ModelLoader(
        weights=find_model(model.model), kernels=model.kernels, precision=model.precision,
        deterministic=model.deterministic, compiled=model.compile_blocks,
    )  # fmt: skip


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


def _list(work: Work, folder: Path, *, only_missing: bool) -> None:
    """What a run would do, a line for each file; or only the rows without an output, on one line."""
    if only_missing:
        from infotok_cli.batch.shards import array_expression

        if work.missing_rows:
            print_out(array_expression(work.missing_rows))
        return
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
