"""Another's reconstruction beside ours: figures are those of its frames, and unlike files are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from infotok_cli.evaluate import beside
from infotok_cli.metrics import psnr
from infotok_cli.video.reader import open_video
from make_video import make_video, moving_shapes
from tiny_model import write_tiny_model


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    make_video(tmp_path / "clip.mkv", moving_shapes(12, 40, 56))
    return tmp_path / "clip.mkv"


@pytest.fixture
def decoded(tmp_path: Path) -> Path:
    """The clip with every frame but the first two of each six darkened."""
    frames = moving_shapes(12, 40, 56)
    dark = np.arange(12) % 6 >= 2
    make_video(tmp_path / "decoded.mkv", np.where(dark[:, None, None, None], frames // 2, frames))
    return tmp_path / "decoded.mkv"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_tiny_model(tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


def test_both_are_measured_frame_by_frame(
    clip: Path, decoded: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    out, plot = tmp_path / "out.json", tmp_path / "out.png"
    words = [str(clip), str(decoded), "--name", "other", "--window", "6", "--first", "2", "--rates", "0.5"]
    words += ["--metrics", "ssim", "--model", str(model), "-o", str(out), "--plot", str(plot)]
    beside.main(words)
    other, ours = json.loads(out.read_text())
    with open_video(clip) as one, open_video(decoded) as two:
        expected = psnr(np.stack(list(one.frames())), np.stack(list(two.frames())))
    assert other["psnr_by_frame"] == pytest.approx(np.minimum(expected, 100).tolist())
    assert other["quality"]["psnr_db"] == pytest.approx(np.minimum(expected, 100).mean())
    assert (other["bpp"], other["bpp16_nominal"]) == (None, 0.5)
    assert ours["name"] == "infotok tiny, rate 0.5"
    assert ours["bpp"] > 0
    assert len(ours["psnr_by_frame"]) == 12
    lines = capsys.readouterr().out.splitlines()
    assert "PSNR dB of frames 0-1 of each 6" in lines[0]
    cells = [cell.strip() for cell in lines[2].strip("|").split("|")]
    good = np.arange(12) % 6 < 2
    assert float(cells[-2]) == pytest.approx(np.minimum(expected, 100)[good].mean(), abs=0.01)
    assert float(cells[-1]) == pytest.approx(expected[~good].mean(), abs=0.01)
    assert float(cells[-2]) > float(cells[-1]) + 10
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_the_beginning_alone_can_be_measured(clip: Path, decoded: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    words = [str(clip), str(decoded), "--rates", "1", "--metrics", "psnr", "--model", str(model)]
    beside.main([*words, "--frames", "5", "-o", str(out)])
    assert [len(one["psnr_by_frame"]) for one in json.loads(out.read_text())] == [5, 5]


def test_an_unknown_metric_is_told(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        beside.main([str(clip), str(clip), "--metrics", "fvd"])
    assert ended.value.code == 2
    assert "metrics 'fvd' is unknown: choose psnr, ssim" in capsys.readouterr().err


@pytest.mark.parametrize("size", [(8, 40, 56), (12, 40, 48)])
def test_a_file_of_something_else_is_refused(
    clip: Path,
    model: Path,
    tmp_path: Path,
    size: tuple[int, int, int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_video(tmp_path / "else.mkv", moving_shapes(*size))
    with pytest.raises(SystemExit) as ended:
        beside.main([str(clip), str(tmp_path / "else.mkv"), "--metrics", "psnr", "--model", str(model)])
    assert ended.value.code == 3
    assert "else.mkv: has frames of another size than" in capsys.readouterr().err
