"""`infotok view`: source, decoded and where the tokens went, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infotok_cli.cli import options
from infotok_cli.cli.file_checks import check_distinct, check_file_output, check_input
from infotok_cli.cli.model_options import ModelOptions
from infotok_cli.cli.output import print_out, printable, tell, warn
from infotok_cli.cli.time_options import At, End, Frame, Start
from infotok_cli.errors import UsageError

if TYPE_CHECKING:
    from infotok_cli.view.scene import Scene

PANES_PANEL = "Panes"


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
    frame: Frame = None,
    at: At = None,
    start: Start = None,
    end: End = None,
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
    check_input(source_file)
    if source is not None:
        check_input(source)
        check_distinct(source, target)
    check_distinct(source_file, target)

    from infotok_cli.view.output import is_still

    still = is_still(target)
    if still and (start is not None or end is not None):
        raise UsageError(
            "--start and --end are for moving views", way_out="give --frame or --at, or -o OUT.mp4"
        )
    if not still and (frame is not None or at is not None):
        raise UsageError(
            "--frame and --at are for one picture", way_out="give --start and --end, or -o OUT.png"
        )
    check_file_output(target, overwrite)

    import tempfile

    from infotok_cli.cli import render
    from infotok_cli.container.reader import ItkReader
    from infotok_cli.view.scene import Scene, Wish

    wish = Wish(
        source=source,
        against=against,
        frame=frame,
        at_seconds=at,
        start_seconds=start,
        end_seconds=end,
        skip_bad=skip_bad,
    )
    with (
        ItkReader(source_file, recover=skip_bad) as reader,
        tempfile.TemporaryDirectory(prefix="infotok-view-") as scratch,
    ):
        engine = run.engine()
        scene = Scene(source_file, reader, engine, wish, Path(scratch))
        write = _write_still if still else _write_moving
        number, count = write(scene, target, overwrite)
    for line in render.shortened(scene.notes):
        warn(line)
    if as_json:
        import json

        print_out(
            json.dumps(
                {
                    "input": str(source_file),
                    "output": str(target),
                    "first_frame": number,
                    "frames": count,
                    "size_bytes": target.stat().st_size,
                }
            )
        )
    else:
        what = f"frame {number}" if still else f"{count} frames"
        tell(f"{printable(str(target))}: {what} of {printable(scene.headline)}")


def _write_still(scene: Scene, target: Path, overwrite: bool) -> tuple[int, int]:
    """Write one picture; returns the number of its frame, and how many frames it shows."""
    from infotok_cli.view.output import write_still

    number, picture = scene.still()
    write_still(target, picture, overwrite=overwrite)
    return number, 1


def _write_moving(scene: Scene, target: Path, overwrite: bool) -> tuple[int, int]:
    """Write a video or an animation; returns the number of its first frame, and how many it shows."""
    from infotok_cli.cli.progress import progress
    from infotok_cli.view.output import write_moving

    wanted = scene.wanted()
    with progress() as bar:
        bar.started(len(wanted))
        bar.describe("drawing")
        count = write_moving(target, scene.moving(), scene.rate, overwrite=overwrite, written=bar.done)
    return wanted.start, count
