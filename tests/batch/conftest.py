"""A tiny model, a folder of made-up clips, and `infotok` run in this process."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from make_video import make_video, moving_shapes

os.environ["_TYPER_FORCE_DISABLE_TERMINAL"] = "1"

from infotok_cli.cli.app import main
from tiny_model import write_tiny_model

Result = subprocess.CompletedProcess[str]
SHARD_VARIABLES = (
    "RANK",
    "WORLD_SIZE",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_ARRAY_TASK_COUNT",
    "SLURM_ARRAY_TASK_MIN",
)


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    write_tiny_model(path)
    return path


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch, model_file: Path, tmp_path: Path) -> None:
    monkeypatch.setenv("INFOTOK_MODEL", str(model_file))
    monkeypatch.delenv("INFOTOK_DEBUG", raising=False)
    for name in SHARD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def made_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips in a tree: a/0.mp4, a/1.mp4, b/2.mp4 and top.mkv."""
    folder = tmp_path_factory.mktemp("made")
    for number, name in enumerate(("a/0.mp4", "a/1.mp4", "b/2.mp4", "top.mkv")):
        (folder / name).parent.mkdir(exist_ok=True)
        make_video(folder / name, moving_shapes(8 + 4 * number, 40, 48, number), audio_seconds=0.3 * number)
    return folder


@pytest.fixture
def clips(tmp_path: Path, made_clips: Path) -> Path:
    """These clips, in a folder `clips` where we are."""
    folder = tmp_path / "clips"
    for path in made_clips.rglob("*.m*"):
        target = folder / path.relative_to(made_clips)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run `infotok batch` in this process; expects success unless `code` says otherwise."""

    def call(*arguments: object, code: int = 0) -> Result:
        words = ["batch", *(str(word) for word in arguments)]
        capsys.readouterr()
        returned = main(words)
        out, err = capsys.readouterr()
        assert returned == code, err
        return Result(words, returned, out, err)

    return call
