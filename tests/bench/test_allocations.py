"""Ways to share out tokens: each spends what it was given, and differs in what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from infotok_cli.allocation import allocate
from infotok_cli.bench import allocations
from infotok_cli.bench.allocations import WAYS, first_segments, tables
from infotok_cli.model.engine import Engine, choose_runtime
from infotok_cli.model.weights import load_model
from make_video import make_video, moving_shapes
from tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def coding_engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """An engine with a token coder."""
    path = tmp_path_factory.mktemp("coded") / "tiny.safetensors"
    write_tiny_model(path, coded=True)
    return Engine(load_model(path), choose_runtime("cpu"))


@pytest.fixture
def clips(tmp_path: Path) -> list[Path]:
    sizes = ((40, 64), (64, 48))
    return [make_video(tmp_path / f"{n}.mp4", moving_shapes(10, *size)) for n, size in enumerate(sizes)]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_every_way_spends_the_rate(way: allocations.Way) -> None:
    generator = np.random.default_rng(1)
    errors = [
        generator.random((4, 6, 8), dtype=np.float32),
        3 * generator.random((2, 9, 6), dtype=np.float32),
    ]
    shared = way.allocations(errors, 0.5)
    assert [one.keep.shape for one in shared] == [error.shape for error in errors]
    tokens, positions = sum(one.tokens for one in shared), sum(error.size for error in errors)
    assert 0.5 * positions - 8 <= tokens <= 0.5 * positions + 1


def test_segments_are_the_middle_of_the_picture(clips: list[Path], coding_engine: Engine) -> None:
    shapes = [segment.frames.shape for segment in first_segments(clips, coding_engine, 48)]
    assert shapes == [(10, 40, 48, 3), (10, 48, 48, 3)]


def test_tables_have_a_row_for_each_way(
    clips: list[Path], coding_engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    tables(coding_engine, first_segments(clips, coding_engine, 48), [0.5])
    lines = capsys.readouterr().out.strip().splitlines()
    assert "rate 0.5" in lines[0]
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:]] == [way.name for way in WAYS]
    figures = {line.split(" | ", 1)[1] for line in lines[2:]}
    assert len(figures) > len(WAYS) // 2


def test_constants_count_for_one_way_only() -> None:
    errors = [np.random.default_rng(1).random((16, 6, 6), dtype=np.float32)]
    tried = {name: value for way in WAYS for name, value in way.constants.items()}
    own = {name: getattr(allocate, name) for name in tried}
    plain = WAYS[0].allocations(errors, 0.3)[0].keep
    for way in WAYS:
        if way.constants:
            assert (way.allocations(errors, 0.3)[0].keep != plain).any(), way.name
    assert own == {name: getattr(allocate, name) for name in own}
