"""Metrics of a share of the frames: which frames those are, and what the meters make of them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from fetched_weights import skip_without_weights
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.errors import ModelError, UsageError
from infotok_cli.evaluate import sampled
from infotok_cli.evaluate.anchors import ANCHORS
from infotok_cli.evaluate.measure import measure_anchor, measure_clip
from infotok_cli.evaluate.metric_table import METRIC_NAMES, METRICS, in_order, signed
from infotok_cli.evaluate.quality import QualityMeter, check_metrics
from infotok_cli.evaluate.sampled import SampledMeter, measure_of
from infotok_cli.model.engine import Engine
from make_video import Frames, moving_shapes


@pytest.fixture
def numbered(monkeypatch: pytest.MonkeyPatch) -> Frames:
    """Thirty frames that show their number, and a metric that reads it."""
    monkeypatch.setattr(sampled, "measure_of", lambda _: lambda source, decoded: float(source[0, 0, 0]))
    return np.broadcast_to(np.arange(30, dtype=np.uint8)[:, None, None, None], (30, 16, 16, 3))


@pytest.mark.parametrize(
    ("frames", "expected"),
    [(30, [2, 7, 12, 17, 22, 27]), (8, [2, 7]), (7, [2]), (3, [2]), (2, [1]), (1, [0])],
)
@pytest.mark.parametrize("length", [4, 5, 7, 30])
def test_frames_are_evenly_spread(numbered: Frames, frames: int, length: int, expected: list[int]) -> None:
    meter = SampledMeter("ssimulacra2")
    for first in range(0, frames, length):
        segment = numbered[first : min(first + length, frames)]
        meter.add(segment, segment)
    assert meter.score() == np.mean(expected)


def test_the_dearest_metrics_are_measured_more_rarely(numbered: Frames) -> None:
    meter = SampledMeter("dists")
    meter.add(numbered, numbered)
    assert meter.score() == np.mean([7, 22])


def test_every_place_in_a_latent_step_has_its_turn() -> None:
    for metric in METRICS.values():
        assert len({number % 4 for number in range(0, 100, metric.every)}) == 4


def test_ssimulacra2_falls_with_noise_and_blur() -> None:
    pytest.importorskip("ssimulacra2")
    source = moving_shapes(1, 225, 240)[0]
    noise = np.random.default_rng(0).normal(0, 1, source.shape)
    measure = measure_of("ssimulacra2")
    scores = [
        measure(source, np.clip(source + spread * noise, 0, 255).astype(np.uint8))
        for spread in (0, 4, 16, 48)
    ]
    assert scores[0] == 100
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] < 40
    soft = np.mean([np.roll(source, by, axis) for axis in (0, 1) for by in (-1, 1)], axis=0)
    assert measure(source, soft.astype(np.uint8)) < 90


def test_ssimulacra2_is_given_the_picture_itself(tmp_path: Path) -> None:
    pytest.importorskip("ssimulacra2")
    from PIL import Image
    from ssimulacra2 import compute_ssimulacra2

    source = moving_shapes(1, 41, 67)[0]
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path, picture in zip(paths, (source, source // 2 + 30), strict=True):
        Image.fromarray(picture).save(path)
    assert measure_of("ssimulacra2")(source, source // 2 + 30) == compute_ssimulacra2(*map(str, paths))


def test_a_meter_measures_what_is_asked_for() -> None:
    pytest.importorskip("ssimulacra2")
    source = moving_shapes(6, 225, 230)
    with QualityMeter(225, 230, 4, ["psnr", "ssim", "ssimulacra2"]) as meter:
        meter.add(source[:4], source[:4] // 2)
        meter.add(source[4:], source[4:] // 2)
        quality = meter.result()
    assert quality.ssimulacra2 == measure_of("ssimulacra2")(source[2], source[2] // 2)
    assert quality.ssim is not None
    assert [quality.ms_ssim, quality.dists, quality.lpips_vgg, quality.vmaf] == [None] * 4
    with QualityMeter(224, 230, 4, ["psnr", "ssimulacra2"]) as meter:
        meter.add(source[:, 1:], source[:, 1:])
        assert meter.result().ssimulacra2 is None, "the picture is too small for it"


def test_learned_metrics_are_measured_through_files(engine: Engine, folder: Path) -> None:
    skip_without_weights()
    names = ("lpips-vgg", "lpips-alex", "dists")
    rows = [
        measure_anchor(
            folder / "0.mkv", ANCHORS["x264"], crf, EncodeOptions(), segment_frames=4, metrics=names
        )
        for crf in (20, 50)
    ]
    for metric in (METRIC_NAMES[name] for name in names):
        good, bad = (getattr(row, metric.key) for row in rows)
        assert 0 < good < bad < 1
    ours = measure_clip(folder / "0.mkv", engine, EncodeOptions(rate=0.5), names)
    assert ours.dists is not None
    assert 0 < ours.dists <= 1


def test_what_is_missing_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    measure_of.cache_clear()
    monkeypatch.setenv("INFOTOK_CACHE", str(tmp_path))
    for name in ("lpips-vgg", "lpips-alex", "dists"):
        with pytest.raises(ModelError, match=r"are missing: fetch .* -m infotok_cli\.perceptual\.fetch"):
            check_metrics(["psnr", name])
    monkeypatch.setitem(sys.modules, "ssimulacra2", None)
    with pytest.raises(UsageError, match="metrics ssimulacra2 needs the package ssimulacra2: install"):
        check_metrics(["ssimulacra2"])
    check_metrics(["psnr", "ssim", "ms-ssim"])
    measure_of.cache_clear()


def test_the_document_says_what_the_table_says() -> None:
    text = (Path(__file__).parents[2] / "docs" / "EVAL.md").read_text("utf-8")
    for metric in METRICS.values():
        (row,) = re.findall(rf"^\| `{metric.name}` \| (.*) \|$", text, re.MULTILINE)
        better, frames, cost, side, _ = [cell.strip() for cell in row.split("|")]
        assert (better, int(side)) == (metric.better, metric.smallest_side)
        assert frames == ("all" if metric.every == 1 else f"1 in {metric.every}")
        assert float(cost.split(",")[0]) == pytest.approx(30 / metric.every * metric.cpu_seconds, rel=0.15)


def test_the_table_is_whole() -> None:
    assert len(METRIC_NAMES) == len(METRICS) == 9
    assert in_order(["vmaf", "ssim"]) == ("psnr", "ssim", "vmaf")
    assert signed("dists", 0.25) == -0.25
    assert signed("psnr_db", 25) == 25
