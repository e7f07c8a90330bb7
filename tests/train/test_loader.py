"""Crops come ahead of time, the same from disk and device, and waiting for them is counted."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from infotok_cli.train.data import CropShape, FrameCache
from infotok_cli.train.device_cache import DeviceCrops
from infotok_cli.train.loader import CropStream, Loader, MappedCrops, mask_generator

SHAPES = (CropShape(8, 16), CropShape(16, 32))


def test_batches_are_ready_before_they_are_asked_for() -> None:
    drawn = 0
    enough = threading.Event()

    def draw() -> Tensor:
        nonlocal drawn
        drawn += 1
        if drawn == 4:
            enough.set()
        return torch.tensor(drawn)

    loader = Loader(draw, ahead=3)
    try:
        assert int(loader.next_batch()) == 1
        # The fourth is drawn although nobody has asked for the second yet.
        assert enough.wait(timeout=30)
        assert [int(loader.next_batch()) for _ in range(5)] == [2, 3, 4, 5, 6]
    finally:
        loader.close()


def test_waiting_is_counted() -> None:
    def slow() -> Tensor:
        time.sleep(0.05)
        return torch.zeros(1)

    loader = Loader(slow, ahead=1)
    for _ in range(4):
        loader.next_batch()
    loader.close()
    assert loader.waited_seconds > 0.1

    ready = threading.Event()
    loader = Loader(lambda: torch.zeros(1), ahead=2, start=ready.set)
    assert ready.wait(timeout=30)
    time.sleep(0.2)
    loader.next_batch()
    loader.close()
    assert loader.waited_seconds < 0.5


@pytest.mark.parametrize(
    ("sizes", "held"),
    [
        ([4], [0, 1, 2, 3]),  # nothing to spare: lent, and trained on as well
        ([1, 1], [1]),
        ([16, 16, 7], [36, 37, 38]),
        ([16, 3, 1], [18, 19]),
        ([4] * 40 + [1], [*range(20, 24), *range(60, 64), *range(100, 104), *range(140, 144)]),
        ([16] * 103 + [1], [*range(192, 208), *range(608, 624), *range(1024, 1040), *range(1440, 1456)]),
    ],
    ids=["one", "two", "few", "short end", "spread", "many"],
)
def test_what_is_held_out_is_not_trained_on(sizes: list[int], held: list[int], tmp_path: Path) -> None:
    first = 0
    for number, size in enumerate(sizes):
        tiles = np.arange(first, first + size).astype(np.uint8)
        array = np.broadcast_to(tiles[:, None, None, None, None], (size, 1, 1, 1, 3))
        np.save(tmp_path / f"tiles-{number:04d}.npy", array)
        first += size
    frames = FrameCache(tmp_path)
    out = frames.hold_out()
    assert [int(tile.flat[0]) for tile in out] == [number % 256 for number in held]
    assert frames.tiles == first - (len(held) if len(sizes) > 1 else 0)
    left = [int(tile.flat[0]) for shard in frames.shards for tile in shard]
    if 1 < first <= 256 and len(sizes) > 1:
        assert sorted(left + held) == list(range(first))
    assert frames.sample(3, CropShape(8, 16), np.random.default_rng(0)).shape == (3, 8, 16, 16, 3)


def test_an_error_in_the_thread_reaches_the_caller() -> None:
    def broken() -> Tensor:
        raise OSError("disk gone")

    loader = Loader(broken)
    with pytest.raises(OSError, match="disk gone"):
        loader.next_batch()
    loader.close()


def stream(cache: FrameCache, *, seed: int = 0, step: int = 0, rank: int = 0) -> CropStream:
    return CropStream(
        MappedCrops(cache, pin=False), SHAPES, batch=2, per_step=2, seed=seed, step=step, rank=rank
    )


def test_streams_differ_by_process_seed_and_step_but_not_in_shape(cache: Path) -> None:
    frames = FrameCache(cache)
    places: tuple[dict[str, int], ...] = ({}, {"rank": 1}, {"seed": 1}, {"step": 1})
    batches = [[stream(frames, **place).next_batch()] for place in places]
    again = stream(frames).next_batch()
    assert torch.equal(batches[0][0], again)
    for (other,) in batches[1:]:
        assert other.shape != again.shape or not torch.equal(other, again)
    mine, other_rank = stream(frames), stream(frames, rank=1)
    shapes = [(mine.next_batch().shape, other_rank.next_batch().shape) for _ in range(20)]
    assert all(first == second for first, second in shapes)
    # Both batches of a step have one shape; all shapes turn up.
    assert all(shapes[number][0] == shapes[number + 1][0] for number in range(0, 20, 2))
    assert len({first for first, _ in shapes}) == len(SHAPES)


def test_masks_differ_by_process_and_step() -> None:
    drawn = {
        float(torch.rand((), generator=mask_generator(seed, step, rank)))
        for seed in (0, 1)
        for step in (0, 1)
        for rank in (0, 1)
    }
    assert len(drawn) == 8


@pytest.mark.parametrize("shape", [*SHAPES, CropShape(40, 96)])
def test_a_cache_on_the_device_gives_the_same_crops(cache: Path, shape: CropShape) -> None:
    frames = FrameCache(cache)
    on_device = DeviceCrops(frames, torch.device("cpu")).crops(6, shape, np.random.default_rng(7))
    mapped = frames.sample(6, shape, np.random.default_rng(7))
    assert torch.equal(on_device, torch.from_numpy(mapped))
