"""`infotok compare`: several .itk files of one clip in one table and one picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infotok_cli.cli import options
from infotok_cli.cli.file_checks import check_distinct, check_file_output, check_input
from infotok_cli.cli.model_options import ModelOptions
from infotok_cli.cli.output import print_out, printable, tell, warn
from infotok_cli.cli.time_options import At, Frame
from infotok_cli.errors import UsageError

if TYPE_CHECKING:
    from infotok_cli.view.sides import Side, Sides

HEADINGS = ("file", "bytes", "tokens", "rate", "bits per pixel", "PSNR dB", "SSIM")


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(compare)


def compare(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE.itk...", help="2 to 6 .itk files of one clip.", show_default=False),
    ],
    *,
    source: Annotated[
        Path | None,
        options.source_option("The video that was encoded: adds PSNR and SSIM, means over all frames."),
    ] = None,
    output: Annotated[
        Path | None,
        options.output_option(
            "OUT.png", "Also draw all files at one frame, with their heat maps.", default="none"
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    frame: Frame = None,
    at: At = None,
    run: ModelOptions,
    quiet: options.Quiet = False,
) -> None:
    """Compare .itk files of one clip: bytes, tokens, PSNR and SSIM of each in one table.

    The files must agree in size, frames, times and model. Without --source and -o no model is needed.

    \b
    Examples:
      infotok compare low.itk high.itk
      infotok compare low.itk high.itk --source clip.mp4
      infotok compare low.itk mid.itk high.itk --source clip.mp4 -o beside.png --at 2.5
    """
    _check_names(files, source, output, overwrite)
    if output is None and (frame is not None or at is not None):
        raise UsageError("--frame and --at are for the picture", way_out="name it with -o OUT.png")

    from infotok_cli.cli.progress import progress
    from infotok_cli.view.sides import SidesWish, frames_to_decode, put_side_by_side

    wish = SidesWish(files=files, source=source, pictures=output is not None, frame=frame, at_seconds=at)
    frames = frames_to_decode(wish)
    with progress() as bar:
        engine = run.engine() if wish.needs_model else None
        if frames:
            bar.started(frames)
            bar.describe("measuring")
        compared = put_side_by_side(wish, engine, measured=bar.done)
    for note in compared.notes:
        warn(printable(note))
    if output is not None:
        from infotok_cli.view.output import write_still
        from infotok_cli.view.sides_drawing import draw_sides

        title = "" if source is None else source.name
        write_still(output, draw_sides(compared, title), overwrite=overwrite)
    if as_json:
        _print_json(compared, source, output)
    else:
        print_out("\n".join(table_text(compared.sides)))
        if output is not None:
            tell(f"{printable(str(output))}: frame {compared.frame} of {len(files)} files")


def _check_names(files: list[Path], source: Path | None, output: Path | None, overwrite: bool) -> None:
    """Raise what can be known of the names before anything is read."""
    for path in [*files, *([source] if source else [])]:
        check_input(path)
        if output is not None:
            check_distinct(path, output)
    if output is not None:
        if output.suffix.lower() != ".png":
            raise UsageError(
                f"cannot write a {output.suffix or 'nameless'} file", way_out="choose .png", where=str(output)
            )
        check_file_output(output, overwrite)


def table_text(sides: tuple[Side, ...]) -> list[str]:
    """Lines of the table; columns that were not measured are left out."""
    from infotok_cli.cli.tables import aligned

    measured = sides[0].quality is not None
    rows = [HEADINGS if measured else HEADINGS[:-2], *map(_cells, sides)]
    names = [row[0] for row in rows]
    width = max(map(len, names))
    numbers = aligned([row[1:] for row in rows])
    return [f"{name:<{width}}  {line}" for name, line in zip(names, numbers, strict=True)]


def _cells(side: Side) -> list[str]:
    report, quality = side.report, side.quality
    measured = [] if quality is None else [f"{quality.psnr_db:.2f}", f"{quality.ssim:.4f}"]
    return [
        printable(str(side.path)),
        f"{report.size_bytes:,}",
        f"{report.tokens:,}",
        f"{report.token_rate:.3f}",
        f"{report.bpp:.4f}",
        *measured,
    ]


def _print_json(compared: Sides, source: Path | None, output: Path | None) -> None:
    import json

    first = compared.sides[0].report
    print_out(
        json.dumps(
            {
                "source": None if source is None else str(source),
                "output": None if output is None else str(output),
                "frame": None if output is None else compared.frame,
                "frames": first.frames,
                "duration_seconds": first.duration_seconds,
                "files": [_values(side) for side in compared.sides],
                "warnings": list(compared.notes),
            }
        )
    )


def _values(side: Side) -> dict[str, Any]:
    report, quality = side.report, side.quality
    return {
        "input": str(side.path),
        "size_bytes": report.size_bytes,
        "tokens": report.tokens,
        "positions": report.positions,
        "token_rate": report.token_rate,
        "bpp": report.bpp,
        "psnr_db": None if quality is None else quality.psnr_db,
        "ssim": None if quality is None else quality.ssim,
        "ms_ssim": None if quality is None else quality.ms_ssim,
    }
