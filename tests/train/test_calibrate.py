"""The fitted quality model gives back what it was fitted on, on average."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from infotok_cli.metrics import average_psnr, psnr
from infotok_cli.model.allocation import allocate_blocks
from infotok_cli.model.engine import Engine, choose_runtime
from infotok_cli.model.weights import load_model
from infotok_cli.train.calibrate import RATES, fit_distortions
from make_video import moving_shapes
from tiny_model import write_tiny_model


def test_prediction_is_right_on_average(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "tiny.safetensors")
    engine = Engine(load_model(tmp_path / "tiny.safetensors"), choose_runtime("cpu"))
    clips = [moving_shapes(8, 32, 48, seed=seed) for seed in range(3)]
    fitted = fit_distortions(engine, clips)
    predicted, measured = [], []
    for clip in clips:
        analysis = engine.analyze(clip)
        error = engine.exact_error(clip, analysis)
        for rate in RATES:
            (chosen,) = allocate_blocks([error], rate)
            shown = engine.reconstruct(engine.compress(analysis, chosen.keep), chosen.keep, *clip.shape[:3])
            measured.append(average_psnr(psnr(clip, shown)))
            predicted.append(fitted["exact"].psnr_db(error, chosen))
    assert np.mean(predicted) == pytest.approx(np.mean(measured), abs=1e-6)
    assert set(fitted) == {"fast", "exact"}
    assert all(np.isfinite([*fit.offsets, *fit.slopes, fit.bias_db]).all() for fit in fitted.values())


def test_clips_of_cut_blocks_are_refused(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "tiny.safetensors")
    engine = Engine(load_model(tmp_path / "tiny.safetensors"), choose_runtime("cpu"))
    with pytest.raises(ValueError, match="not made of whole blocks"):
        fit_distortions(engine, [moving_shapes(4, 32, 32)])
