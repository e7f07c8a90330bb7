"""How long `infotok view` and `infotok report` take beside a plain `infotok decode`.

Run: python -m infotok_cli.bench.views [--seconds 10] [--rounds 3] [--clip FILE]

The input is that of `infotok_cli.bench.commands`, encoded once. The commands take turns, so that a machine
that is busy with other things slows all of them alike; each is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from infotok_cli.bench.commands import Ran, long_clip, run_command

PLAIN = "decode"


@dataclass(frozen=True, kw_only=True)
class ViewTime:
    """One command over all rounds, medians."""

    command: str
    wall_seconds: float
    cpu_seconds: float
    wall_ratio: float
    """Against the plain decode of the same round."""
    cpu_ratio: float
    size_bytes: int
    """Of what it wrote."""


def commands(clip: Path, tokens: Path) -> dict[str, list[str]]:
    """What is timed, by name: the arguments, the last of which is what is written."""
    folder, seen = tokens.parent, ["--source", str(clip)]
    return {
        PLAIN: ["decode", str(tokens), "-y", "-o", str(folder / "decoded.mp4")],
        "view, a picture": ["view", str(tokens), *seen, "-y", "-o", str(folder / "view.png")],
        "view, moving": ["view", str(tokens), *seen, "-y", "-o", str(folder / "view.mp4")],
        "view, moving, no source": ["view", str(tokens), "-y", "-o", str(folder / "alone.mp4")],
        "report": ["report", str(tokens), *seen, "-y", "-o", str(folder / "page.html")],
        "report, no source": ["report", str(tokens), "-y", "-o", str(folder / "alone.html")],
    }


def measure(
    clip: Path, folder: Path, *, rounds: int, options: list[str], only: Collection[str] = ()
) -> Iterator[ViewTime]:
    """Time all commands, or the decode and those in `only`, `rounds` times in turn.

    `options` go to each. RuntimeError where one fails.
    """
    tokens = folder / "bench.itk"
    checked(["encode", str(clip), *options, "-y", "-o", str(tokens)])
    timed = {
        name: words for name, words in commands(clip, tokens).items() if not only or name in (PLAIN, *only)
    }
    ran = [{name: checked([*words, *options]) for name, words in timed.items()} for _ in range(rounds)]
    for name, words in timed.items():
        pairs = [(one[name], one[PLAIN]) for one in ran]
        yield ViewTime(
            command=name,
            wall_seconds=round(statistics.median(own.wall_seconds for own, _ in pairs), 3),
            cpu_seconds=round(statistics.median(own.cpu_seconds for own, _ in pairs), 3),
            wall_ratio=round(
                statistics.median(own.wall_seconds / plain.wall_seconds for own, plain in pairs), 3
            ),
            cpu_ratio=round(
                statistics.median(own.cpu_seconds / plain.cpu_seconds for own, plain in pairs), 3
            ),
            size_bytes=Path(words[-1]).stat().st_size,
        )


def checked(arguments: list[str]) -> Ran:
    """Run a command; RuntimeError where it fails."""
    ran = run_command(arguments)
    if ran.exit_code:
        raise RuntimeError(f"infotok {' '.join(arguments)} failed with exit code {ran.exit_code}")
    print(f"{arguments[0]}: {ran.wall_seconds:.1f} s, {ran.cpu_seconds:.1f} s of CPU", file=sys.stderr)
    return ran


def main() -> None:
    """Print one JSON row per command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the made-up clip")
    parser.add_argument("--clip", type=Path, help="a video of your own instead")
    parser.add_argument("--rounds", type=int, default=3, help="how often each command runs")
    parser.add_argument("--only", nargs="*", default=[], help="names of commands beside the decode")
    parser.add_argument("--model", help="name or .safetensors file")
    chosen = parser.parse_args()
    options = ["--model", chosen.model] if chosen.model else []
    with tempfile.TemporaryDirectory(prefix="infotok-bench-") as name:
        clip = chosen.clip or Path(name) / "clip.mp4"
        if not chosen.clip:
            long_clip(clip, chosen.seconds)
        try:
            for row in measure(clip, Path(name), rounds=chosen.rounds, options=options, only=chosen.only):
                print(json.dumps(asdict(row)), flush=True)
        except RuntimeError as error:
            sys.exit(str(error))


if __name__ == "__main__":
    main()
