"""`infotok report`: one page to look at .itk files and their numbers, offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infotok_cli.cli import options
from infotok_cli.cli.file_checks import check_distinct, check_file_output, check_input
from infotok_cli.cli.model_options import ModelOptions
from infotok_cli.cli.output import print_out, printable, tell, warn_of_each
from infotok_cli.errors import UsageError
from infotok_cli.wording import counted, size_in_words

if TYPE_CHECKING:
    from infotok_cli.view.report import Made

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
    source: options.Original = None,
    results: Annotated[
        Path | None,
        typer.Option(
            "--results",
            metavar="EVAL.json",
            help="Results of 'infotok eval': adds rate-distortion curves.",
            show_default="none",
            rich_help_panel=options.INPUT_PANEL,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        options.output_option("OUT.html", "The page.", default="FILE.report.html"),
    ] = None,
    skip_bad: options.ShowBad = False,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    run: ModelOptions,
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
        check_input(path)
        check_distinct(path, target)
    check_file_output(target, overwrite)

    from infotok_cli.cli.progress import progress
    from infotok_cli.container.reader import ItkReader
    from infotok_cli.itk.cut_segment import show_cut_segment
    from infotok_cli.view.report import Report, make_report

    wish = Report(files=files, source=source, results=results, skip_bad=skip_bad)
    with ItkReader(files[0], recover=skip_bad) as reader:
        engine = run.engine()
        if skip_bad:
            show_cut_segment(reader, engine.loaded.token_net)
        frames = reader.total_frames * len(files)
    with progress() as bar:
        bar.started(frames)
        bar.describe("decoding")
        made = make_report(wish, target, engine, overwrite=overwrite, written=bar.done)
    warn_of_each(made.notes)
    if as_json:
        import json

        print_out(json.dumps(_values(made, files, target)))
    else:
        _tell(made, files, target)


def _values(made: Made, files: list[Path], target: Path) -> dict[str, Any]:
    published = made.published
    return {
        "input": [str(path) for path in files],
        "output": str(target),
        "frames": made.frames,
        "duration_seconds": made.seconds,
        "psnr_db": list(made.psnr_db),
        "size_bytes": published.size_bytes,
        "page_bytes": published.page_bytes,
        "videos_folder": None if published.folder is None else str(published.folder),
    }


def _tell(made: Made, files: list[Path], target: Path) -> None:
    published = made.published
    beside = "" if published.folder is None else f", with its videos in {printable(str(published.folder))}"
    tell(
        f"{printable(str(target))}: {size_in_words(published.size_bytes)}, "
        f"{counted(made.frames, 'frame')} of {counted(len(files), 'file')}{beside}: open it in a browser"
    )
