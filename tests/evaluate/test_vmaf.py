"""VMAF through a carried FFmpeg: there, or refused with the way out."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from infotok_cli.codec.options import EncodeOptions
from infotok_cli.errors import UsageError
from infotok_cli.evaluate.measure import measure_clip
from infotok_cli.evaluate.metric_table import METRIC_NAMES
from infotok_cli.evaluate.quality import QualityMeter
from infotok_cli.evaluate.vmaf import MODELS, VmafMeter, check_models, find_ffmpeg
from infotok_cli.metrics import LUMA_BT601
from infotok_cli.model.engine import Engine
from make_video import Frames, moving_shapes

MIN_SIDE = METRIC_NAMES["vmaf"].smallest_side
MIN_SIDE_V1 = METRIC_NAMES["vmaf-v1"].smallest_side


@pytest.fixture(scope="module")
def program() -> str:
    pytest.importorskip("imageio_ffmpeg")
    return find_ffmpeg()


def score(program: str, source: Frames, decoded: Frames) -> float:
    _, height, width, _ = source.shape
    with VmafMeter(program, height, width) as meter:
        meter.add(source[:3], decoded[:3])
        meter.add(source[3:], decoded[3:])
        return meter.scores()["vmaf"]


@pytest.mark.parametrize(("height", "width"), [(MIN_SIDE, 21), (64, 97)])
def test_worse_pictures_score_lower(program: str, height: int, width: int) -> None:
    source = moving_shapes(6, height, width)
    noise = np.random.default_rng(0).normal(0, 1, source.shape)
    scores = [
        score(program, source, np.clip(source + spread * noise, 0, 255).astype(np.uint8))
        for spread in (0, 10, 40)
    ]
    assert scores[0] > 98
    assert scores == sorted(scores, reverse=True)
    assert scores[2] < 70


def test_source_and_decoded_are_not_mixed_up(program: str) -> None:
    source = moving_shapes(6, 96, 96)
    sides = [np.roll(source, by, axis) // 4 for axis in (1, 2) for by in (-1, 1)]
    blurred = np.sum(sides, axis=0, dtype=np.uint8)
    # Detail that is lost costs much, detail that is added little.
    assert score(program, source, blurred) < score(program, blurred, source) - 2


def test_a_meter_takes_it_where_it_can(program: str, engine: Engine, folder: Path) -> None:
    row = measure_clip(folder / "0.mkv", engine, EncodeOptions(rate=0.5), ("psnr", "vmaf", "vmaf-v1"))
    assert row.vmaf is not None
    assert 0 <= row.vmaf <= 100
    assert row.vmaf_v1 is None, "the picture is too small for it"
    assert row.ssim is None, "nobody asked for it"
    tiny = moving_shapes(2, MIN_SIDE - 1, 40)
    with QualityMeter(MIN_SIDE - 1, 40, 4, ["psnr", "vmaf"]) as meter:
        meter.add(tiny, tiny)
        assert meter.result().vmaf is None


def both(program: str, source: Frames, decoded: Frames) -> tuple[float, float]:
    """VMAF and VMAF v1."""
    with VmafMeter(program, *source.shape[1:3], ["vmaf", "vmaf-v1"]) as meter:
        meter.add(source, decoded)
        scores = meter.scores()
    return scores["vmaf"], scores["vmaf-v1"]


@pytest.mark.parametrize(("height", "width"), [(MIN_SIDE_V1, MIN_SIDE_V1 + 5), (217, 301)])
def test_version_1_falls_with_noise(program: str, height: int, width: int) -> None:
    source = moving_shapes(3, height, width)
    noise = np.random.default_rng(0).normal(0, 1, source.shape)
    scores = [
        both(program, source, np.clip(source + spread * noise, 0, 255).astype(np.uint8))[1]
        for spread in (0, 10, 40)
    ]
    assert scores[0] > 95
    assert scores == sorted(scores, reverse=True)
    assert scores[2] < 50


@pytest.mark.parametrize(("height", "width"), [(MIN_SIDE_V1, MIN_SIDE_V1 + 5), (217, 301)])
def test_version_1_sees_colour_and_the_old_model_does_not(program: str, height: int, width: int) -> None:
    source = moving_shapes(3, height, width) // 2 + 64
    # Coarse noise of colour that leaves the luma as it is.
    coarse = np.random.default_rng(0).normal(0, 30, (3, height // 8 + 1, width // 8 + 1, 2))
    red, blue = np.moveaxis(coarse.repeat(8, 1).repeat(8, 2)[:, :height, :width], -1, 0)
    green = -(LUMA_BT601[0] * red + LUMA_BT601[2] * blue) / LUMA_BT601[1]
    coloured = np.rint(source + np.stack([red, green, blue], -1)).clip(0, 255).astype(np.uint8)
    before, after = both(program, source, source), both(program, source, coloured)
    assert before[0] - after[0] < 1.5
    assert before[1] - after[1] > 2 * (before[0] - after[0])


def test_two_models_in_one_run_say_what_each_says_alone(program: str) -> None:
    source = moving_shapes(3, 216, 216)
    together: dict[str, float] = {}
    for names in (["vmaf", "vmaf-v1"], ["vmaf"], ["vmaf-v1"]):
        with VmafMeter(program, 216, 216, names) as meter:
            meter.add(source, source // 2 + 40)
            scores = meter.scores()
        together = together or scores
        assert scores == {name: pytest.approx(together[name]) for name in names}


def test_a_model_that_is_not_there_is_told_before_anything_is_measured(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_models(program, ["vmaf", "vmaf-v1"])
    monkeypatch.setitem(MODELS, "vmaf-v1", "vmaf_v9")
    with pytest.raises(UsageError, match=r"metrics vmaf-v1: FFmpeg failed \(.*imageio-ffmpeg 0\.8\.1"):
        check_models(program, ["vmaf-v1"])


def test_a_failing_ffmpeg_is_told(program: str) -> None:
    with pytest.raises(UsageError, match="metrics vmaf: FFmpeg failed"):
        score(program, moving_shapes(40, 8, 8), moving_shapes(40, 8, 8))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(UsageError, match=r"pip install 'infotok\[vmaf\]'"):
        find_ffmpeg()


def test_an_ffmpeg_without_the_filter_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str
) -> None:
    import imageio_ffmpeg

    bare = tmp_path / "ffmpeg"
    bare.write_text("#!/bin/sh\necho \"Unknown filter 'libvmaf'.\"\n")
    bare.chmod(0o755)
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(bare))
    with pytest.raises(UsageError, match="has no libvmaf filter"):
        find_ffmpeg()
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(tmp_path / "none"))
    with pytest.raises(UsageError, match="cannot run"):
        find_ffmpeg()
