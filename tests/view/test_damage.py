"""Damaged files in views and reports: refused, or shown with stripes where tokens are lost."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from infotok_cli.cli.app import main
from infotok_cli.itk.edit import repair_file
from infotok_cli.view.drawing import HATCH, hatched
from made_clip import MadeClip, broken, made_clip

Run = Callable[..., tuple[int, str]]

LOST = (0.8, 1.2)
"""Seconds of segment 2 of 5, frames 16 to 23."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> MadeClip:
    return made_clip(tmp_path_factory.mktemp("damage"))


@pytest.fixture
def bent(clip: MadeClip, tmp_path: Path) -> Path:
    (tmp_path / "bent.itk").write_bytes(broken(clip.high.read_bytes(), 2))
    return tmp_path / "bent.itk"


@pytest.fixture
def run(clip: MadeClip, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> tuple[int, str]:
        code = main([*map(str, arguments), "--model", str(clip.model)])
        return code, capsys.readouterr().err

    return call


def stripes(picture: Path) -> NDArray[np.bool_]:
    return (np.asarray(Image.open(picture).convert("RGB")) == HATCH).all(axis=-1)


def data_of(page: Path) -> dict[str, object]:
    found = re.search(r'id="data">([^<]*)<', page.read_text("utf-8"))
    assert found is not None
    values: dict[str, object] = json.loads(found[1])["files"][0]
    return values


@pytest.mark.parametrize("command", ["view", "report"])
def test_damage_is_refused_with_the_way_out(bent: Path, tmp_path: Path, run: Run, command: str) -> None:
    suffix = {"view": ".png", "report": ".html"}[command]
    code, said = run(command, bent, "-o", tmp_path / f"out{suffix}")
    assert (code, said.count("\n")) == (3, 1)
    assert "bent.itk: segment 2 (0.800 s to 1.200 s" in said
    assert "--skip-bad of 'infotok decode', 'view' and 'report' shows the rest" in said
    assert list(tmp_path.iterdir()) == [bent]


def test_a_view_of_a_lost_segment_is_striped(bent: Path, clip: MadeClip, tmp_path: Path, run: Run) -> None:
    words = ["--skip-bad", "--source", clip.source]
    code, said = run("view", bent, "-o", tmp_path / "lost.png", "--frame", 17, *words)
    assert code == 0, said
    assert "segment 2 (0.800 s to 1.200 s" in said.splitlines()[0]
    assert "1 of 5 segments lost" in said.splitlines()[-1]
    code, said = run("view", bent, "-o", tmp_path / "whole.png", "--frame", 4, *words)
    assert code == 0, said
    lost, whole = stripes(tmp_path / "lost.png"), stripes(tmp_path / "whole.png")
    height, width = lost.shape
    panes, chart = slice(0, round(0.75 * height)), slice(round(0.8 * height), height)
    assert not whole[panes].any()
    thirds = [lost[panes, width * n // 3 + 9 : width * (n + 1) // 3 - 9].mean() for n in range(3)]
    assert thirds[0] == 0
    assert min(thirds[1:]) > 0.05
    for shown in (lost, whole):
        columns = np.flatnonzero(shown[chart].any(axis=0)) / width * 2.0
        assert columns.min() == pytest.approx(LOST[0], abs=0.05)
        assert columns.max() == pytest.approx(LOST[1], abs=0.05)


def test_moving_views_go_through_the_damage(bent: Path, tmp_path: Path, run: Run) -> None:
    code, said = run("view", bent, "-o", tmp_path / "all.webp", "--skip-bad")
    assert code == 0, said
    moving = Image.open(tmp_path / "all.webp")
    assert moving.n_frames == 40  # type: ignore[attr-defined]


def test_the_telling_frame_is_never_a_lost_one(bent: Path, tmp_path: Path, run: Run) -> None:
    code, said = run("view", bent, "-o", tmp_path / "a.png", "--skip-bad")
    assert code == 0, said
    found = re.search(r"frame (\d+) of", said)
    assert found is not None
    assert int(found[1]) not in range(16, 24)


def test_a_report_tells_and_marks_what_is_lost(bent: Path, clip: MadeClip, tmp_path: Path, run: Run) -> None:
    page = tmp_path / "page.html"
    code, said = run("report", bent, "-o", page, "--skip-bad", "--source", clip.source)
    assert code == 0, said
    assert "segment 2 (0.800 s to 1.200 s" in said
    told = data_of(page)
    assert told["lost"] == [list(LOST)]
    assert "1 of 5 segments lost" in str(told["headline"])
    rows = told["segments"]
    assert isinstance(rows, list)
    assert rows[2][4] == 0
    whole = sum(row[4] for row in rows)
    assert f"{whole:,} tokens" in str(told["headline"])
    planes = told["planes"]
    assert isinstance(planes, dict)
    frames = np.cumsum([0, *planes["frames"]])
    (lost,) = planes["lost"]
    assert frames[lost : lost + 2].tolist() == [16, 24]


@pytest.mark.parametrize("command", ["view", "report"])
def test_a_truncated_file_is_shown_as_far_as_it_goes(
    clip: MadeClip, tmp_path: Path, run: Run, command: str
) -> None:
    cut = tmp_path / "cut.itk"
    cut.write_bytes(clip.high.read_bytes()[: clip.high.stat().st_size * 7 // 10])
    target = tmp_path / {"view": "a.png", "report": "a.html"}[command]
    code, said = run(command, cut, "-o", target, "--source", clip.source)
    assert (code, said.count("\n")) == (3, 1)
    code, said = run(command, cut, "-o", target, "--source", clip.source, "--skip-bad")
    assert code == 0, said
    assert "cut.itk is truncated" in said
    assert said.count("what is whole is shown") == 1
    assert target.exists()


def test_a_repaired_file_needs_no_option(bent: Path, tmp_path: Path, run: Run) -> None:
    repair_file(bent, tmp_path / "mended.itk")
    code, said = run("view", tmp_path / "mended.itk", "-o", tmp_path / "a.png", "--at", "1")
    assert code == 0, said
    assert "1 of 5 segments lost" in said
    assert stripes(tmp_path / "a.png").any()


def test_stripes_lie_over_the_whole_picture() -> None:
    picture = np.full((64, 96, 3), 90, np.uint8)
    striped = (hatched(picture) == HATCH).all(axis=-1)
    assert 0.1 < striped.mean() < 0.4
    assert striped.any(axis=0).all()
    assert striped.any(axis=1).all()
