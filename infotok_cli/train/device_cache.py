"""A whole frame cache in a device's memory, and crops cut there."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from infotok_cli.errors import UsageError
from infotok_cli.train.frame_cache import CropShape, FrameCache, bounce

SPARE_SHARE = 0.5
"""Share of the free memory that a cache must leave for training."""


class DeviceCrops:
    """Crops from shards that were copied to `device` once; the same crops as a mapped cache draws."""

    def __init__(self, cache: FrameCache, device: torch.device) -> None:
        """UsageError when the cache is larger than half of a GPU's free memory."""
        size_bytes = sum(shard.nbytes for shard in cache.shards)
        if device.type == "cuda":
            free_bytes, _ = torch.cuda.mem_get_info()
            if size_bytes > free_bytes * (1 - SPARE_SHARE):
                raise UsageError(
                    f"`device_cache` needs {size_bytes / 1e9:.1f} GB, more than half of "
                    f"{free_bytes / 1e9:.1f} GB of free GPU memory",
                    way_out="leave it out",
                )
        self._cache = cache
        self._shards = [torch.from_numpy(np.array(shard)).to(device) for shard in cache.shards]

    def crops(self, count: int, shape: CropShape, random: np.random.Generator) -> Tensor:
        """`count` random crops on the device, uint8 `[count, frames, side, side, 3]`."""
        return torch.stack([self._crop(shape, random) for _ in range(count)])

    def _crop(self, shape: CropShape, random: np.random.Generator) -> Tensor:
        place = self._cache.draw(shape, random)
        tile = self._shards[place.shard][place.tile]
        clip = tile[
            place.start : place.start + shape.frames,
            place.y : place.y + shape.side,
            place.x : place.x + shape.side,
        ]
        for axis, want in enumerate(shape.sides):
            if clip.shape[axis] < want:
                index = torch.from_numpy(bounce(clip.shape[axis], want)).to(clip.device)
                clip = clip.index_select(axis, index)
        flipped = [axis for axis, wanted in ((2, place.mirrored), (0, place.reversed)) if wanted]
        return clip.flip(flipped) if flipped else clip
