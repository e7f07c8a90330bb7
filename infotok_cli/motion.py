"""Motion of a segment as small numbers: one vector for every 2x2 positions of a latent step.

A motion map is uint8 `[t, ceil(h / 2), ceil(w / 2)]`. Its numbers are vectors of `DISPLACEMENTS`, the pixels
that a block has moved by at the end of four frames, down and to the right. The lead of a segment is a still:
its vectors are all `STILL`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from infotok_cli.blocks import Grid

Motion = NDArray[np.uint8]
"""Motion map `[t, ceil(h / 2), ceil(w / 2)]`, numbers below `VECTORS`."""

MOTION_SIDE = 2
"""Positions along either side of a block of one vector."""

DISPLACEMENTS = (-24, -16, -11, -7, -4, -2, -1, 0, 1, 2, 4, 7, 11, 16, 24)
"""Pixels in four frames, along either axis."""

VECTORS = len(DISPLACEMENTS) ** 2
"""Vector n moves down by displacement `n // 15` and to the right by displacement `n % 15`."""

STILL = VECTORS // 2


def motion_grid(grid: Grid) -> Grid:
    """Shape of the motion map of a token grid `[t, h, w]`."""
    return (grid[0], -(-grid[1] // MOTION_SIDE), -(-grid[2] // MOTION_SIDE))


def no_motion(grid: Grid) -> Motion:
    """The motion map of a still on a token grid `[t, h, w]`."""
    return np.full(motion_grid(grid), STILL, np.uint8)
