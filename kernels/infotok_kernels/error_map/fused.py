"""The error map on a Triton kernel: the launch, and the operator torch sees."""

from __future__ import annotations

import torch
import triton
from torch import Tensor

from infotok_kernels.backend import on_device_of
from infotok_kernels.error_map.kernels import error_map_kernel

_TILE_ELEMENTS = 256
"""Numbers of a pixel row that one program reads at a time, spare lanes counted in."""


def _by_rows(video: Tensor) -> Tensor:
    """The video itself if its pixel rows lie in one piece each, as in any cut of a whole one; else a copy."""
    return video if video.stride(-1) == 1 and video.stride(-2) == 3 else video.contiguous()


def error_map_of(video: Tensor, reconstruction: Tensor, patch_t: int, patch_y: int, patch_x: int) -> Tensor:
    """See `infotok_kernels.error_map`."""
    video, reconstruction = _by_rows(video), _by_rows(reconstruction)
    batch, frames, height, width, _ = video.shape
    grid = [
        -(-size // side)
        for size, side in zip((frames, height, width), (patch_t, patch_y, patch_x), strict=True)
    ]
    out = torch.empty((batch, *grid), dtype=torch.float32, device=video.device)
    if not out.numel():
        return out
    span = triton.next_power_of_2(3 * patch_x)
    cells = max(1, min(_TILE_ELEMENTS // span, triton.next_power_of_2(grid[2])))
    tiles = triton.cdiv(grid[2], cells)
    strides = [*video.stride()[:3], *reconstruction.stride()[:3]]
    aligned = 16
    while any(number % aligned for number in (3 * width, *strides)):
        aligned //= 2
    units = [stride // aligned for stride in strides]
    with on_device_of(video):
        error_map_kernel[(batch * grid[0] * grid[1] * tiles,)](
            video, reconstruction, out, frames, height, 3 * width // aligned, *grid, tiles, *units,
            PATCH_T=patch_t, PATCH_Y=patch_y, SPAN=3 * patch_x,
            PADDED_LINES=triton.next_power_of_2(patch_t * patch_y), PADDED_SPAN=span, CELLS=cells,
            ALIGNED=aligned, num_warps=8,
        )  # fmt: skip
    return out


_op = torch.library.custom_op(
    "infotok::error_map",
    error_map_of,
    mutates_args=(),
    schema="(Tensor video, Tensor reconstruction, int patch_t, int patch_y, int patch_x) -> Tensor",
)


@_op.register_fake
def _shape(video: Tensor, reconstruction: Tensor, patch_t: int, patch_y: int, patch_x: int) -> Tensor:
    batch, frames, height, width, _ = video.shape
    return video.new_empty(
        (batch, -(-frames // patch_t), -(-height // patch_y), -(-width // patch_x)), dtype=torch.float32
    )


def error_map_fused(video: Tensor, reconstruction: Tensor, patch: tuple[int, int, int]) -> Tensor:
    """`infotok_kernels.error_map` on a Triton kernel; arguments as checked there."""
    out: Tensor = _op(video, reconstruction, *patch)
    return out
