"""`infotok report`: one page to look at .itk files and their numbers, offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infotok_cli.cli import options
from infotok_cli.cli.output import print_out, printable, tell, warn
from infotok_cli.errors import UsageError

PAGES = (".html", ".htm")


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(report)


def report(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE.itk...", help="One or more .itk files of one clip, at most 9.", show_default=False
        ),
    ],
    *,
    source: Annotated[
        Path | None,
        typer.Option(
            "--source",
            metavar="VIDEO",
            help="The video that was encoded: adds a divider, the difference, and PSNR.",
            show_default="none",
            rich_help_panel=options.SELECTION_PANEL,
        ),
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(
            "--results",
            metavar="EVAL.json",
            help="Results of 'infotok eval': adds rate-distortion curves.",
            show_default="none",
            rich_help_panel=options.SELECTION_PANEL,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT.html",
            help="The page.",
            show_default="FILE.report.html",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None,
    skip_bad: options.ShowBad = False,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    model: options.Model = None,
    device: options.Device = "auto",
    kernels: options.Kernels = None,
    precision: options.Precision = "auto",
    quiet: options.Quiet = False,
) -> None:
    """Make one page that plays source and decoded side by side and shows where tokens and bytes went.

    The page holds all it needs and opens from disk in a browser. Videos that would make it larger than
    about 20 MB lie beside it in OUT_files/.

    \b
    Examples:
      infotok report clip.itk
      infotok report clip.itk --source clip.mp4 -o clip.html
      infotok report low.itk high.itk --source clip.mp4 --results eval.json
    """
    target = files[0].with_suffix(".report.html") if output is None else output
    if target.suffix.lower() not in PAGES:
        raise UsageError(
            f"cannot write a {target.suffix or 'nameless'} file", way_out="choose .html", where=str(target)
        )
    for path in [*files, *([source] if source else []), *([results] if results else [])]:
        options.check_input(path)
        options.check_distinct(path, target)
    options.check_file_output(target, overwrite)

    from infotok_cli.cli import render
    from infotok_cli.cli.progress import progress
    from infotok_cli.codec.load_engine import load_engine
    from infotok_cli.container.reader import ItkReader
    from infotok_cli.view.report import Report, make_report
    from infotok_cli.view.scene import size_in_words

    wish = Report(files=files, source=source, results=results, skip_bad=skip_bad)
    with ItkReader(files[0], recover=skip_bad) as reader:
        frames = reader.total_frames * len(files)
    engine = load_engine(model, device, kernels, precision=precision)
    with progress() as bar:
        bar.started(frames)
        bar.describe("decoding")
        made = make_report(wish, target, engine, overwrite=overwrite, written=bar.done)
    for line in render.shortened(made.notes):
        warn(line)
    published = made.published
    if as_json:
        import json

        print_out(
            json.dumps(
                {
                    "input": [str(path) for path in files],
                    "output": str(target),
                    "frames": made.frames,
                    "duration_seconds": made.seconds,
                    "psnr_db": list(made.psnr_db),
                    "size_bytes": published.size_bytes,
                    "page_bytes": published.page_bytes,
                    "videos_folder": None if published.folder is None else str(published.folder),
                }
            )
        )
        return
    beside = "" if published.folder is None else f", with its videos in {printable(str(published.folder))}"
    tell(
        f"{printable(str(target))}: {size_in_words(published.size_bytes)}, {made.frames} frames of "
        f"{len(files)} file{'s' if len(files) != 1 else ''}{beside}: open it in a browser"
    )
