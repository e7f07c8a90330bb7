"""The programs in examples/ run, at a few steps and with a tiny model."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

import infotok_cli as infotok
from infotok_cli.motion import STILL
from infotok_cli.video.reader import open_video
from tiny_model import write_tiny_model

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_next_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny_model(tmp_path / "tiny.safetensors")
    main = runpy.run_path(str(EXAMPLES / "next_token.py"))["main"]
    out = tmp_path / "out"
    words = ["--clips", "6", "--steps", "12", "--batch", "2", "--model", str(tmp_path / "tiny.safetensors")]
    main([*words, "--out", str(out)])
    printed = capsys.readouterr().out
    bits = [float(line.split()[2]) for line in printed.splitlines() if line.startswith("step ")]
    assert bits[-1] < bits[0]
    with open_video(out / "continued.mp4") as video:
        assert (video.info.width, video.info.height) == (48, 48)
        assert len(list(video.frames())) == 16
    with infotok.open(out / "unseen.itk") as unseen, infotok.open(out / "continued.itk") as continued:
        assert (continued.motion_map(0) != STILL).any()
        assert np.array_equal(continued.motion_map(0), unseen.motion_map(0))
        before, after = unseen.tokens(0), continued.tokens(0)
        half = 3 * 6 * 6
        assert np.array_equal(before[:half], after[:half])
        assert not np.array_equal(before[half:], after[half:])
