"""Initial probabilities of the motion map's contexts, fitted to clips of a frame cache.

    python -m infotok_cli.train.motion_chances CACHE

prints the tables of `entropy.motion_map`. For those who change the format; nothing else calls it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from infotok_cli.entropy import motion_map
from infotok_cli.model.grid import with_lead
from infotok_cli.model.motion import estimate_motion
from infotok_cli.train.frame_cache import CropShape, FrameCache

CLIPS = 300
SHAPE = CropShape(28, 256)
STRENGTH = 4.0
"""Decisions of even chances that each context has before any."""


def main(folder: str) -> None:
    """Print the tables."""
    random = np.random.default_rng(0)
    ones = np.full(len(motion_map.CONTEXTS), STRENGTH / 2)
    seen = np.full(len(motion_map.CONTEXTS), STRENGTH)
    cache = FrameCache(Path(folder))
    for _ in range(CLIPS):
        clip = cache.sample(1, SHAPE, random, whole=True)
        (motion,) = estimate_motion(with_lead(torch.from_numpy(clip))).numpy()
        bits, contexts = motion_map.motion_decisions(motion)
        # Each clip counts alike in a context, however long it stays there: it adapts.
        total = np.bincount(contexts, minlength=len(seen)).astype(float)
        share = np.bincount(contexts, bits, minlength=len(seen)) / np.maximum(total, 1)
        weight = np.minimum(total, 20)
        ones += share * weight
        seen += weight
    chances = np.clip(np.round(256 * ones / seen), 2, 254).astype(int).tolist()
    at = 0
    for name in ("EXPECTED_START", "OTHER_START", "TREE_START"):
        table = getattr(motion_map, name)
        print(name)
        for row in table:
            print(f"    {tuple(chances[at : at + len(row)])},")
            at += len(row)


if __name__ == "__main__":
    main(sys.argv[1])
