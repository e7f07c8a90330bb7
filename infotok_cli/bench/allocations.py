"""Ways to share out tokens, with the same weights: the first tables of docs/ALLOCATION.md.

Run: python -m infotok_cli.bench.allocations CLIP... [--model MODEL] [--rates 0.5 0.25] [--side 192]

Takes the middle of the picture of the first segment of each video, and codes it with the
keep maps of each way. Prints a Markdown table for each rate, all ways alike: mean PSNR of all frames, PSNR
of the mean squared error, and what a tenth of the frames fall short of, dB; how far the first four frames of
segments lie above the rest, dB; and bits per pixel of maps, motion and coded tokens.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from unittest.mock import patch

import numpy as np

from infotok_cli.allocation import allocate
from infotok_cli.allocation.allocate import Allocation, allocate_blocks, allocate_positions, even_map
from infotok_cli.blocks import BLOCK, block_grid
from infotok_cli.codec.load_engine import load_engine
from infotok_cli.config import PATCH
from infotok_cli.entropy.keep_map import pack_keep
from infotok_cli.entropy.motion_map import pack_motion
from infotok_cli.entropy.token_coding import encode_ids
from infotok_cli.errors import InfotokError, UsageError
from infotok_cli.metrics import psnr, psnr_of_error
from infotok_cli.model.engine import Engine, ErrorMap, Footage
from infotok_cli.routers import AllocationName
from infotok_cli.segment_tokens import Maps
from infotok_cli.video.reader import open_video

START_FRAMES = PATCH[0]
"""Frames of a segment that are its start."""

Share = Callable[[list[ErrorMap], float], list[Allocation]]
"""Allocations of segments with these error maps at a rate."""


@dataclass(frozen=True)
class Way:
    """One way to share out tokens."""

    name: str
    share: Share
    kind: AllocationName = "block"
    constants: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """Of `infotok_cli.allocation.allocate`, in place of its own."""
    exact: bool = False
    """Whether it is given measured errors instead of predicted ones."""

    def allocations(self, errors: list[ErrorMap], rate: float) -> list[Allocation]:
        """`share` with the way's constants in place."""
        with ExitStack() as stack:
            for name, value in self.constants.items():
                stack.enter_context(patch.object(allocate, name, value))
            return self.share(errors, rate)


def each_clip(errors: list[ErrorMap], rate: float) -> list[Allocation]:
    """Blocks by error, each clip at the rate."""
    return [allocation for error in errors for allocation in allocate_blocks([error], rate)]


def even(errors: list[ErrorMap], rate: float) -> list[Allocation]:
    """Blocks spread evenly, each clip at the rate."""
    return each_clip([even_map(error.shape) for error in errors], rate)


def at_random(errors: list[ErrorMap], rate: float) -> list[Allocation]:
    """Blocks drawn at random, each clip at the rate."""
    generator = np.random.default_rng(0)
    maps = []
    for t, h, w in (error.shape for error in errors):
        blocks = generator.random(block_grid((t, h, w)), dtype=np.float32)
        for axis, side in enumerate(BLOCK):
            blocks = np.repeat(blocks, side, axis=axis)
        maps.append(blocks[:t, :h, :w])
    return each_clip(maps, rate)


def one_film(errors: list[ErrorMap], rate: float) -> list[Allocation]:
    """Blocks by error, all clips together at the rate."""
    return allocate_blocks(errors, rate)


def film_of_even(errors: list[ErrorMap], rate: float) -> list[Allocation]:
    """Tokens shared among clips by error, spread evenly inside each."""
    return [
        allocate_blocks([even_map(error.shape)], allocation.tokens / error.size)[0]
        for error, allocation in zip(errors, one_film(errors, rate), strict=True)
    ]


def positions(errors: list[ErrorMap], rate: float) -> list[Allocation]:
    """Single positions by error, each clip at the rate."""
    return [allocation for error in errors for allocation in allocate_positions([error], rate)]


