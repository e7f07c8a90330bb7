"""Make a frame cache: videos cut into square tiles of raw frames, in shards that training maps."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infotok_cli.errors import InputError, OutputError
from infotok_cli.video.reader import open_video
from infotok_cli.video.segments import read_segments

TILE_FRAMES = 32
TILE_SIDE = 256
SHARD_TILES = 16
SHORTEST_FRAMES = 8
"""A run of fewer frames than this at the end of a video is left out."""

OVERHANG = 32
"""Pixels beyond a tile from which on another tile, overlapping the first, is cut."""


def make_cache(
    clips: Sequence[Path], folder: Path, progress: Callable[[Path, int], None] | None = None
) -> int:
    """Write shards `tiles-TxHxW-NNNN.npy`, uint8 `[N, T, H, W, 3]`, into `folder`; returns the tiles.

    A tile is 32 frames (the rest of a video: fewer, down to 8) of up to 256x256 pixels, a multiple of
    8; videos larger than a tile are shrunk to 256 pixels on the shorter side and give several tiles,
    side by side. The folder appears whole or not at all. InputError for files that are no videos;
    OutputError when `folder` exists or cannot be made.
    """
    if folder.exists():
        raise OutputError(f"{folder} exists already: name a folder that does not")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror}") from error
    try:
        shards = _Shards(partial)
        for clip in clips:
            with open_video(clip) as video:
                short = min(video.info.width, video.info.height)
                frames = video.frames(short_side=TILE_SIDE if short > TILE_SIDE else None)
                for run in read_segments(frames, TILE_FRAMES):
                    if len(run) >= SHORTEST_FRAMES:
                        for tile in _tiles(run):
                            shards.add(tile)
            if progress is not None:
                progress(clip, shards.tiles)
        shards.flush()
        if not shards.tiles:
            raise InputError(
                f"no video of at least {SHORTEST_FRAMES} frames and 8x8 pixels among {len(clips)} files"
            )
        partial.chmod(0o755)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return shards.tiles


def _tiles(run: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    _, height, width, _ = run.shape
    side = min(TILE_SIDE, height, width) // 8 * 8
    if not side:
        return
    for y in _corners(height, side):
        for x in _corners(width, side):
            yield run[:, y : y + side, x : x + side]


def _corners(length: int, side: int) -> list[int]:
    """Where tiles begin along an axis: evenly, overlapping, as few as leave out under 32 pixels."""
    spare = length - side
    if spare < OVERHANG:
        return [spare // 2]
    count = -(-length // side)
    return [round(spare * number / (count - 1)) for number in range(count)]


class _Shards:
    """Gathers tiles of equal shape and writes them in lots."""

    def __init__(self, folder: Path) -> None:
        self.tiles = 0
        self._folder = folder
        self._waiting: dict[tuple[int, ...], list[NDArray[np.uint8]]] = {}
        self._written: dict[tuple[int, ...], int] = {}

    def add(self, tile: NDArray[np.uint8]) -> None:
        waiting = self._waiting.setdefault(tile.shape, [])
        waiting.append(tile.copy())
        self.tiles += 1
        if len(waiting) == SHARD_TILES:
            self._write(tile.shape)

    def flush(self) -> None:
        for shape, waiting in self._waiting.items():
            if waiting:
                self._write(shape)

    def _write(self, shape: tuple[int, ...]) -> None:
        number = self._written.get(shape, 0)
        self._written[shape] = number + 1
        name = f"tiles-{shape[0]:02d}x{shape[1]:03d}x{shape[2]:03d}-{number:04d}.npy"
        # In memory first: what numpy writes by itself can be cut short by a full disk without an error.
        shard = io.BytesIO()
        np.save(shard, np.stack(self._waiting[shape]))
        try:
            (self._folder / name).write_bytes(shard.getbuffer())
        except OSError as error:
            raise OutputError(f"{self._folder / name} cannot be written: {error.strerror}") from error
        self._waiting[shape].clear()
