"""Write the golden .itk files and the integers they hold; once released they stay as they are for ever.

The files are made without a model: what they pin down is the container and the codes of keep maps,
motion maps and tokens. Run from the repository root: python tests/support/make_golden.py
"""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from infotok_cli.allocation.allocate import Allocation
from infotok_cli.blocks import LEAD_STEPS, block_capacity, keep_from_levels
from infotok_cli.container.header import Header
from infotok_cli.container.writer import ItkWriter
from infotok_cli.itk.tokens import pack_tokens
from infotok_cli.motion import VECTORS, Motion, no_motion
from infotok_cli.routers import AllocationName
from infotok_cli.segment_tokens import Tokens
from infotok_cli.sound import AudioPacket, AudioTrack

GOLDEN = Path(__file__).parent.parent / "golden" / "v1"

Grid = tuple[int, int, int]

CASES: list[tuple[str, int, int, int, int, str, AllocationName, float]] = [
    ("blocks", 64, 48, 16, 40, "fast", "block", 0.5),
    ("positions", 64, 48, 16, 40, "exact", "position", 0.3),
    ("odd", 41, 27, 12, 30, "fixed", "block", 0.75),
    ("one-pixel", 1, 1, 4, 1, "fast", "block", 1.0),
]


def choose_tokens(random: np.random.Generator, grid: Grid, kind: AllocationName, rate: float) -> Allocation:
    """A made-up choice of tokens, so that goldens do not change when allocation improves."""
    if kind == "position":
        return Allocation(keep=random.random(grid) < rate, levels=None)
    capacity = block_capacity(grid)
    wanted = 1 << random.integers(0, 4, capacity.shape)
    levels = np.minimum(wanted, capacity).astype(np.uint8)
    return Allocation(keep=keep_from_levels(levels, grid), levels=levels)


def make_motion(random: np.random.Generator, grid: Grid) -> Motion:
    """Made-up motion: about half of the blocks behind the lead move, each by one of four vectors."""
    motion = no_motion(grid)
    vectors = random.integers(0, VECTORS, 4)
    moving = random.random(motion.shape) < 0.5
    moving[:LEAD_STEPS] = False
    motion[moving] = random.choice(vectors, int(moving.sum()))
    return motion


def golden_header(**changes: Any) -> Header:
    """A header with what all goldens have in common."""
    values: dict[str, Any] = {
        "frame_rate": Fraction(25),
        "levels": (8, 8, 8, 5, 5, 5),
        "router": "fast",
        "allocation": "block",
        "target_rate_ppm": 500_000,
        "model_name": "golden",
        "model_sha256": hashlib.sha256(b"golden").digest(),
        "encoder": "infotok golden",
    }
    return Header(**values | changes)


def write_golden(folder: Path) -> None:
    """Write every file into `folder`, with `expected.json` beside them."""
    expected = {**_plain(folder), "edited": _edited(folder), "tracks": _tracks(folder)}
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def _plain(folder: Path) -> dict[str, object]:
    """Files as an encoder writes them, without sound and frame times."""
    random = np.random.default_rng(20251122)
    expected: dict[str, object] = {}
    for name, width, height, segment_frames, frames, router, allocation, rate in CASES:
        header = golden_header(
            width=width,
            height=height,
            frame_rate=Fraction(30000, 1001),
            time_base=Fraction(1, 90000),
            segment_frames=segment_frames,
            router=router,
            allocation=allocation,
            target_rate_ppm=round(rate * 1_000_000),
        )
        counts = [min(segment_frames, frames - first) for first in range(0, frames, segment_frames)]
        with (folder / f"{name}.itk").open("wb") as stream:
            writer = ItkWriter(stream, header)
            rows = [_write_segment(writer, random, count, rate) for count in counts]
            writer.finish()
        expected[name] = {"width": width, "height": height, "frames": frames, "segments": rows}
    return expected


