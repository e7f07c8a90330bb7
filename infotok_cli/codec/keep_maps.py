"""Keep maps from bytes of a segment, for both kinds of allocation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from infotok_cli.blocks import Grid, keep_from_levels
from infotok_cli.config import AllocationName
from infotok_cli.entropy import keep_map


def unpack_keep(
    data: bytes, kind: AllocationName, grid: Grid, tokens: int | None = None
) -> NDArray[np.bool_]:
    """Keep map `[t, h, w]` of coded bytes; InputError when they are no map, or none of `tokens` tokens."""
    if kind == "block":
        return keep_from_levels(keep_map.decode_levels(data, grid, tokens), grid)
    return keep_map.decode_positions(data, grid, tokens)
