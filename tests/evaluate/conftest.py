"""A tiny untrained model and a folder of two short clips."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from infotok_cli.model.engine import Engine, choose_runtime
from infotok_cli.model.weights import load_model
from make_video import make_video, moving_shapes
from tiny_model import write_tiny_model


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    write_tiny_model(path)
    return Engine(load_model(path), choose_runtime("cpu"))


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of ten frames of 56x40 at 25 frames per second, and a file that is no clip."""
    folder = tmp_path_factory.mktemp("clips")
    for index in range(2):
        make_video(folder / f"{index}.mkv", moving_shapes(10, 40, 56, seed=index), rate=Fraction(25))
    (folder / "notes.txt").write_text("no video")
    return folder
