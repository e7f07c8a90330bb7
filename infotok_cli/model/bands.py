"""Large grids in bands of rows, so that what a layer needs meanwhile does not grow with the picture.

Only without gradients, on CPUs and with torch's kernels; elsewhere the whole grid is one band.
"""

from __future__ import annotations

from itertools import pairwise

import torch

from infotok_kernels import selected_backend

BAND_POSITIONS = 1 << 13
"""Token-grid positions of a band. Up to twice as many are one band."""

Size = tuple[int, int, int, int]
"""`[B, t, h, w]` of a grid."""


def row_bands(size: Size, device: torch.device, *, unit: int = 1, first: int = 0) -> list[slice]:
    """Runs of rows of a grid that are worked on one after the other, from the top.

    unit: rows that stay together, counted after the `first` ones, which make up the first run of them.
    """
    batch, steps, rows, columns = size
    row = batch * steps * columns
    whole = rows * row <= 2 * BAND_POSITIONS
    if whole or torch.is_grad_enabled() or device.type != "cpu" or selected_backend("cpu") != "reference":
        return [slice(0, rows)]
    height = unit * max(1, BAND_POSITIONS // (unit * row))
    # The runs after `first` rows begin at multiples of `height`; the first of them is joined to these rows.
    edges = [0, *range(first + height, rows, height), rows]
    return [slice(*pair) for pair in pairwise(edges)]
