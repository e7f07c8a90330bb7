"""Whole encodes and decodes as rows of the kernels' table; without a GPU there are none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from infotok_cli.bench import files
from infotok_cli.model.engine import Engine
from infotok_kernels.bench import Run, append, line
from make_video import make_video, moving_shapes


def test_rows_are_of_whole_encodes_and_decodes(engine: Engine, tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mp4", moving_shapes(8, 40, 48))
    facts = Run(when="now", commit="c", gpu="none", torch="t", triton="t")
    rows = list(files.rows(clip, tmp_path, engine, facts, repeats=3))
    assert [(row.operation, row.case, row.way) for row in rows] == [
        ("file encode", "8x40x48", "reference"),
        ("file decode", "8x40x48", "reference"),
    ]
    for row in rows:
        assert 0 < row.low_ms <= row.median_ms <= row.high_ms
        assert "ms" in line(row)
    append(tmp_path / "rows.csv", rows)
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 3


def test_without_a_gpu_it_says_so(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "infotok_cli.bench.files", "--csv", str(tmp_path / "rows.csv")],
        capture_output=True,
        text=True,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "TRITON_INTERPRET": "0"},
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "nothing was measured" in result.stdout
    assert not (tmp_path / "rows.csv").exists()
