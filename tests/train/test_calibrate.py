"""The fitted quality model gives back what it was fitted on, on average."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from infotok_cli.allocation.allocate import allocate_blocks
from infotok_cli.metrics import average_psnr, psnr
from infotok_cli.model.engine import Engine, choose_runtime
from infotok_cli.model.weights import load_model
from infotok_cli.routers import ROUTERS
from infotok_cli.train.calibrate import RATES, fit_distortions, fit_rate_scales
from make_video import moving_shapes
from tiny_model import write_tiny_model


def test_predictions_sum_to_what_is_measured(tmp_path: Path) -> None:
    """For each level the predicted squared errors of its blocks add up to the measured ones."""
    write_tiny_model(tmp_path / "tiny.safetensors")
    engine = Engine(load_model(tmp_path / "tiny.safetensors"), choose_runtime("cpu"))
    clips = [moving_shapes(12, 32, 48, seed=seed) for seed in range(3)]
    fit = fit_distortions(engine, clips)["exact"]
    predicted, measured = np.zeros(4), np.zeros(4)
    shown_db, expected_db = [], []
    for clip in clips:
        footage = engine.footage(clip)
        (error,) = engine.exact_errors([footage])
        for rate in RATES:
            (chosen,) = allocate_blocks([error], rate)
            assert chosen.levels is not None
            shown = engine.decode(engine.encode(footage, chosen.keep).tokens, *clip.shape[:3])
            difference = (clip.astype(np.float64) - shown) / 127.5
            # The lead's block is judged by the four frames after it.
            difference = np.concatenate([difference[:4], difference])
            blocks = np.square(difference).reshape(2, 8, 2, 16, 3, 16, 3).mean(axis=(1, 3, 5, 6))
            share = np.log2(chosen.levels).astype(int)
            np.add.at(measured, share, blocks)
            np.add.at(predicted, share, fit.block_mse(error, chosen.levels))
            shown_db.append(average_psnr(psnr(clip, shown)))
            expected_db.append(fit.psnr_db(error, chosen))
    assert (measured > 0).all()
    assert predicted == pytest.approx(measured, rel=1e-4)
    assert np.mean(expected_db) == pytest.approx(np.mean(shown_db), abs=1e-6)


def test_clips_of_cut_blocks_are_refused(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "tiny.safetensors")
    engine = Engine(load_model(tmp_path / "tiny.safetensors"), choose_runtime("cpu"))
    with pytest.raises(ValueError, match="not made of whole blocks"):
        fit_distortions(engine, [moving_shapes(8, 32, 32)])


def test_routers_that_know_errors_get_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another router of a kind of error map that exists shares what is fitted to it."""
    write_tiny_model(tmp_path / "tiny.safetensors")
    engine = Engine(load_model(tmp_path / "tiny.safetensors"), choose_runtime("cpu"))
    another = dataclasses.replace(ROUTERS["fast"], name="another", code=99)
    monkeypatch.setitem(ROUTERS, "another", another)
    clips = [moving_shapes(12, 32, 32)]
    distortions, scales = fit_distortions(engine, clips), fit_rate_scales(engine, clips)
    assert set(distortions) == set(scales) == {"fast", "exact", "another"}
    assert distortions["another"] == distortions["fast"] != distortions["exact"]
    assert scales["another"] == scales["fast"] != scales["exact"]
