"""Small .itk files made without a model: random tokens and motion, any run of segments."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from infotok_cli.container.header import Header
from infotok_cli.container.writer import ItkWriter
from infotok_cli.itk.tokens import Payloads, pack_tokens
from infotok_cli.motion import no_motion
from infotok_cli.segment_tokens import Tokens
from infotok_cli.tags import NO_TAGS, Tags
from make_golden import choose_tokens, make_motion


@dataclass(frozen=True)
class Plan:
    """One segment to make."""

    frames: int
    trim_start: int = 0
    trim_end: int = 0
    lost: bool = False
    rate: float = 0.5
    still: bool = False
    """Whether nothing moves."""


def itk_header(**changes: Any) -> Header:
    """A header of 24x16 pixels, 30000/1001 frames per second and segments of 8 frames, but for `changes`."""
    values: dict[str, Any] = {
        "width": 24,
        "height": 16,
        "frame_rate": Fraction(30000, 1001),
        "time_base": Fraction(1, 90000),
        "segment_frames": 8,
        "levels": (8, 8, 8, 5, 5, 5),
        "router": "fast",
        "allocation": "block",
        "target_rate_ppm": 500_000,
        "model_name": "made",
        "model_sha256": hashlib.sha256(b"made").digest(),
        "encoder": "tests",
    }
    return Header(**values | changes)


def itk_bytes(plans: Sequence[Plan], header: Header, seed: int = 0, tags: Tags = NO_TAGS) -> bytes:
    """The file of these segments."""
    random = np.random.default_rng(seed)
    stream = io.BytesIO()
    writer = ItkWriter(stream, header, tags=tags)
    for plan in plans:
        grid = header.grid(plan.frames)
        keep = choose_tokens(random, grid, header.allocation, plan.rate).keep
        ids = random.integers(0, int(np.prod(header.levels)), int(keep.sum())).astype(np.uint16)
        motion = no_motion(grid) if plan.still else make_motion(random, grid)
        coded = Payloads(b"", b"", b"")
        if not plan.lost:
            coded = pack_tokens(Tokens(keep, motion, ids), header, None)
        writer.write_segment(
            frames=plan.frames,
            tokens=0 if plan.lost else len(ids),
            map_payload=coded.keep,
            motion_payload=coded.motion,
            token_payload=coded.ids,
            trim_start=plan.trim_start,
            trim_end=plan.trim_end,
            lost=plan.lost,
            durations=range(3000, 3000 + plan.frames) if header.has_times else (),
        )
    writer.finish()
    return stream.getvalue()
