"""Motion for tests: maps, and pictures that move."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from infotok_cli.blocks import LEAD_STEPS, Grid
from infotok_cli.motion import STILL, VECTORS, Motion, motion_grid


def made_motion(grid: Grid, seed: int = 0, moving: float = 0.6) -> Motion:
    """Motion of a token grid `[t, h, w]`: any vectors in a share `moving` of the blocks behind the lead."""
    random = np.random.default_rng(seed)
    shape = motion_grid(grid)
    vectors = random.integers(0, VECTORS, shape)
    vectors[random.random(shape) >= moving] = STILL
    vectors[:LEAD_STEPS] = STILL
    return vectors.astype(np.uint8)


def motion_for(keep: Tensor) -> Tensor:
    """As `made_motion`, for keep maps `[B, t, h, w]`: uint8 `[B, t, bh, bw]`."""
    batch, t, h, w = keep.shape
    maps = [made_motion((t, h, w), seed) for seed in range(batch)]
    return torch.from_numpy(np.stack(maps)).to(keep.device)


def textured(height: int, width: int, seed: int) -> NDArray[np.float64]:
    """A picture `[H, W, 3]` in 0..255 with detail of several sizes, and no two places alike."""
    random = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3))
    for size in (3, 8, 24):
        coarse = random.random((height // size + 2, width // size + 2, 3))
        picture += np.kron(coarse, np.ones((size, size, 1)))[:height, :width]
    return picture / picture.max() * 255


def panned(down: int, right: int, *, steps: int = 3, side: int = 96, seed: int = 0) -> torch.Tensor:
    """Frames `[1, T, H, W, 3]` of a picture that moves by these pixels in four frames."""
    picture = textured(side + 200, side + 200, seed)
    frames = []
    for time in range(4 * steps):
        y, x = (100 - round(move * time / 4) for move in (down, right))
        frames.append(picture[y : y + side, x : x + side])
    return torch.from_numpy(np.stack(frames).round().astype(np.uint8))[None]
