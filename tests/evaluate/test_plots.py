"""Curves as pictures, and what is said when they cannot be drawn."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from infotok_cli.errors import OutputError, UsageError
from infotok_cli.evaluate.plots import check_plot, plot_curves, plot_lines
from infotok_cli.video.reader import open_video
from made_rows import anchor_row, our_row

ROWS = [
    our_row("a", 1, 0.06, 28), our_row("a", 0.5, 0.03, 27), our_row("a", 0.5, 0.03, 26, router="fixed"),
    anchor_row("a", 30, 0.05, 31), anchor_row("a", 40, 0.02, 27),
]  # fmt: skip


def test_a_picture_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot_curves(ROWS, tmp_path / "curves.png")
    with open_video(tmp_path / "curves.png") as video:
        (picture,) = video.frames()
    assert picture.shape[1] == 1650
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20
    with pytest.raises(OutputError, match="exists already"):
        plot_curves(ROWS, tmp_path / "curves.png")


def test_curves_are_named_and_meet_at_rate_1(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot_curves([replace(row, vmaf=50.0) for row in ROWS], tmp_path / "curves.svg")
    text = (tmp_path / "curves.svg").read_text()
    for name in ("small fast", "small fixed", "x264", "PSNR dB", "MS-SSIM", "VMAF"):
        assert f"<!-- {name} -->" in text
    plot_curves(ROWS, tmp_path / "without.svg")
    assert "<!-- VMAF -->" not in (tmp_path / "without.svg").read_text()


def test_published_results_are_marked_as_of_other_clips(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot_curves(ROWS, tmp_path / "field.svg", published=True)
    text = (tmp_path / "field.svg").read_text()
    for name in (
        "small fast, nominal", "small fast, real bits", "Cosmos (TokenBench)", "VidTok (MCL-JCV, 256 rows)",
        "published results are of other clips", "PSNR dB, difference from x264",
    ):  # fmt: skip
        assert f"<!-- {name} -->" in text
    assert "x264, nominal" not in text
    plot_curves(ROWS, tmp_path / "without.svg")
    assert "Cosmos" not in (tmp_path / "without.svg").read_text()


def test_up_is_better_in_every_panel(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot_curves([replace(row, dists=0.3 - row.psnr_db / 200) for row in ROWS], tmp_path / "curves.svg")
    text = (tmp_path / "curves.svg").read_text()
    assert "<!-- DISTS (less is better) -->" in text
    # Numbers on the axis of DISTS, from the bottom up: they fall.
    panel = text[text.index("<!-- MS-SSIM -->") : text.index("<!-- DISTS (less is better) -->")]
    ticks = [float(tick) for tick in re.findall(r"<!-- (0\.1\d+) -->", panel)]
    assert len(ticks) > 2
    heights = [float(y) for y in re.findall(r'<use xlink:href="#[^"]*" x="[^"]*" y="([^"]*)"', panel)][
        -len(ticks) :
    ]
    assert (ticks == sorted(ticks)) == (heights == sorted(heights))


def test_only_curves_of_one_segment_length_meet_at_rate_1() -> None:
    short = [replace(row, segment_frames=16, bpp=row.bpp + 0.001) for row in ROWS[:3]]
    drawn = {name: [point.bpp for point in line] for name, line in plot_lines([*ROWS[:3], *short]).items()}
    assert drawn == {
        "small fast": [0.03, 0.06], "small fixed": [0.03, 0.06],
        "small fast segments of 16": [0.031, 0.061], "small fixed segments of 16": [0.031, 0.061],
    }  # fmt: skip


def test_what_cannot_be_drawn_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"a\.txt is not a picture: choose a name in \.png"):
        check_plot(Path("a.txt"))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"pip install 'infotok\[plots\]'"):
        check_plot(Path("a.png"))
