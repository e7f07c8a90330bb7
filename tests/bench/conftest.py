"""A tiny untrained model."""

from __future__ import annotations

from pathlib import Path

import pytest

from infotok_cli.model.engine import Engine, choose_runtime
from infotok_cli.model.weights import load_model
from tiny_model import write_tiny_model


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    path: Path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    write_tiny_model(path)
    return Engine(load_model(path), choose_runtime("cpu"))
