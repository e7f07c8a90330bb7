"""Progress and output of `infotok train`."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from infotok_cli.errors import UsageError
from infotok_cli.model.weights import holds_token_net
from infotok_cli.train.distributed import leads, world_size
from infotok_cli.train.frame_cache import SHARD_PATTERN
from infotok_cli.train.loop import train
from infotok_cli.train.options import TrainOptions
from infotok_cli.train.reporting import Report

_console = Console(stderr=True)


def cache_of(clips: Path, output: Path) -> Path:
    """`clips` itself when it is a frame cache, else one made of its videos beside `output`."""
    if clips.is_dir() and any(clips.glob(SHARD_PATTERN)):
        return clips
    folder = output.with_suffix(".cache")
    if folder.exists():
        _console.print(f"using the frame cache in {folder}: delete it if the videos have changed")
    else:
        cut(clips, folder)
    return folder


def cut(clips: Path, folder: Path) -> None:
    """Make a frame cache with a progress bar; UsageError where several processes would make it at once."""
    if world_size() > 1:
        raise UsageError(
            f"is not a frame cache, and {world_size()} processes cannot make one together",
            way_out="run 'infotok train --make-cache' first, without torchrun",
            where=str(clips),
        )
    # Training from a cache must run where no video library is.
    from infotok_cli.evaluate.clips import find_clips
    from infotok_cli.train.make_cache import make_cache

    found = find_clips([clips])
    with _bar() as progress:
        task = progress.add_task("cutting tiles", total=len(found))
        tiles = make_cache(found, folder, lambda *_: progress.advance(task))
    _console.print(f"{tiles} tiles of {len(found)} videos in {folder}")


def run(options: TrainOptions) -> None:
    """Train with a progress bar; a line is left behind for every held-out measurement.

    Of several processes, only the first shows anything.
    """
    if not leads():
        train(options, lambda report: None)
        return
    if options.checkpoint.exists():
        _console.print(f"resuming the run of {options.checkpoint}: delete it to start over", highlight=False)
    with _bar() as progress:
        task = progress.add_task("starting", total=1.0)

        def show(report: Report) -> None:
            now = report.progress
            text = f"step {now.step}, PSNR {report.psnr_full:.2f} full, {report.psnr_masked:.2f} masked"
            progress.update(task, completed=report.share_done, description=text)
            if report.unsaved is not None:
                warning = f"infotok: warning: {report.unsaved}; training continues"
                progress.console.print(warning, highlight=False, markup=False, soft_wrap=True)
            if report.held is not None:
                held = ", ".join(f"{rate:g}: {value:.2f} dB" for rate, value in report.held.items())
                progress.console.print(
                    f"step {now.step}, {now.clips} clips, {now.seconds / 60:.1f} min, {now.skipped} skipped, "
                    f"{report.waiting_share:.1%} waiting for data; held clips at rate {held}",
                    highlight=False,
                )

        digest = train(options, show)
    _console.print(
        f"wrote {options.output} ({options.output.stat().st_size / 1e6:.1f} MB, sha256 {digest[:12]})"
    )
    if options.coder_steps and not holds_token_net(options.output):
        _console.print(
            "It has no token coder yet, so tokens will take 16 bits each: give the same command again to "
            f"resume, or fit one with 'infotok train CACHE --init {options.output} --steps 0 -o "
            "OTHER.safetensors'.",
            highlight=False,
        )


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=_console,
    )