WAYS = (
    Way("error per token", each_clip),
    Way("the same, measured errors", each_clip, exact=True),
    Way("the same, all steps alike", each_clip, constants={"START_WORTHS": (1.0, 1.0)}),
    Way("the same, the first steps worth 3 and 2", each_clip, constants={"START_WORTHS": (3.0, 2.0)}),
    Way(
        "a further doubling is worth 0.4 of the one before",
        each_clip,
        constants={"STEP_WORTH": (1, 0.4, 0.16)},
    ),
    Way(
        "a further doubling is worth 0.6 of the one before",
        each_clip,
        constants={"STEP_WORTH": (1, 0.6, 0.36)},
    ),
    Way("single positions", positions, kind="position"),
    Way("spread evenly (`--router fixed`)", even),
    Way("blocks at random", at_random),
    Way("all clips as one film", one_film),
    Way("all clips as one film, spread evenly inside each", film_of_even),
)


@dataclass(frozen=True)
class Measured:
    """What one way gave at one rate, all clips together."""

    mean_db: float
    pooled_db: float
    """PSNR of the mean squared error."""
    worst_db: float
    """A tenth of the frames fall short of it."""
    start_db: float
    """First four frames of segments less the rest, mean over segments."""
    bpp: float


def first_segments(clips: Sequence[Path], engine: Engine, side: int) -> list[Footage]:
    """The middle of the first segment of each clip, at most `side` pixels along either axis."""
    segments = []
    for path in clips:
        with open_video(path) as video:
            frames = np.stack(list(islice(video.frames(), engine.loaded.config.segment_frames)))
        top, left = (max(0, have - side) // 2 for have in frames.shape[1:3])
        segments.append(engine.footage(np.ascontiguousarray(frames[:, top : top + side, left : left + side])))
    return segments


def measure(
    engine: Engine, way: Way, segments: Sequence[Footage], errors: list[ErrorMap], rate: float
) -> Measured:
    """Code all segments with the way's keep maps."""
    net = engine.loaded.token_net
    if net is None:
        raise UsageError(f"model {engine.loaded.config.name} has no token coder", way_out="name another")
    values, starts, size, pixels = [], [], 0, 0
    for segment, allocation in zip(segments, way.allocations(errors, rate), strict=True):
        coded = engine.encode(segment, allocation.keep)
        values.append(psnr(segment.frames, coded.shown))
        if len(values[-1]) > START_FRAMES:
            starts.append(values[-1][:START_FRAMES].mean() - values[-1][START_FRAMES:].mean())
        maps = Maps(allocation.keep, segment.motion)
        ids = encode_ids(coded.tokens.ids, maps, net)
        size += len(pack_keep(allocation.keep, way.kind)) + len(pack_motion(segment.motion)) + len(ids)
        pixels += segment.frames[..., 0].size
    frames = np.concatenate(values)
    return Measured(
        mean_db=float(frames.mean()),
        pooled_db=psnr_of_error(float((10 ** (-frames / 10)).mean()), peak=1),
        worst_db=float(np.quantile(frames, 0.1)),
        start_db=float(np.mean(starts)) if starts else 0.0,
        bpp=8 * size / pixels,
    )


def tables(engine: Engine, segments: Sequence[Footage], rates: Sequence[float]) -> None:
    """Print a table for each rate."""
    predicted = [engine.predicted_errors([segment])[0] for segment in segments]
    exact = [engine.exact_errors([segment])[0] for segment in segments]
    for rate in rates:
        print(f"\n| tokens at rate {rate:g} | mean dB | mean error dB | worst dB | starts dB | bpp |")
        print("|---|---|---|---|---|---|")
        for way in WAYS:
            got = measure(engine, way, segments, exact if way.exact else predicted, rate)
            figures = f"{got.mean_db:.2f} | {got.pooled_db:.2f} | {got.worst_db:.2f} | {got.start_db:+.2f}"
            print(f"| {way.name} | {figures} | {got.bpp:.4f} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", type=Path, nargs="+", metavar="CLIP", help="video")
    parser.add_argument("--model", help="name or .safetensors file")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.5, 0.25])
    parser.add_argument("--side", type=int, default=192, help="most pixels along either axis")
    chosen = parser.parse_args()
    try:
        engine = load_engine(chosen.model)
        segments = first_segments(chosen.clips, engine, chosen.side)
        print(f"model {engine.loaded.config.name} {engine.loaded.sha256[:12]}, {len(segments)} segments")
        tables(engine, segments, chosen.rates)
    except InfotokError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
