"""`infotok demo`: a made-up clip, encoded, measured and decoded."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infotok_cli.cli import options, quantities
from infotok_cli.cli.file_checks import check_file_output
from infotok_cli.cli.model_options import Device, Kernels, Model
from infotok_cli.cli.output import print_err, print_out, printable
from infotok_cli.errors import OutputError

if TYPE_CHECKING:
    from infotok_cli.itk.report import StatsReport

SAMPLE, TOKENS, DECODED = "sample.mp4", "sample.itk", "decoded.mp4"


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(demo)


def demo(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where the files go; made if missing.")
    ] = Path("infotok-demo"),
    rate: Annotated[
        float,
        typer.Option(
            "--rate",
            metavar="R",
            parser=quantities.share("--rate"),
            help="Token rate, 0.125 to 1.",
            rich_help_panel=options.BUDGET_PANEL,
        ),
    ] = 0.5,
    model: Model = None,
    device: Device = "auto",
    kernels: Kernels = None,
) -> None:
    """Make a short clip, encode it, show where its tokens went, decode it.

    The clip goes from still to busy. Writes sample.mp4, sample.itk and decoded.mp4; replaces those of an
    earlier demo.

    \b
    Examples:
      infotok demo
      infotok demo trial/ --rate 0.25
    """
    from infotok_cli.codec.demo_clip import PHASE_FRAMES
    from infotok_cli.codec.options import EncodeOptions

    wanted = EncodeOptions(rate=rate, segment_frames=PHASE_FRAMES)
    sample, tokens, decoded = (folder / name for name in (SAMPLE, TOKENS, DECODED))
    _make_folder(folder)
    for target in (sample, tokens, decoded):
        check_file_output(target, overwrite=True)

    from infotok_cli.cli import render
    from infotok_cli.cli.stats_view import print_stats
    from infotok_cli.codec.decode import decode_file
    from infotok_cli.codec.encode import encode_file
    from infotok_cli.codec.load_engine import load_engine
    from infotok_cli.codec.video_psnr import pooled_psnr_db
    from infotok_cli.itk.report import report_stats

    engine = load_engine(model, device, kernels)
    write_sample(sample)
    print_err(render.encode_line(encode_file(sample, tokens, engine, wanted, overwrite=True)))
    report = report_stats(tokens)
    print_stats(report)
    print_out("\n" + "\n".join(phase_lines(report)) + "\n")
    print_err(render.decode_line(decode_file(tokens, decoded, engine, overwrite=True)))
    psnr = pooled_psnr_db(sample, decoded)
    print_out(f"PSNR of {printable(str(decoded))} against {printable(str(sample))}: {psnr:.2f} dB")
    print_out("\nTo see source and tokens side by side in a browser, type this and open the page it names:")
    print_out(f"    {report_command(tokens, sample, model)}")


def report_command(tokens: Path, sample: Path, model: str | None) -> str:
    """What to type for a page of these files, in the shell that the demo was started from."""
    chosen = [] if model is None else ["--model", model]
    words = [*program(), "report", str(tokens), "--source", str(sample), *chosen, "-y"]
    return shlex.join(words)


def program() -> list[str]:
    """How this program is called: by its name where the shell finds it, else by its path."""
    called = sys.argv[0]
    if os.path.basename(called) != "infotok":
        return [sys.executable, "-m", "infotok_cli"]
    found = shutil.which("infotok")
    if found is not None and os.path.realpath(found) == os.path.realpath(called):
        return ["infotok"]
    return [called]


def write_sample(path: Path) -> None:
    """Write the made-up clip as a video, replacing what is there."""
    from infotok_cli.atomic import atomic_path
    from infotok_cli.codec.demo_clip import FRAME_RATE, SIDE, sample_frames
    from infotok_cli.video.writer import VideoWriter

    with (
        atomic_path(path, overwrite=True) as temporary,
        VideoWriter(temporary, SIDE, SIDE, FRAME_RATE) as video,
    ):
        for frame in sample_frames():
            video.write(frame[None])


def phase_lines(report: StatsReport) -> Iterator[str]:
    """What each phase of the clip cost, a line each."""
    from infotok_cli.codec.demo_clip import FRAME_RATE, PHASE_FRAMES, PHASES

    seconds = float(PHASE_FRAMES / FRAME_RATE)
    for number, phase in enumerate(PHASES):
        start, end = number * seconds, (number + 1) * seconds
        inside = [row for row in report.segments if start <= (row.start_seconds + row.end_seconds) / 2 < end]
        tokens, positions = sum(row.tokens for row in inside), sum(row.positions for row in inside)
        rate = f"token rate {tokens / positions:.3f}" if positions else "part of another segment"
        yield f"{phase:<6} {start:.2f} s to {end:.2f} s: {tokens:>7,} tokens, {rate}"


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot be created: {error.strerror}", way_out="name another folder", where=str(folder)
        ) from error
