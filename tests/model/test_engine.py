"""The engine: numpy in, numpy out, and a real error map for the exact router."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from infotok_cli.errors import UsageError
from infotok_cli.model.engine import Engine, Runtime, choose_runtime
from infotok_cli.model.weights import load_model
from tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    write_tiny_model(path)
    return Engine(load_model(path), Runtime(torch.device("cpu"), "fp32"))


@pytest.mark.parametrize("shape", [(8, 16, 24), (5, 17, 9), (1, 1, 1)], ids=str)
def test_exact_error_is_that_of_the_decoded_picture(engine: Engine, shape: tuple[int, int, int]) -> None:
    frames = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    analysis = engine.analyze(frames)
    error = engine.exact_error(frames, analysis)
    keep = np.ones(error.shape, np.bool_)
    shown = engine.reconstruct(engine.compress(analysis, keep), keep, *shape)
    assert shown.shape == frames.shape
    difference = np.abs(frames.astype(float) - shown).mean(axis=-1) / 127.5
    for t, y, x in np.ndindex(*error.shape):
        cell = difference[4 * t : 4 * t + 4, 8 * y : 8 * y + 8, 8 * x : 8 * x + 8]
        # Pictures are rounded to whole levels and clipped; the map is not.
        assert error[t, y, x] == pytest.approx(cell.mean(), abs=0.01)


def test_predicted_error_is_positive_and_has_the_grid(engine: Engine) -> None:
    frames = np.zeros((6, 20, 20, 3), np.uint8)
    error = engine.predicted_error(engine.analyze(frames))
    assert error.shape == (2, 3, 3)
    assert (error > 0).all()


def test_same_input_same_ids(engine: Engine) -> None:
    frames = np.random.default_rng(2).integers(0, 256, (8, 24, 24, 3), dtype=np.uint8)
    keep = np.random.default_rng(3).random((2, 3, 3)) < 0.5
    first = engine.compress(engine.analyze(frames), keep)
    assert np.array_equal(first, engine.compress(engine.analyze(frames), keep))
    assert len(first) == keep.sum()


def test_runtime_is_chosen_or_refused_by_name(tmp_path: Path) -> None:
    assert choose_runtime("cpu").device.type == "cpu"
    with pytest.raises(UsageError, match="'tpu'"):
        choose_runtime("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="no CUDA device"):
            choose_runtime("cuda")
