"""Intervals: how often they hold, what pairing is worth, and where there is none."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from infotok_cli.evaluate.bd import bd_rate
from infotok_cli.evaluate.bootstrap import RESAMPLES, Values, draws, mean_interval, tails
from infotok_cli.evaluate.compare import Comparison, compare, curves, reference_curve
from infotok_cli.evaluate.comparison_csv import comparisons_as_csv
from infotok_cli.evaluate.differences import Difference, difference
from infotok_cli.evaluate.metric_table import METRICS
from infotok_cli.evaluate.published import PUBLISHED
from infotok_cli.evaluate.results import ClipResult
from infotok_cli.evaluate.summary import summarize
from made_rows import anchor_row, our_row

POINTS = [(0.01, 24.0), (0.02, 27.0), (0.04, 29.0), (0.08, 31.0)]


def rows_of(factors: list[float], levels: list[float] | None = None) -> list[ClipResult]:
    """An anchor and ours, which takes `factors` times its bits; `levels` (dB) tell clips apart."""
    rows = []
    for number, (factor, level) in enumerate(zip(factors, levels or [0.0] * len(factors), strict=True)):
        clip, dearer = str(number), 2 ** (level / 4)
        rows += [anchor_row(clip, crf, r * dearer, q + level) for crf, (r, q) in enumerate(POINTS)]
        rows += [our_row(clip, 10 * r, r * factor * dearer, q + level) for r, q in POINTS]
    return rows


def psnr_against_x264(rows: list[ClipResult]) -> Comparison:
    return next(row for row in compare(rows) if (row.reference, row.metric) == ("x264", "psnr_db"))


def test_an_interval_holds_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        interval = mean_interval(random.normal(12, 5, 20))
        assert interval is not None
        held += interval.low <= 12 <= interval.high
    # 95 % with many clips; percentile intervals of 20 are a little too narrow.
    assert 0.86 <= held / 200 <= 0.99


def test_the_interval_of_a_bd_rate_is_about_the_known_difference() -> None:
    random = np.random.default_rng(1)
    factors = (1.3 * random.lognormal(0, 0.05, 16)).tolist()
    found = psnr_against_x264(rows_of(factors))
    percents = 100 * (np.array(factors) - 1)
    assert found.bd_rate_percent == pytest.approx(percents.mean())
    assert found.bd_rate_interval is not None
    assert found.bd_rate_interval.low < 30 < found.bd_rate_interval.high
    half = 1.96 * percents.std() / math.sqrt(16)
    assert found.bd_rate_interval.high - found.bd_rate_interval.low == pytest.approx(2 * half, rel=0.2)
    assert found.bd_rate_interval.resamples == RESAMPLES
    assert psnr_against_x264(rows_of(factors)) == found


def test_pairing_takes_out_what_clips_have_in_common() -> None:
    """Clips 20 dB apart, all with 10 % more bits: paired the interval is narrow, unpaired it is useless."""
    levels = np.linspace(-10, 10, 8).tolist()
    random = np.random.default_rng(2)
    rows = rows_of((1.1 * random.lognormal(0, 0.01, 8)).tolist(), levels)
    found = psnr_against_x264(rows).bd_rate_interval
    assert found is not None
    assert found.low < 10 < found.high
    paired = found.high - found.low
    assert paired < 3
    gathered = curves(rows)
    one, other = (list(gathered[name].values()) for name in ("x264", "small fast"))
    mixed = []
    for first, second in zip(draws(8)[:200], draws(8)[200:400], strict=True):
        mean = [
            np.mean([[(row.bpp, row.psnr_db) for row in side[clip]] for clip in drawn], axis=0)
            for side, drawn in ((one, first), (other, second))
        ]
        delta = bd_rate(*([(float(r), float(q)) for r, q in points] for points in mean))
        mixed.append(math.nan if delta is None else delta.value)
    low, high = np.nanquantile(mixed, tails())
    assert high - low > 20 * paired


def test_one_clip_has_no_interval() -> None:
    found = psnr_against_x264(rows_of([1.2]))
    assert (found.clips, found.bd_rate_interval, found.bd_quality_interval) == (1, None, None)
    assert found.bd_rate_percent == pytest.approx(20)
    assert all(
        spread.interval is None for point in summarize(rows_of([1.2])) for spread in point.spread.values()
    )
    shown = difference_of(rows_of([1.2]))
    assert (shown.low, shown.high, shown.clips) == (None, None, 1)


def test_identical_curves_have_an_interval_at_zero() -> None:
    found = psnr_against_x264(rows_of([1.0] * 5, [-4.0, -2.0, 0.0, 2.0, 4.0]))
    for interval in (found.bd_rate_interval, found.bd_quality_interval):
        assert interval is not None
        assert (interval.low, interval.high) == (pytest.approx(0), pytest.approx(0))


def test_clips_without_an_overlap_are_drawn_but_count_for_nothing() -> None:
    rows = rows_of([1.1, 1.3])
    far = [replace(row, clip_sha256="f" * 64, psnr_db=row.psnr_db + 50) for row in rows_of([1.1])[4:]]
    near = [replace(row, clip_sha256="f" * 64) for row in rows_of([1.1])[:4]]
    found = psnr_against_x264([*rows, *near, *far])
    assert (found.clips, found.of_clips) == (2, 3)
    assert found.bd_rate_percent == pytest.approx(20)
    assert found.bd_rate_interval is not None
    # One resample in 27 draws that clip three times over.
    assert RESAMPLES * 0.93 < found.bd_rate_interval.resamples < RESAMPLES
    assert (found.bd_rate_interval.low, found.bd_rate_interval.high) == (
        pytest.approx(10), pytest.approx(30),
    )  # fmt: skip
    assert mean_interval(np.array([1.0, math.nan, math.nan])) is None


def test_a_distance_gets_better_downwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRICS, "vmaf", replace(METRICS["vmaf"], better="down"))
    rows = [replace(row, vmaf=1 - row.psnr_db / 100) for row in rows_of([1.2, 1.4])]
    found = {row.metric: row for row in compare(rows) if row.reference == "x264"}
    assert found["vmaf"].bd_rate_percent == pytest.approx(30)
    quality, distance = found["psnr_db"].bd_quality, found["vmaf"].bd_quality
    assert quality is not None
    assert distance is not None
    assert distance == pytest.approx(-quality / 100)
    assert distance > 0
    shown = difference_of(rows, "vmaf")
    assert shown.low is not None
    assert shown.high is not None
    inside = np.isfinite(shown.low)
    assert (shown.value[inside] > 0).all()
    assert (shown.low[inside] <= shown.high[inside]).all()


def difference_of(rows: list[ClipResult], metric: str = "psnr_db") -> Difference:
    gathered = curves(rows)
    found = difference(gathered[reference_curve(rows)], gathered["small fast"], metric)
    assert found is not None
    return found


def test_a_band_is_about_its_difference() -> None:
    shown = difference_of(rows_of([1.0, 1.1, 1.2, 1.3]))
    assert shown.low is not None
    assert shown.high is not None
    inside = np.isfinite(shown.low)
    assert inside.sum() > 10
    assert (shown.low <= shown.value)[inside].all()
    assert (shown.value <= shown.high)[inside].all()
    assert (shown.value[inside] < 0).all()
    same = difference_of(rows_of([1.0, 1.0, 1.0], [-4.0, 0.0, 4.0]))
    assert same.low is not None
    widths: Values = np.nan_to_num(same.low)
    assert same.value == pytest.approx(0, abs=1e-9)
    assert widths == pytest.approx(0, abs=1e-9)


def test_comparisons_as_csv() -> None:
    pairs = compare(rows_of([1.1, 1.3]))
    read = list(csv.DictReader(io.StringIO(comparisons_as_csv(pairs))))
    assert [(row["test"], row["metric"]) for row in read] == [(row.test, row.metric) for row in pairs]
    assert float(read[0]["bd_rate_interval.low"]) == pytest.approx(10)
    assert float(read[0]["bd_rate_interval.high"]) == pytest.approx(30)
    assert read[0]["bd_token_interval.low"] == ""
    alone = list(csv.DictReader(io.StringIO(comparisons_as_csv(compare(rows_of([1.1]))))))
    assert alone[0]["bd_rate_interval.low"] == ""
    assert comparisons_as_csv([]).startswith("reference,test,metric,clips,of_clips,bd_rate_percent,")


def test_the_documented_table_is_that_of_the_code() -> None:
    text = (Path(__file__).parents[2] / "docs" / "EVAL.md").read_text("utf-8")
    for point in PUBLISHED:
        line = (
            f"| {point.tokenizer} | {point.bpp16:g} | {point.psnr_db:.2f} | {point.clips} | {point.source} |"
        )
        assert line in text