def _edited(folder: Path) -> dict[str, object]:
    """What cutting, joining and repairing leave: short segments, trims and lost frames."""
    random = np.random.default_rng(20251123)
    header = golden_header(width=41, height=27, time_base=Fraction(1, 12800), segment_frames=16)
    with (folder / "edited.itk").open("wb") as stream:
        writer = ItkWriter(stream, header)
        rows = [_write_segment(writer, random, 16, 0.5, trim_start=5)]
        writer.write_segment(frames=7, tokens=0, map_payload=b"", token_payload=b"", lost=True)
        rows.append({"frames": 7, "lost": True})
        rows.append(_write_segment(writer, random, 6, 0.5, trim_start=1, trim_end=3))
        rows.append(_write_segment(writer, random, 16, 0.5, trim_end=15))
        writer.finish()
        total = writer.frames
    return {"width": 41, "height": 27, "frames": total, "segments": rows}


def _tracks(folder: Path) -> dict[str, object]:
    """Sound and frame times, with trims and a lost segment."""
    random = np.random.default_rng(20251124)
    header = golden_header(
        width=32,
        height=24,
        time_base=Fraction(1, 90000),
        segment_frames=8,
        has_times=True,
        audio=AudioTrack(
            codec="A_OPUS",
            private=b"OpusHead\x01\x02\x38\x01\x80\xbb\x00\x00\x00\x00\x00",
            sample_rate=48000,
            channels=2,
            bits=0,
            time_base=Fraction(1, 48000),
        ),
    )
    shapes: list[tuple[int, dict[str, int]]] = [(8, {"trim_start": 2}), (3, {}), (8, {"trim_end": 1})]
    with (folder / "tracks.itk").open("wb") as stream:
        writer = ItkWriter(stream, header)
        rows: list[dict[str, object]] = []
        for number, (frames, trims) in enumerate(shapes):
            durations = [int(value) for value in random.integers(1, 7200, frames)]
            packets = [
                AudioPacket(960 * place - 312 * (number == 0), 960, random.bytes(3 + 100 * place))
                for place in range(1 + number)
            ]
            side: dict[str, Any] = {"durations": durations, "packets": packets}
            row: dict[str, object] = {"frames": frames, "lost": True}
            if number == 1:
                writer.write_segment(
                    frames=frames, tokens=0, map_payload=b"", token_payload=b"", lost=True, **side
                )
            else:
                row = _write_segment(writer, random, frames, 0.5, side=side, **trims)
            row["durations"] = durations
            row["packets"] = [[packet.time, packet.duration, packet.data.hex()] for packet in packets]
            rows.append(row)
        writer.finish()
        totals = {"frames": writer.frames, "ticks": writer.ticks}
    return {"width": 32, "height": 24, **totals, "segments": rows}


def _write_segment(
    writer: ItkWriter,
    random: np.random.Generator,
    frames: int,
    rate: float,
    *,
    side: dict[str, Any] | None = None,
    **trims: int,
) -> dict[str, object]:
    """Write a segment of random tokens; returns what a reader must find in it."""
    header = writer.header
    chosen = choose_tokens(random, header.grid(frames), header.allocation, rate)
    ids = random.integers(0, 64000, chosen.tokens).astype(np.uint16)
    motion = make_motion(random, header.grid(frames))
    coded = pack_tokens(Tokens(chosen.keep, motion, ids), header, None)
    writer.write_segment(
        frames=frames,
        tokens=chosen.tokens,
        map_payload=coded.keep,
        motion_payload=coded.motion,
        token_payload=coded.ids,
        trim_start=trims.get("trim_start", 0),
        trim_end=trims.get("trim_end", 0),
        **(side or {}),
    )
    return {
        "frames": frames,
        "tokens": chosen.tokens,
        "keep_sha256": hashlib.sha256(np.packbits(chosen.keep).tobytes()).hexdigest(),
        "motion_sha256": hashlib.sha256(motion.tobytes()).hexdigest(),
        "ids_sha256": hashlib.sha256(ids.astype("<u2").tobytes()).hexdigest(),
        "first_ids": ids[:8].tolist(),
        **trims,
    }


if __name__ == "__main__":
    GOLDEN.mkdir(parents=True, exist_ok=True)
    write_golden(GOLDEN)
