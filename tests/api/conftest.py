"""A tiny model, and a file made without one."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

import infotok_cli as infotok
from make_itk import Plan, itk_bytes, itk_header
from tiny_model import write_tiny_model


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    write_tiny_model(path)
    return path


@pytest.fixture(scope="session")
def model(weights: Path) -> infotok.Model:
    return infotok.load(weights, "cpu")


@pytest.fixture(scope="session")
def film_bytes() -> bytes:
    """10 frames a second, segments of 8, 8, 8 and 5 frames."""
    header = itk_header(frame_rate=Fraction(10), time_base=Fraction(1, 10))
    return itk_bytes([Plan(8), Plan(8), Plan(8), Plan(5)], header)


@pytest.fixture
def film(film_bytes: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "film.itk"
    path.write_bytes(film_bytes)
    return path
