"""Training clips from a frame cache: uint8 `.npy` shards of tiles `[N, T, H, W, 3]`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infotok_cli.errors import InputError, UsageError

SHARD_PATTERN = "tiles-*.npy"

HELD_PATTERN = "held-*.npy"

HELD_TILES = 64
"""Measuring on more takes longer and shows nothing new."""


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
        """Shape of a text like 16x128; UsageError unless it is a multiple of 4 and one of 16."""
        frames, _, side = text.partition("x")
        if not (frames.isdecimal() and side.isdecimal() and int(frames) and int(side)):
            raise UsageError(
                f"`crop` {text!r} is not a size", way_out="give frames x pixels per side, like 16x128"
            )
        if int(frames) % 4 or int(side) % 16:
            raise UsageError(
                f"`crop` {text} does not fit whole latent steps and blocks",
                way_out="make frames a multiple of 4, and pixels per side of 16",
            )
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
        """Raises InputError when the folder holds no shards or one of them cannot be read."""
        self.shards = _shards(folder, SHARD_PATTERN)
        self.held = _shards(folder, HELD_PATTERN)
        """Tiles of clips that are not trained on; none where the cache was made of few clips."""
        if not self.shards:
            raise InputError(
                f"is not a frame cache (no {SHARD_PATTERN})",
                way_out="make one with 'infotok train --make-cache'",
                where=str(folder),
            )
        weights = np.array([len(shard) for shard in self.shards], np.float64)
        self._weights = weights / weights.sum()

    def held_tiles(self, frames: int) -> list[NDArray[np.uint8]]:
        """Tiles to measure on, 64 at most, from all over those held out.

        Those of at least `frames` frames, or the longest where there are none. If nothing is held out, they
        are tiles of training.
        """
        shards = self.held or self.shards
        enough = _enough(frames, shards)
        tiles = [tile for shard in shards if shard.shape[1] >= enough for tile in shard]
        places = np.linspace(0, len(tiles) - 1, min(len(tiles), HELD_TILES)).round().astype(int)
        return [tiles[place] for place in places]

    @property
    def tiles(self) -> int:
        return sum(len(shard) for shard in self.shards)

    def draw(self, shape: CropShape, random: np.random.Generator, *, whole: bool = False) -> CropPlace:
        """Where a random crop lies: any tile is as likely as any other, any pixel and frame may begin it.

        whole: only in tiles of at least `shape.frames` frames, or the longest where there are none.
        """
        weights = self._weights
        if whole:
            enough = _enough(shape.frames, self.shards)
            long = weights * [shard.shape[1] >= enough for shard in self.shards]
            weights = long / long.sum()
        number = int(random.choice(len(self.shards), p=weights))
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

    def sample(
        self, count: int, shape: CropShape, random: np.random.Generator, *, whole: bool = False
    ) -> NDArray[np.uint8]:
        """`count` random crops `[count, frames, side, side, 3]`, mirrored and reversed at random.

        A tile shorter than `frames` runs forth and back. whole: see `draw`.
        """
        batch = np.empty((count, shape.frames, shape.side, shape.side, 3), np.uint8)
        for row in range(count):
            place = self.draw(shape, random, whole=whole)
            clip = cut_crop(self.shards[place.shard][place.tile], shape, place.start, place.y, place.x)
            if place.mirrored:
                clip = clip[:, :, ::-1]
            batch[row] = clip[::-1] if place.reversed else clip
        return batch


def _enough(frames: int, shards: list[NDArray[np.uint8]]) -> int:
    """Frames that a tile must have to be long: `frames`, or as many as the longest has."""
    return min(frames, max(int(shard.shape[1]) for shard in shards))


def _shards(folder: Path, pattern: str) -> list[NDArray[np.uint8]]:
    """Shards of these names, mapped; InputError for one that is not an array of tiles."""
    shards = []
    for path in sorted(folder.glob(pattern)):
        try:
            shard = np.load(path, mmap_mode="r")
        except (OSError, EOFError, ValueError) as error:
            raise InputError(
                "is not a whole frame-cache shard", way_out="make the cache again", where=str(path)
            ) from error
        is_array = isinstance(shard, np.ndarray)
        if not is_array or shard.dtype != np.uint8 or shard.ndim != 5 or shard.shape[-1] != 3:
            raise InputError(
                "is not a frame-cache shard (uint8 [N, T, H, W, 3])",
                way_out="make the cache again",
                where=str(path),
            )
        shards.append(shard)
    return shards


def centre_crop(tile: NDArray[np.uint8], shape: CropShape) -> NDArray[np.uint8]:
    """The middle of a tile, from its first frame on; where it is too small it runs forth and back."""
    spare = [max(0, have - want) for have, want in zip(tile.shape, shape.sides, strict=False)]
    return cut_crop(tile, shape, 0, spare[1] // 2, spare[2] // 2)


def cut_crop(tile: NDArray[np.uint8], shape: CropShape, start: int, y: int, x: int) -> NDArray[np.uint8]:
    """Crop `[frames, side, side, 3]` of a tile; where it is too small it runs forth and back.

    A copy, as torch takes no pictures out of a read-only mapping without a warning.
    """
    part = np.array(tile[start : start + shape.frames, y : y + shape.side, x : x + shape.side])
    for axis, (have, want) in enumerate(zip(part.shape, shape.sides, strict=False)):
        if have < want:
            part = part.take(bounce(have, want), axis=axis)
    return part


def bounce(have: int, want: int) -> NDArray[np.int64]:
    """`want` indices that turn round at the ends of 0..have-1."""
    cycle = np.concatenate([np.arange(have), np.arange(have - 2, 0, -1)]) if have > 1 else np.zeros(1)
    return np.resize(cycle, want).astype(np.int64)
