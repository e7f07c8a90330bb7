"""The evaluation measures what a user would get: decoded frames against source frames, real bytes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from infotok_cli.codec.decode import decode_file
from infotok_cli.codec.encode import encode_file
from infotok_cli.config import EncodeOptions
from infotok_cli.errors import InputError
from infotok_cli.evaluate.sweep import Setting, as_json, find_clips, measure_clip, summarize, sweep
from infotok_cli.metrics import psnr
from infotok_cli.model.engine import Engine, choose_runtime
from infotok_cli.model.weights import load_model
from infotok_cli.video.reader import open_video
from make_video import make_video, moving_shapes
from tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    write_tiny_model(path)
    return Engine(load_model(path), choose_runtime("cpu"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for index in range(2):
        make_video(folder / f"{index}.mkv", moving_shapes(10, 40, 56, seed=index), rate=Fraction(25))
    (folder / "notes.txt").write_text("no video")
    return folder


def test_figures_are_those_of_the_files(engine: Engine, folder: Path, tmp_path: Path) -> None:
    clip = folder / "0.mkv"
    result = measure_clip(clip, engine, EncodeOptions(rate=0.5))
    report = encode_file(clip, tmp_path / "a.itk", engine, EncodeOptions(rate=0.5))
    assert result.size_bytes == report.size_bytes == (tmp_path / "a.itk").stat().st_size
    assert result.bpp == pytest.approx(8 * report.size_bytes / (10 * 40 * 56))
    # Lossless PNG frames of the same file must show the same PSNR.
    decode_file(tmp_path / "a.itk", tmp_path / "frames", engine)
    shown = []
    for path in sorted((tmp_path / "frames").iterdir()):
        with open_video(path) as picture:
            shown += list(picture.frames())
    with open_video(clip) as video:
        source = np.stack(list(video.frames()))
    assert result.psnr_db == pytest.approx(float(psnr(source, np.stack(shown)).mean()))


def test_sweep_covers_clips_and_settings(engine: Engine, folder: Path) -> None:
    settings = [
        Setting(rate=1.0, router="fast", allocation="block"),
        Setting(rate=0.5, router="exact", allocation="block"),
        Setting(rate=0.5, router="fixed", allocation="position"),
    ]
    seen = []
    results = sweep(find_clips([folder]), engine, settings, EncodeOptions(), seen.append)
    assert len(results) == len(seen) == 6
    rows = summarize(results)
    assert [row.setting for row in rows] == settings
    assert all(row.clips == 2 for row in rows)
    assert rows[0].bpp > rows[1].bpp
    assert rows[1].token_rate == pytest.approx(0.5, abs=0.02)
    assert rows[0].psnr_db == pytest.approx(np.mean([r.psnr_db for r in results if r.rate == 1]))
    assert as_json(results, engine)["model"]["sha256"] == engine.loaded.sha256


def test_clips_are_files_or_folders(folder: Path, tmp_path: Path) -> None:
    assert [clip.name for clip in find_clips([folder])] == ["0.mkv", "1.mkv"]
    assert find_clips([folder / "1.mkv"]) == [folder / "1.mkv"]
    with pytest.raises(InputError, match="does not exist"):
        find_clips([tmp_path / "none"])
    with pytest.raises(InputError, match="no video files"):
        find_clips([tmp_path])
