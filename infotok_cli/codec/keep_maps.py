"""Keep maps as bytes of a segment, for both kinds of allocation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from infotok_cli.blocks import Grid, keep_from_levels
from infotok_cli.config import AllocationName
from infotok_cli.entropy import keep_map
from infotok_cli.model.allocation import Allocation


def pack_keep(allocation: Allocation) -> bytes:
    """Coded keep map of a segment."""
    if allocation.levels is not None:
        return keep_map.encode_levels(allocation.levels, _grid(allocation.keep))
    return keep_map.encode_positions(allocation.keep)


def unpack_keep(
    data: bytes, kind: AllocationName, grid: Grid, tokens: int | None = None
) -> NDArray[np.bool_]:
    """Keep map `[t, h, w]` of coded bytes; InputError when they are no map, or none of `tokens` tokens."""
    if kind == "block":
        return keep_from_levels(keep_map.decode_levels(data, grid, tokens), grid)
    return keep_map.decode_positions(data, grid, tokens)


def _grid(keep: NDArray[np.bool_]) -> Grid:
    t, h, w = keep.shape
    return (t, h, w)
