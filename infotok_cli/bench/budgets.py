"""How closely budgets are met, and what they cost: the figures under "Accuracy" in docs/USAGE.md.

Run: python -m infotok_cli.bench.budgets CLIP... [--model MODEL] [--frames N] [--psnr 26 28]

Each video is encoded at rate 0.5, then with every kind of budget, set by what that encode came to: 37 % of
the positions, 60 % of them over time, 80 % of the bits and 110 % of the bytes. Prints two Markdown tables:
the least and the most that files have of what was asked for, with the time against the plain encode; and how
far the PSNR of decoded files lies from the one asked for.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from infotok_cli.allocation.budgets import Budget
from infotok_cli.codec.decode_segments import decoded_segments
from infotok_cli.codec.encode import EncodeReport, encode_file
from infotok_cli.codec.load_engine import load_engine
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.container.reader import ItkReader
from infotok_cli.errors import InfotokError
from infotok_cli.metrics import average_psnr, psnr
from infotok_cli.model.engine import Engine
from infotok_cli.video.reader import open_video


@dataclass(frozen=True)
class Met:
    """One budget on one clip."""

    kind: str
    """A name in `BUDGETS`."""
    share: float
    """What the file has, of what was asked for."""
    time_ratio: float
    """Seconds of the encode against those of a plain one."""


@dataclass(frozen=True)
class Shown:
    """A PSNR that was asked for on one clip."""

    asked_db: float
    shown_db: float
    """Of the decoded file, mean over frames."""
    saturated: bool
    """Whether all tokens are too few for it, or the fewest too many."""


def budgets_met(clip: Path, engine: Engine, options: EncodeOptions) -> Iterator[Met]:
    """Encode `clip` with each kind of budget that sets an amount; `options` tell the frames."""
    plain, plain_seconds = _encoded(clip, engine, replace(options, budget=None))
    seconds = plain.duration_seconds
    asked = {
        "max-tokens": round(0.37 * plain.positions),
        "tokens-per-second": 0.6 * plain.positions / seconds,
        "bitrate": 0.8 * 8 * plain.size_bytes / seconds,
        "target-size": round(1.1 * plain.size_bytes),
    }
    for kind, value in asked.items():
        report, took = _encoded(clip, engine, replace(options, budget=Budget(kind, value)))
        came = {
            "max-tokens": report.tokens,
            "tokens-per-second": report.tokens / seconds,
            "bitrate": 8 * report.size_bytes / seconds,
            "target-size": report.size_bytes,
        }
        yield Met(kind, came[kind] / value, took / plain_seconds)


def psnr_met(clip: Path, engine: Engine, options: EncodeOptions, asked_db: float) -> Shown:
    """Encode `clip` for a PSNR, and measure it on the decoded file; `options` tell the frames."""
    wanted = replace(options, budget=Budget("target-psnr", asked_db))
    with tempfile.TemporaryDirectory(prefix="infotok-bench-") as folder:
        target = Path(folder) / "clip.itk"
        report = encode_file(clip, target, engine, wanted)
        with ItkReader(target) as reader, open_video(clip) as video:
            source, values = video.frames(None, None), []
            for part in decoded_segments(reader, engine, range(reader.total_frames)):
                values.append(psnr(np.stack(list(islice(source, len(part)))), part))
    assert report.predicted_psnr_db is not None
    return Shown(
        asked_db,
        average_psnr(np.concatenate(values)),
        saturated=abs(report.predicted_psnr_db - asked_db) > 0.05,
    )


def _encoded(clip: Path, engine: Engine, options: EncodeOptions) -> tuple[EncodeReport, float]:
    with tempfile.TemporaryDirectory(prefix="infotok-bench-") as folder:
        began = time.perf_counter()
        report = encode_file(clip, Path(folder) / "clip.itk", engine, options)
        return report, time.perf_counter() - began


def amounts_table(met: Sequence[Met]) -> str:
    """A row per kind of budget, in Markdown."""
    lines = ["| budget | least | most | time against a plain encode |", "|---|---|---|---|"]
    for kind in dict.fromkeys(one.kind for one in met):
        shares = [one.share for one in met if one.kind == kind]
        ratio = np.mean([one.time_ratio for one in met if one.kind == kind])
        lines.append(f"| `--{kind}` | {min(shares):.2%} | {max(shares):.2%} | {ratio:.1f} |")
    return "\n".join(lines)


def psnr_table(shown: Sequence[Shown]) -> str:
    """A row per PSNR that was asked for, in Markdown; clips that cannot have it are only counted."""
    lines = [
        "| `--target-psnr` | clips that can have it | off on average, dB | from | to |",
        "|---|---|---|---|---|",
    ]
    for asked in dict.fromkeys(one.asked_db for one in shown):
        off = [one.shown_db - asked for one in shown if one.asked_db == asked and not one.saturated]
        figures = "– | – | –"
        if off:
            figures = f"{np.mean(np.abs(off)):.2f} | {min(off):+.2f} | {max(off):+.2f}"
        lines.append(f"| {asked:g} | {len(off)} | {figures} |")
    return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", type=Path, nargs="+", metavar="CLIP", help="video")
    parser.add_argument("--model", help="name or .safetensors file")
    parser.add_argument("--frames", type=int, help="use only the first N frames of each")
    parser.add_argument("--psnr", type=float, nargs="*", default=[26.0, 28.0], help="targets, dB (26 28)")
    chosen = parser.parse_args()
    try:
        engine = load_engine(chosen.model)
        options = EncodeOptions(frames=chosen.frames, audio=False)
        met: list[Met] = []
        shown: list[Shown] = []
        for clip in chosen.clips:
            met += budgets_met(clip, engine, options)
            shown += [psnr_met(clip, engine, options, asked) for asked in chosen.psnr]
            print(f"{clip.name} done", file=sys.stderr, flush=True)
    except InfotokError as error:
        sys.exit(f"error: {error}")
    print(amounts_table(met), psnr_table(shown), sep="\n\n")


if __name__ == "__main__":
    main()
