"""Large grids in bands of rows, and long ones in runs of steps: what a layer needs does not grow with them.

Only without gradients, on CPUs and with torch's kernels; elsewhere everything is done at once.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from infotok_cli.config import PATCH
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
    if rows * row <= 2 * BAND_POSITIONS or _at_once(device):
        return [slice(0, rows)]
    height = unit * max(1, BAND_POSITIONS // (unit * row))
    # The runs after `first` rows begin at multiples of `height`; the first of them is joined to these rows.
    edges = [0, *range(first + height, rows, height), rows]
    return [slice(*pair) for pair in pairwise(edges)]


def step_runs(size: Size, device: torch.device, *, first: int = 0) -> list[slice]:
    """Runs of latent steps, from `first` on, to work on in turn, where steps do not look at each other."""
    batch, steps, rows, columns = size
    step = batch * rows * columns
    length = steps if _at_once(device) else max(1, 2 * BAND_POSITIONS // step)
    return [slice(start, min(steps, start + length)) for start in range(first, steps, length)]


def pixel_rows(band: slice) -> slice:
    """Rows of pixels that these rows of positions cover."""
    return slice(band.start * PATCH[1], band.stop * PATCH[1])


def by_bands(work: Callable[[slice], Tensor], bands: list[slice], axis: int) -> Tensor:
    """What `work` makes of each of the `bands`, put together along `axis`.

    It makes the same number of rows of each row of the grid.
    """
    if len(bands) == 1:
        return work(bands[0])
    whole: Tensor | None = None
    for band in bands:
        part = work(band)
        scale = part.shape[axis] // (band.stop - band.start)
        if whole is None:
            shape = list(part.shape)
            shape[axis] = scale * bands[-1].stop
            whole = part.new_empty(shape)
        whole.narrow(axis, scale * band.start, part.shape[axis]).copy_(part)
    assert whole is not None
    return whole


def _at_once(device: torch.device) -> bool:
    return torch.is_grad_enabled() or device.type != "cpu" or selected_backend("cpu") != "reference"
