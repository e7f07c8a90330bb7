"""A token net whose weights are made by arithmetic, the same on every machine and numpy version."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from infotok_cli.entropy.token_net import TokenNet, input_count

LEVELS = (8, 8, 8, 5, 5, 5)


def numbers(shape: tuple[int, ...], low: int, high: int) -> NDArray[np.int64]:
    """Numbers from low to below high that look random."""
    count = np.arange(math.prod(shape), dtype=np.int64)
    return ((count * 2654435761 + 12345) % 4294967291 % (high - low) + low).reshape(shape)


def made_net(levels: tuple[int, ...] = LEVELS, hidden: int = 12) -> TokenNet:
    """Its predictions mean nothing, but are far from even."""
    channels, most = len(levels), max(levels)
    return TokenNet(
        levels=levels,
        base=numbers((input_count(channels), channels, hidden), -40, 40).astype(np.int8),
        base_bias=numbers((channels, hidden), -900, 900).astype(np.int32),
        own=numbers((2 * channels, channels, hidden), -60, 60).astype(np.int8),
        out=numbers((channels, hidden, most), -30, 30).astype(np.int8),
        out_bias=numbers((channels, most), -900, 900).astype(np.int32),
        before=numbers((channels, most + 1, most), -900, 900).astype(np.int16),
    )
