"""The router's error map in torch: mean absolute error of each token-grid position."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def error_map_reference(video: Tensor, reconstruction: Tensor, patch: tuple[int, int, int]) -> Tensor:
    """`infotok_kernels.error_map` in torch, on any device and for every dtype."""
    _, steps, height, width, _ = video.shape
    one, other = (
        tensor if tensor.dtype == torch.float64 else tensor.float() for tensor in (video, reconstruction)
    )
    difference = (one - other).abs().mean(dim=-1)
    inside = torch.ones((1, steps, height, width), dtype=difference.dtype, device=video.device)
    pad = [
        0,
        -width % patch[2],
        0,
        -height % patch[1],
        0,
        -(-steps // patch[0]) * patch[0] - difference.shape[1],
    ]

    def block_sum(values: Tensor) -> Tensor:
        padded = F.pad(values, pad)
        shape = [size // side for size, side in zip(padded.shape[1:], patch, strict=True)]
        cells = padded.view(-1, shape[0], patch[0], shape[1], patch[1], shape[2], patch[2])
        return cells.sum(dim=(2, 4, 6))

    return block_sum(difference) / block_sum(inside).clamp_min(1)
