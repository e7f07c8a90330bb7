"""Training clips from a frame cache: uint8 `.npy` shards of tiles `[N, T, H, W, 3]`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infotok_cli.errors import InputError, UsageError

SHARD_PATTERN = "tiles-*.npy"


@dataclass(frozen=True)
class CropShape:
    """Size of a training sample: frames and side in pixels."""

    frames: int
    side: int

    def __str__(self) -> str:
        return f"{self.frames}x{self.side}"

    @classmethod
    def parse(cls, text: str) -> CropShape:
        """Shape of a text like 16x128; UsageError unless it is a multiple of 8 and one of 16."""
        frames, _, side = text.partition("x")
        if not (frames.isdecimal() and side.isdecimal() and int(frames) and int(side)):
            raise UsageError(f"--crop {text!r} is not like 16x128: give frames x pixels per side")
        if int(frames) % 8 or int(side) % 16:
            raise UsageError(f"--crop {text}: frames must be a multiple of 8, pixels per side of 16")
        return cls(int(frames), int(side))


class FrameCache:
    """Random crops from the shards of a folder; shards stay on disk and are mapped."""

    def __init__(self, folder: Path) -> None:
        """Raises InputError when the folder holds no shard or a shard is no such array."""
        self.shards: list[NDArray[np.uint8]] = []
        for path in sorted(folder.glob(SHARD_PATTERN)):
            shard = np.load(path, mmap_mode="r")
            if shard.dtype != np.uint8 or shard.ndim != 5 or shard.shape[-1] != 3:
                raise InputError(f"{path} is not a frame-cache shard: expected uint8 [N, T, H, W, 3]")
            self.shards.append(shard)
        if not self.shards:
            raise InputError(f"{folder} holds no {SHARD_PATTERN}: make it with 'infotok train --make-cache'")
        self._weights = np.array([len(shard) for shard in self.shards], np.float64)
        self._weights /= self._weights.sum()

    def hold_out(self) -> list[NDArray[np.uint8]]:
        """Take the last shard's tiles out of training, when there is more than one shard."""
        if len(self.shards) < 2:
            return []
        held = self.shards.pop()
        self._weights = self._weights[:-1] / self._weights[:-1].sum()
        return list(held)

    @property
    def tiles(self) -> int:
        return sum(len(shard) for shard in self.shards)

    def sample(self, count: int, shape: CropShape, random: np.random.Generator) -> NDArray[np.uint8]:
        """`count` random crops `[count, frames, side, side, 3]`, mirrored and reversed at random.

        Crops may begin at any pixel and frame. A tile shorter than `frames` runs forth and back.
        """
        batch = np.empty((count, shape.frames, shape.side, shape.side, 3), np.uint8)
        for row in range(count):
            shard = self.shards[random.choice(len(self.shards), p=self._weights)]
            tile = shard[random.integers(len(shard))]
            frames, height, width, _ = tile.shape
            side = min(shape.side, height, width)
            y, x = (int(random.integers(size - side + 1)) for size in (height, width))
            start = int(random.integers(max(0, frames - shape.frames) + 1))
            order = _bounce(frames, shape.frames, start)
            clip = np.asarray(tile[start : start + shape.frames, y : y + side, x : x + side])[order]
            if random.random() < 0.5:
                clip = clip[:, :, ::-1]
            if random.random() < 0.5:
                clip = clip[::-1]
            gap = shape.side - side
            if gap:
                clip = np.pad(clip, ((0, 0), (0, gap), (0, gap), (0, 0)), mode="reflect")
            batch[row] = clip
        return batch


def _bounce(frames: int, wanted: int, start: int) -> NDArray[np.int64]:
    """Indices from `start` on that turn round at the end of a tile."""
    have = min(wanted, frames - start)
    cycle = (
        np.concatenate([np.arange(have), np.arange(have - 2, 0, -1)]) if have > 1 else np.zeros(1, np.int64)
    )
    return np.resize(cycle, wanted).astype(np.int64)
