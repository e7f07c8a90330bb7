"""Training clips from a frame cache: uint8 `.npy` shards of tiles `[N, T, H, W, 3]`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infotok_cli.errors import InputError, UsageError

SHARD_PATTERN = "tiles-*.npy"

HELD_OUT_EVERY = 10
"""One in so many tiles is held out."""

HELD_OUT_TILES = 64
"""More would take longer to measure than they tell."""


@dataclass(frozen=True)
class CropShape:
    """Size of a training sample: frames and side in pixels."""

    frames: int
    side: int

    def __str__(self) -> str:
        return f"{self.frames}x{self.side}"

    @property
    def sides(self) -> tuple[int, int, int]:
        """Frames, rows, columns."""
        return (self.frames, self.side, self.side)

    @classmethod
    def parse(cls, text: str) -> CropShape:
        """Shape of a text like 16x128; UsageError unless it is a multiple of 8 and one of 16."""
        frames, _, side = text.partition("x")
        if not (frames.isdecimal() and side.isdecimal() and int(frames) and int(side)):
            raise UsageError(f"--crop {text!r} is not like 16x128: give frames x pixels per side")
        if int(frames) % 8 or int(side) % 16:
            raise UsageError(f"--crop {text}: frames must be a multiple of 8, pixels per side of 16")
        return cls(int(frames), int(side))


@dataclass(frozen=True, kw_only=True)
class CropPlace:
    """Where a crop lies in a cache, and which way round it is shown."""

    shard: int
    tile: int
    start: int
    y: int
    x: int
    mirrored: bool
    """Left and right changed."""
    reversed: bool
    """Last frame first."""


class FrameCache:
    """Random crops from the shards of a folder; shards stay on disk and are mapped."""

    def __init__(self, folder: Path) -> None:
        """Raises InputError when the folder holds no shard or a shard is no such array."""
        self.shards: list[NDArray[np.uint8]] = []
        for path in sorted(folder.glob(SHARD_PATTERN)):
            try:
                shard = np.load(path, mmap_mode="r")
            except (OSError, ValueError) as error:
                raise InputError(f"{path} is no whole frame-cache shard: make the cache again") from error
            if shard.dtype != np.uint8 or shard.ndim != 5 or shard.shape[-1] != 3:
                raise InputError(f"{path} is not a frame-cache shard: expected uint8 [N, T, H, W, 3]")
            self.shards.append(shard)
        if not self.shards:
            raise InputError(f"{folder} holds no {SHARD_PATTERN}: make it with 'infotok train --make-cache'")
        self._weigh()

    def hold_out(self) -> list[NDArray[np.uint8]]:
        """Take a tenth of the tiles, 64 at most, out of training; returns them.

        Whole shards where there are enough, because neighbouring tiles are of one video, from all over the
        cache, because neighbouring videos are alike. A cache of one shard lends its own tiles instead.
        """
        if len(self.shards) < 2:
            return list(self.shards[0])
        wanted = max(1, min(HELD_OUT_TILES, self.tiles // HELD_OUT_EVERY))
        full = max(len(shard) for shard in self.shards)
        whole = [place for place, shard in enumerate(self.shards) if len(shard) == full]
        count = min(wanted // full, len(whole) - 1)
        held: list[NDArray[np.uint8]] = []
        if count:
            places = {whole[(2 * number + 1) * len(whole) // (2 * count)] for number in range(count)}
            held = [tile for place in sorted(places) for tile in self.shards[place]]
            self.shards = [shard for place, shard in enumerate(self.shards) if place not in places]
        while len(held) < wanted and not count:
            last = self.shards.pop()
            spare = max(0, len(last) - (wanted - len(held)))
            held = [*last[spare:], *held]
            if spare:
                self.shards.append(last[:spare])
        self._weigh()
        return held

    def _weigh(self) -> None:
        weights = np.array([len(shard) for shard in self.shards], np.float64)
        self._weights = weights / weights.sum()

    @property
    def tiles(self) -> int:
        return sum(len(shard) for shard in self.shards)

    def draw(self, shape: CropShape, random: np.random.Generator) -> CropPlace:
        """Where a random crop lies: any tile is as likely as any other, any pixel and frame may begin it."""
        number = int(random.choice(len(self.shards), p=self._weights))
        shard = self.shards[number]
        tile = int(random.integers(len(shard)))
        spare = [max(0, have - want) for have, want in zip(shard.shape[1:], shape.sides, strict=False)]
        start, y, x = (int(random.integers(size + 1)) for size in spare)
        return CropPlace(
            shard=number,
            tile=tile,
            start=start,
            y=y,
            x=x,
            mirrored=bool(random.random() < 0.5),
            reversed=bool(random.random() < 0.5),
        )

    def sample(self, count: int, shape: CropShape, random: np.random.Generator) -> NDArray[np.uint8]:
        """`count` random crops `[count, frames, side, side, 3]`, mirrored and reversed at random.

        A tile shorter than `frames` runs forth and back.
        """
        batch = np.empty((count, shape.frames, shape.side, shape.side, 3), np.uint8)
        for row in range(count):
            place = self.draw(shape, random)
            clip = cut_crop(self.shards[place.shard][place.tile], shape, place.start, place.y, place.x)
            if place.mirrored:
                clip = clip[:, :, ::-1]
            batch[row] = clip[::-1] if place.reversed else clip
        return batch


def cut_crop(tile: NDArray[np.uint8], shape: CropShape, start: int, y: int, x: int) -> NDArray[np.uint8]:
    """Crop `[frames, side, side, 3]` of a tile; where it is too small it runs forth and back."""
    part = np.asarray(tile[start : start + shape.frames, y : y + shape.side, x : x + shape.side])
    for axis, (have, want) in enumerate(zip(part.shape, shape.sides, strict=False)):
        if have < want:
            part = part.take(bounce(have, want), axis=axis)
    return part


def bounce(have: int, want: int) -> NDArray[np.int64]:
    """`want` indices that turn round at the ends of 0..have-1."""
    cycle = np.concatenate([np.arange(have), np.arange(have - 2, 0, -1)]) if have > 1 else np.zeros(1)
    return np.resize(cycle, want).astype(np.int64)
