"""How fast a folder of short clips becomes tokens, and tokens become training batches.

Run: python -m infotok_cli.bench.datasets [--clips 24] [--seconds 1]   (or `make bench-datasets`)

`infotok batch`, with one and with several workers, against a shell's loop over `infotok encode`. Every
command is a process of its own, so start-up counts. A loop's rate does not depend on its length, so a few
clips are enough for it; they are encoded before, between and after the batches, so that a machine that
others use slows all of them alike.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from infotok_cli.bench.commands import long_clip, run_command

LOADER_SECONDS = 3.0
CONTEXT_LENGTH = 1024


@dataclass(frozen=True, kw_only=True)
class Rate:
    """What a way of encoding clips took."""

    way: str
    clips: int
    wall_seconds: float
    files_per_second: float
    video_seconds_per_second: float
    load: float
    """Processes that waited for a core, averaged over the last minute."""

    @classmethod
    def of(cls, way: str, clips: int, wall: float, seconds: float) -> Rate:
        """clips: of `seconds` each."""
        return cls(
            way=way,
            clips=clips,
            wall_seconds=round(wall, 2),
            files_per_second=round(clips / wall, 3),
            video_seconds_per_second=round(clips * seconds / wall, 3),
            load=round(os.getloadavg()[0], 1),
        )


def compare(folder: Path, count: int, seconds: float, options: list[str], workers: list[int]) -> list[Rate]:
    """Rates of the loop and of a batch for each number of workers; leaves tokens in `folder`/tokens-N."""
    clips = folder / "clips"
    clips.mkdir()
    for number in range(count):
        long_clip(clips / f"{number:04}.mp4", seconds)
    looped = 0.0

    def encode_one(number: int) -> float:
        source, target = clips / f"{number:04}.mp4", folder / f"{number:04}.itk"
        return checked(["encode", str(source), "-o", str(target), *options])

    rates = []
    for number, processes in enumerate(workers):
        looped += encode_one(number)
        words = ["batch", str(clips), "-o", str(folder / f"tokens-{processes}"), *options]
        took = checked([*words, "--workers", str(processes)])
        rates.append(Rate.of(f"batch with {processes} workers", count, took, seconds))
    looped += encode_one(len(workers))
    return [Rate.of("loop over encode", len(workers) + 1, looped, seconds), *rates]


def checked(arguments: list[str]) -> float:
    """Seconds that a command takes; ends the program when it fails."""
    ran = run_command(arguments)
    if ran.exit_code:
        sys.exit(f"infotok {' '.join(arguments)} failed with exit code {ran.exit_code}")
    return ran.wall_seconds


def loader_rate(tokens: Path, folder: Path) -> float:
    """Ids per second that `TokenDataset` gives from a memmap export, in this process."""
    from infotok_cli.data import TokenDataset
    from infotok_cli.itk.training_formats.export import export_training

    export_training([tokens], folder / "memmap", "memmap")
    dataset = iter(TokenDataset(str(folder / "memmap"), context_length=CONTEXT_LENGTH, seed=0, endless=True))
    next(dataset)
    ids, began = 0, time.perf_counter()
    while time.perf_counter() - began < LOADER_SECONDS:
        ids += sum(len(sample["ids"]) for sample in islice(dataset, 8))
    return ids / (time.perf_counter() - began)


def main() -> None:
    """Print one JSON row per way, and one for the loader."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=24, help="clips in the folder, more than workers")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of each")
    parser.add_argument("--short-side", type=int, default=128, help="rows that are encoded")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2], help="numbers of processes")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="infotok-bench-") as name:
        folder, options = Path(name), ["--short-side", str(chosen.short_side)]
        rates = compare(folder, chosen.clips, chosen.seconds, options, chosen.workers)
        for rate in rates:
            ratio = round(rate.files_per_second / rates[0].files_per_second, 2)
            print(json.dumps({**asdict(rate), "times_the_loop": ratio, "cores": os.cpu_count()}), flush=True)
        tokens = folder / f"tokens-{chosen.workers[0]}"
        shutil.rmtree(folder / "clips")
        rate_of_ids = round(loader_rate(tokens, folder))
        print(json.dumps({"way": "TokenDataset over memmap", "ids_per_second": rate_of_ids}), flush=True)


if __name__ == "__main__":
    main()
