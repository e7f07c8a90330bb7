"""Batches of crops, cut by a background thread a few steps ahead of the training that uses them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from infotok_cli.train.frame_cache import CropShape, FrameCache

AHEAD = 4
"""Batches that are ready or being cut while one is in use."""


class CropSource(Protocol):
    """Where crops come from: a frame cache, mapped or on a device."""

    def crops(self, count: int, shape: CropShape, random: np.random.Generator) -> Tensor:
        """`count` random crops, uint8 `[count, frames, side, side, 3]`."""
        ...


class MappedCrops:
    """Crops from shards on disk, cut on the CPU; page-locked where a GPU will fetch them."""

    def __init__(self, cache: FrameCache, *, pin: bool) -> None:
        self._cache = cache
        self._pin = pin

    def crops(self, count: int, shape: CropShape, random: np.random.Generator) -> Tensor:
        batch = torch.from_numpy(self._cache.sample(count, shape, random))
        return batch.pin_memory() if self._pin else batch


class CropStream:
    """An endless stream of batches for one process of a run.

    Crops are drawn from random numbers of its own; the crop shape is the same in all processes and
    stays for the batches of one step, so that no process waits for another's larger crops.
    """

    def __init__(
        self,
        source: CropSource,
        shapes: tuple[CropShape, ...],
        *,
        batch: int,
        per_step: int,
        seed: int,
        step: int,
        rank: int,
    ) -> None:
        self._source = source
        self._shapes = shapes
        self._batch = batch
        self._per_step = per_step
        self._shared = np.random.default_rng([seed, step, 0])
        self._own = np.random.default_rng([seed, step, 1 + rank])
        self._drawn = 0
        self._shape = shapes[0]

    def next_batch(self) -> Tensor:
        """uint8 `[batch, frames, side, side, 3]`."""
        if self._drawn % self._per_step == 0:
            self._shape = self._shapes[int(self._shared.integers(len(self._shapes)))]
        self._drawn += 1
        return self._source.crops(self._batch, self._shape, self._own)


class Loader:
    """Calls `draw` in a thread, a few results ahead, and counts how long the caller waited for one.

    It is endless and outlives the block that made it, unlike `ahead` in the codec, which reads a source that
    ends and must be left before its file is closed.

    start: called in the thread before the first draw.
    """

    def __init__(
        self, draw: Callable[[], Tensor], *, ahead: int = AHEAD, start: Callable[[], None] | None = None
    ) -> None:
        self.waited_seconds = 0.0
        self._draw = draw
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="crops", initializer=start or (lambda: None))
        self._coming: deque[Future[Tensor]] = deque(self._thread.submit(draw) for _ in range(ahead))

    def next_batch(self) -> Tensor:
        """The oldest batch that was not taken yet; raises what `draw` raised."""
        began = time.monotonic()
        batch = self._coming[0].result()
        self.waited_seconds += time.monotonic() - began
        self._coming.popleft()
        self._coming.append(self._thread.submit(self._draw))
        return batch

    def close(self) -> None:
        """Stop the thread after the batch it is at."""
        self._thread.shutdown(wait=True, cancel_futures=True)


def mask_generator(seed: int, step: int, rank: int) -> torch.Generator:
    """Random numbers for the masks of one process, apart from those of its crops."""
    (state,) = np.random.SeedSequence([seed, step, 1 + rank, 1]).generate_state(1)
    return torch.Generator().manual_seed(int(state))
