"""Speed and peak memory of whole `infotok encode` and `infotok decode` commands.

Run: python -m infotok_cli.bench.commands [--seconds 10 60] [--clip FILE]   (or `make bench`)

The input is the demo's clip, repeated to the length asked for and played forth and back, or FILE. Each
command is a process of its own, so start-up, model loading, reading and writing video all count.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infotok_cli.codec.demo_clip import FRAME_RATE, SIDE, sample_frames
from infotok_cli.video.reader import open_video
from infotok_cli.video.writer import VideoWriter

WIDTH = 456
"""Columns of the benchmark clip at 256 rows: 16:9, as most video is."""


@dataclass(frozen=True, kw_only=True)
class CommandTime:
    """One command over one clip."""

    command: str
    clip_seconds: float
    width: int
    height: int
    wall_seconds: float
    speed: float
    """Multiple of real time, the whole command."""
    peak_bytes: int
    """Largest resident memory of the process."""
    exit_code: int


def long_clip(path: Path, seconds: float) -> None:
    """Write the demo's pictures, widened to 456x256, as a clip of about `seconds`."""
    pictures = [_widened(picture) for picture in sample_frames()]
    order = [*range(len(pictures)), *range(len(pictures) - 2, 0, -1)]
    with VideoWriter(path, WIDTH, SIDE, FRAME_RATE, crf=23) as video:
        for number in range(max(1, round(seconds * FRAME_RATE))):
            video.write(pictures[order[number % len(order)]][None])


def _widened(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    spare = WIDTH - picture.shape[1]
    return np.concatenate([picture, picture[:, ::-1][:, :spare]], axis=1)


@dataclass(frozen=True, kw_only=True)
class Ran:
    """One command that has ended."""

    wall_seconds: float
    cpu_seconds: float
    """Of all its threads; unlike wall seconds it hardly depends on what else the machine does."""
    peak_bytes: int
    """Largest resident memory."""
    exit_code: int


def run_command(arguments: list[str]) -> Ran:
    """Run `infotok ARGUMENTS` in a process of its own."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "infotok_cli", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return Ran(
        wall_seconds=time.perf_counter() - began,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_bytes=usage.ru_maxrss * unit,
        exit_code=process.returncode,
    )


def measure(clip: Path, folder: Path, model: str | None = None) -> Iterator[CommandTime]:
    """Time `encode` and `decode` of one clip."""
    with open_video(clip) as video:
        info = video.info
        frames = sum(1 for _ in video.frames())
    seconds = float(frames / info.frame_rate)
    tokens, decoded = folder / "bench.itk", folder / "bench.mp4"
    options = ["--model", model] if model else []
    for name, source, target in (("encode", clip, tokens), ("decode", tokens, decoded)):
        ran = run_command([name, str(source), "-o", str(target), "-y", *options])
        yield CommandTime(
            command=name,
            clip_seconds=round(seconds, 3),
            width=info.width,
            height=info.height,
            wall_seconds=round(ran.wall_seconds, 3),
            speed=round(seconds / ran.wall_seconds, 3),
            peak_bytes=ran.peak_bytes,
            exit_code=ran.exit_code,
        )


def main() -> None:
    """Print one JSON row per command and clip."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    lengths = parser.add_argument("--seconds", type=float, nargs="*", default=[10.0, 60.0])
    lengths.help = "lengths of made-up clips"
    parser.add_argument("--clip", type=Path, help="a video of your own instead")
    parser.add_argument("--model", help="name or .safetensors file")
    chosen = parser.parse_args()
    machine = {"machine": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
    print(json.dumps(machine))
    with tempfile.TemporaryDirectory(prefix="infotok-bench-") as name:
        folder = Path(name)
        clips = [chosen.clip] if chosen.clip else []
        if not clips:
            for seconds in chosen.seconds:
                clips.append(folder / f"{seconds:g}.mp4")
                long_clip(clips[-1], seconds)
        for clip in clips:
            for row in measure(clip, folder, chosen.model):
                print(json.dumps(asdict(row)), flush=True)
                if row.exit_code:
                    sys.exit(f"infotok {row.command} failed with exit code {row.exit_code}")


if __name__ == "__main__":
    main()
