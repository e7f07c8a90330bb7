"""`infotok view`: source, decoded and where the tokens went, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infotok_cli.cli import options
from infotok_cli.cli.file_checks import check_distinct, check_file_output, check_input
from infotok_cli.cli.model_options import ModelOptions
from infotok_cli.cli.output import print_out, printable, tell, warn_of_each
from infotok_cli.cli.time_options import At, End, Frame, Start
from infotok_cli.errors import UsageError

if TYPE_CHECKING:
    from infotok_cli.view.scene import Scene

PANES_PANEL = "Panes"


@dataclass(frozen=True, kw_only=True)
class PartOptions:
    """One frame, or the part that moves."""

    frame: Frame = None
    at: At = None
    start: Start = None
    end: End = None


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(view)


def view(
    source_file: options.ItkFile,
    *,
    source: options.Original = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="CODEC",
            help="Add a pane of an ordinary codec (x264, x265, svt-av1) at the same bytes; needs --source.",
            show_default="none",
            rich_help_panel=PANES_PANEL,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        options.output_option(
            "OUT",
            "One picture (.png), a video (.mp4, .webm, .mkv, .mov) or an animation (.gif, .webp).",
            default="FILE.view.png",
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    part: PartOptions,
    skip_bad: options.ShowBad = False,
    run: ModelOptions,
    quiet: options.Quiet = False,
) -> None:
    """Show where the tokens went: source, decoded and a heat map side by side, tokens over time below.

    One wide picture of the frame whose tokens are spread most unevenly, or a moving view with -o clip.mp4.

    \b
    Examples:
      infotok view clip.itk
      infotok view clip.itk --source clip.mp4 --at 2.5 -o still.png
      infotok view clip.itk --source clip.mp4 --against x264 -o beside.mp4
    """
    target = source_file.with_suffix(".view.png") if output is None else output
    still = _check(source_file, source, target, part, overwrite)

    import tempfile

    from infotok_cli.container.reader import ItkReader
    from infotok_cli.view.scene import Scene, Wish

    wish = Wish(
        source=source, against=against, frame=part.frame, at_seconds=part.at, start_seconds=part.start,
        end_seconds=part.end, skip_bad=skip_bad,
    )  # fmt: skip
    with (
        ItkReader(source_file, recover=skip_bad) as reader,
        tempfile.TemporaryDirectory(prefix="infotok-view-") as scratch,
    ):
        scene = Scene(source_file, reader, run.engine(), wish, Path(scratch))
        write = _write_still if still else _write_moving
        shown = write(scene, target, overwrite)
    warn_of_each(scene.notes)
    if as_json:
        _print_json(source_file, target, shown)
    else:
        what = f"frame {shown.start}" if still else f"{len(shown)} frames"
        tell(f"{printable(str(target))}: {what} of {printable(scene.headline)}")


def _check(source_file: Path, source: Path | None, target: Path, part: PartOptions, overwrite: bool) -> bool:
    """Whether one picture is asked for; raises what the names and options say against it."""
    from infotok_cli.view.output import is_still

    for path in (source_file, source):
        if path is not None:
            check_input(path)
            check_distinct(path, target)
    still = is_still(target)
    if still and (part.start is not None or part.end is not None):
        raise UsageError(
            "--start and --end are for moving views", way_out="give --frame or --at, or -o OUT.mp4"
        )
    if not still and (part.frame is not None or part.at is not None):
        raise UsageError(
            "--frame and --at are for one picture", way_out="give --start and --end, or -o OUT.png"
        )
    check_file_output(target, overwrite)
    return still


def _write_still(scene: Scene, target: Path, overwrite: bool) -> range:
    """Write one picture; the frame that it shows."""
    from infotok_cli.view.output import write_still

    number, picture = scene.still()
    write_still(target, picture, overwrite=overwrite)
    return range(number, number + 1)


def _write_moving(scene: Scene, target: Path, overwrite: bool) -> range:
    """Write a video or an animation; the frames that it shows."""
    from infotok_cli.cli.progress import progress
    from infotok_cli.view.output import write_moving

    wanted = scene.wanted()
    with progress() as bar:
        bar.started(len(wanted))
        bar.describe("drawing")
        count = write_moving(target, scene.moving(), scene.rate, overwrite=overwrite, written=bar.done)
    return range(wanted.start, wanted.start + count)


def _print_json(source_file: Path, target: Path, shown: range) -> None:
    import json

    facts = {
        "input": str(source_file),
        "output": str(target),
        "first_frame": shown.start,
        "frames": len(shown),
        "size_bytes": target.stat().st_size,
    }
    print_out(json.dumps(facts))
