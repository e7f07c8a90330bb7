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

HELD_OUT_EVERY = 10
"""One clip in this many is held out."""

NEIGHBOURS = 5
"""Clips of neighbouring names, often parts of one video, held out together where there are enough."""

OVERHANG = 32
"""Pixels beyond a tile from which on another tile, overlapping the first, is cut."""


def make_cache(
    clips: Sequence[Path], folder: Path, progress: Callable[[Path, int], None] | None = None
) -> int:
    """Write shards `tiles-TxHxW-NNNN.npy`, uint8 `[N, T, H, W, 3]`, into `folder`; returns the tiles.

    A tile is 32 frames (the rest of a video: fewer, down to 8) of up to 256x256 pixels, a multiple of
    8; videos larger than a tile are shrunk to 256 pixels on the shorter side and give several tiles,
    side by side. Tiles of one clip in ten go into shards `held-...` instead, to measure on; of fewer than
    five clips none does. The folder appears whole or not at all. progress: called after each clip with
    it and the tiles so far. Raises InputError for files that are not videos, and when no video is large
    enough; OutputError when `folder` exists or cannot be made.
    """
    if folder.exists():
        raise OutputError("exists already", way_out="name another folder", where=str(folder))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise OutputError(
            f"cannot be made ({error.strerror})", way_out="name another folder", where=str(folder)
        ) from error
    try:
        shards = _Shards(partial, shown_as=folder)
        for place, clip in enumerate(clips):
            held = is_held_out(place, len(clips))
            with open_video(clip) as video:
                short = min(video.info.width, video.info.height)
                frames = video.frames(short_side=TILE_SIDE if short > TILE_SIDE else None)
                for run in read_segments(frames, TILE_FRAMES):
                    if len(run) >= SHORTEST_FRAMES:
                        for tile in _tiles(run):
                            shards.add(tile, held)
            if progress is not None:
                progress(clip, shards.tiles)
        shards.flush()
        if not shards.learned_from:
            raise InputError(
                f"none of the files to learn from has at least {SHORTEST_FRAMES} frames of 8x8 pixels",
                way_out="give longer or larger videos",
            )
        partial.chmod(0o755)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return shards.tiles


def is_held_out(place: int, clips: int) -> bool:
    """Whether clip number `place` (from 0) of `clips` is measured on instead of trained on."""
    run = NEIGHBOURS if clips >= HELD_OUT_EVERY * NEIGHBOURS else 1
    return place // run % HELD_OUT_EVERY == HELD_OUT_EVERY // 2 - 1


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


_Kind = tuple[str, tuple[int, ...]]
"""Prefix of a shard's name and shape of its tiles."""


class _Shards:
    """Gathers tiles of equal shape and writes them in lots."""

    def __init__(self, folder: Path, shown_as: Path) -> None:
        """shown_as: what errors call the folder."""
        self.tiles = 0
        self.learned_from = 0
        """Those that are not held out."""
        self._folder = folder
        self._shown_as = shown_as
        self._waiting: dict[_Kind, list[NDArray[np.uint8]]] = {}
        self._written: dict[_Kind, int] = {}

    def add(self, tile: NDArray[np.uint8], held: bool) -> None:
        kind = ("held" if held else "tiles", tile.shape)
        waiting = self._waiting.setdefault(kind, [])
        waiting.append(tile.copy())
        self.tiles += 1
        self.learned_from += not held
        if len(waiting) == SHARD_TILES:
            self._write(kind)

    def flush(self) -> None:
        for kind, waiting in self._waiting.items():
            if waiting:
                self._write(kind)

    def _write(self, kind: _Kind) -> None:
        number = self._written.get(kind, 0)
        self._written[kind] = number + 1
        prefix, (frames, rows, columns, _) = kind
        name = f"{prefix}-{frames:02d}x{rows:03d}x{columns:03d}-{number:04d}.npy"
        # In memory first: numpy's own writing can be cut short by a full disk without an error.
        shard = io.BytesIO()
        np.save(shard, np.stack(self._waiting[kind]))
        try:
            (self._folder / name).write_bytes(shard.getbuffer())
        except OSError as error:
            raise OutputError(
                f"cannot be written ({error.strerror})",
                way_out="check the disk",
                where=str(self._shown_as),
            ) from error
        self._waiting[kind].clear()
