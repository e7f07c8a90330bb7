"""Refining: never worse, better where there is something to gain, and nothing but ids changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from infotok_cli.errors import UsageError
from infotok_cli.model import refine
from infotok_cli.model.engine import Engine, Runtime
from infotok_cli.model.weights import load_model
from tiny_model import write_tiny_model

SHAPE = (8, 24, 40)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    write_tiny_model(path)
    return Engine(load_model(path), Runtime(torch.device("cpu"), "fp32"))


def _mean_log_error(shown: NDArray[np.uint8], frames: NDArray[np.uint8]) -> float:
    squared = np.square(shown.astype(np.float64) - frames).mean(axis=(1, 2, 3)) / 127.5**2
    return float(np.log(squared + 2e-4).mean())


@pytest.mark.parametrize("rate", [1.0, 0.4])
def test_refined_ids_show_a_closer_picture(engine: Engine, rate: float) -> None:
    random = np.random.default_rng(5)
    keep = random.random((2, 3, 5)) < rate
    goal = random.integers(0, 64000, int(keep.sum())).astype(np.uint16)
    frames = engine.reconstruct(goal, keep, *SHAPE)
    start = engine.compress(engine.analyze(frames), keep)
    before = _mean_log_error(engine.reconstruct(start, keep, *SHAPE), frames)
    refined = engine.refine(frames, start, keep, 12)
    after = _mean_log_error(engine.reconstruct(refined, keep, *SHAPE), frames)
    assert refined.dtype == np.uint16
    assert refined.shape == start.shape
    assert refined.max() < 64000
    assert after < before - 0.2, (before, after)


def test_no_steps_and_perfect_ids_change_nothing(engine: Engine) -> None:
    random = np.random.default_rng(6)
    keep = random.random((2, 3, 5)) < 0.5
    ids = random.integers(0, 64000, int(keep.sum())).astype(np.uint16)
    frames = random.integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
    assert np.array_equal(engine.refine(frames, ids, keep, 0), ids)
    shown = engine.reconstruct(ids, keep, *SHAPE)
    refined = engine.refine(shown, ids, keep, 3)
    assert _mean_log_error(engine.reconstruct(refined, keep, *SHAPE), shown) <= _mean_log_error(shown, shown)


def test_a_segment_may_have_any_size(engine: Engine) -> None:
    frames = np.random.default_rng(7).integers(0, 256, (5, 17, 9, 3), dtype=np.uint8)
    keep = np.ones((2, 3, 2), np.bool_)
    ids = engine.compress(engine.analyze(frames), keep)
    refined = engine.refine(frames, ids, keep, 2)
    before = _mean_log_error(engine.reconstruct(ids, keep, 5, 17, 9), frames)
    assert _mean_log_error(engine.reconstruct(refined, keep, 5, 17, 9), frames) <= before + 1e-3


def test_large_segments_take_the_same_steps_in_less_memory(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = np.random.default_rng(8).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
    keep = np.ones((2, 3, 5), np.bool_)
    ids = engine.compress(engine.analyze(frames), keep)
    kept = engine.refine(frames, ids, keep, 3)
    monkeypatch.setattr(refine, "KEPT_POSITIONS", 0)
    assert np.array_equal(engine.refine(frames, ids, keep, 3), kept)
    assert not np.array_equal(kept, ids)


def test_too_little_memory_is_told_in_a_line(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_much(*_: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr("infotok_cli.model.engine.refine_codes", too_much)
    frames, keep = np.zeros((*SHAPE, 3), np.uint8), np.ones((2, 3, 5), np.bool_)
    with pytest.raises(UsageError, match=r"too little memory for one segment: .* without refine"):
        engine.refine(frames, np.zeros(30, np.uint16), keep, 1)
