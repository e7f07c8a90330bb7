"""Budgets against what files came to: from encodes that ran, clips beyond reach counted apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from infotok_cli.allocation.budgets import BUDGETS, Budget
from infotok_cli.allocation.fits import Fits
from infotok_cli.bench.budgets import Met, Shown, amounts_table, budgets_met, psnr_met, psnr_table
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.evaluate.measure import measure_clip
from infotok_cli.model.engine import Engine
from made_fits import MADE_UP
from make_video import make_video, moving_shapes

OPTIONS = EncodeOptions(frames=24, segment_frames=12, audio=False)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_video(tmp_path / "clip.mkv", moving_shapes(30, 64, 80))


@pytest.fixture
def fitted(engine: Engine) -> Engine:
    return Engine(replace(engine.loaded, fits=Fits({"fast": MADE_UP}, {})), engine.runtime)


def test_files_have_what_was_asked_for_and_no_more(clip: Path, engine: Engine) -> None:
    met = list(budgets_met(clip, engine, OPTIONS))
    assert {one.kind for one in met} == {
        name for name in BUDGETS if name not in ("target-psnr", "calibrated-rate")
    }
    for one in met:
        assert 0.97 <= one.share <= 1.001, one
        assert one.time_ratio > 0.2


def test_psnr_is_that_of_the_decoded_file(clip: Path, fitted: Engine) -> None:
    whole = replace(OPTIONS, frames=None)
    for asked, saturated in ((14.0, False), (50.0, True)):
        shown = psnr_met(clip, fitted, whole, asked)
        measured = measure_clip(clip, fitted, replace(whole, budget=Budget("target-psnr", asked)))
        assert (shown.shown_db, shown.saturated) == (pytest.approx(measured.psnr_db), saturated)


def test_tables() -> None:
    met = [Met("bitrate", 0.99, 2.0), Met("bitrate", 1.0, 3.0), Met("max-tokens", 1.0, 1.0)]
    assert amounts_table(met).splitlines()[2:] == [
        "| `--bitrate` | 99.00% | 100.00% | 2.5 |",
        "| `--max-tokens` | 100.00% | 100.00% | 1.0 |",
    ]
    shown = [Shown(26, 25.9, False), Shown(26, 26.3, False), Shown(26, 20, True), Shown(28, 24, True)]
    assert psnr_table(shown).splitlines()[2:] == [
        "| 26 | 2 | 0.20 | -0.10 | +0.30 |",
        "| 28 | 0 | – | – | – |",
    ]
