"""Crops come ahead of time, the same from disk and device, and waiting for them is counted."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from infotok_cli.train.device_cache import DeviceCrops
from infotok_cli.train.frame_cache import CropShape, FrameCache, centre_crop
from infotok_cli.train.loader import CropStream, Loader, MappedCrops, mask_generator
from infotok_cli.train.make_cache import is_held_out, make_cache
from make_video import make_video

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


def write_shard(folder: Path, name: str, first: int, size: int, frames: int = 16) -> None:
    tiles = np.arange(first, first + size).astype(np.uint8)
    np.save(folder / name, np.broadcast_to(tiles[:, None, None, None, None], (size, frames, 8, 8, 3)))


def numbers(tiles: list[np.ndarray]) -> list[int]:
    return [int(tile.flat[0]) for tile in tiles]


def test_held_tiles_come_from_all_over_and_are_long_enough(tmp_path: Path) -> None:
    write_shard(tmp_path, "tiles-a.npy", 0, 10)
    lent = FrameCache(tmp_path)
    assert numbers(lent.held_tiles(16)) == list(range(10))
    write_shard(tmp_path, "held-a.npy", 100, 100)
    write_shard(tmp_path, "held-b.npy", 200, 4, frames=8)
    frames = FrameCache(tmp_path)
    held = numbers(frames.held_tiles(16))
    assert len(held) == 64
    assert held[:2] == [100, 102]
    assert held[-1] == 199
    assert 203 in numbers(frames.held_tiles(8))
    assert 203 not in numbers(frames.held_tiles(32))  # none is as long: the longest will do
    assert frames.tiles == 10
    assert frames.sample(20, CropShape(8, 8), np.random.default_rng(0)).max() < 10


def test_whole_samples_come_from_tiles_of_enough_frames(tmp_path: Path) -> None:
    write_shard(tmp_path, "tiles-a.npy", 0, 10)
    write_shard(tmp_path, "tiles-b.npy", 100, 1, frames=32)
    frames, shape = FrameCache(tmp_path), CropShape(32, 8)
    assert frames.sample(30, shape, np.random.default_rng(0), whole=True).min() == 100
    assert frames.sample(30, shape, np.random.default_rng(0)).min() < 10
    longer = CropShape(40, 8)
    assert frames.sample(30, longer, np.random.default_rng(0), whole=True).min() == 100


def test_crops_are_copies_that_torch_takes_without_a_warning(tmp_path: Path) -> None:
    write_shard(tmp_path, "tiles-a.npy", 7, 1)
    (tile,) = FrameCache(tmp_path).held_tiles(16)
    assert not tile.flags.writeable
    crop = centre_crop(tile, CropShape(16, 8))
    assert crop.flags.writeable
    assert (crop == 7).all()


def test_one_clip_in_ten_is_held_out_with_its_neighbours() -> None:
    for clips, held in ((4, []), (5, [4]), (30, [4, 14, 24]), (101, [*range(20, 25), *range(70, 75)])):
        assert [place for place in range(clips) if is_held_out(place, clips)] == held


def test_tiles_of_held_clips_are_in_no_other_shard(tmp_path: Path) -> None:
    clips = [
        make_video(tmp_path / f"{place}.mkv", np.full((24, 16, 16, 3), 20 * place + 20, np.uint8))
        for place in range(5)
    ]
    assert make_cache(clips, tmp_path / "cache") == 5
    frames = FrameCache(tmp_path / "cache")
    assert (frames.tiles, len(frames.held_tiles(8))) == (4, 1)
    assert abs(numbers(frames.held_tiles(8))[0] - 100) < 6
    assert frames.sample(30, CropShape(8, 16), np.random.default_rng(0)).max() < 90


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
