"""Means, curves and comparisons over made-up rows whose answers are known."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from infotok_cli.errors import InputError
from infotok_cli.evaluate.compare import compare, curves, match
from infotok_cli.evaluate.report import merged
from infotok_cli.evaluate.results import ClipResult, as_csv, curve_key, curve_names, read_results
from infotok_cli.evaluate.summary import summarize
from made_rows import anchor_row, our_row


def test_bd_rates_are_means_over_clips() -> None:
    points = [(0.02, 25.0), (0.04, 27.0), (0.08, 29.0)]
    rows: list[ClipResult] = []
    for clip, factor in (("a", 2.0), ("b", 0.5)):
        rows += [anchor_row(clip, crf, bpp, db) for crf, (bpp, db) in enumerate(points)]
        rows += [our_row(clip, 0.9 * bpp / 0.08, bpp * factor, db) for bpp, db in points]
    found = {(row.reference, row.test, row.metric): row for row in compare(rows)}
    ours = found["x264", "small fast", "psnr_db"]
    assert ours.clips == 2
    assert ours.bd_rate_percent == pytest.approx((100 - 50) / 2)
    assert ours.bd_rate_deviation == pytest.approx(75)
    assert ours.overlap == pytest.approx(1)
    assert ours.bd_token_percent is None
    back = found["small fast", "x264", "psnr_db"]
    assert back.bd_rate_percent == pytest.approx((-50 + 100) / 2)
    # VMAF was not measured; nothing is said about it.
    assert {row.metric for row in found.values()} == {"psnr_db", "ssim", "ms_ssim"}


def test_less_is_better_where_it_is() -> None:
    """LPIPS that falls at the pace at which PSNR rises gives the same BD-rate."""
    points = [(0.02, 25.0), (0.04, 27.0), (0.08, 29.0)]
    rows = [anchor_row("a", crf, bpp, db) for crf, (bpp, db) in enumerate(points)]
    rows += [our_row("a", 10 * bpp, 2 * bpp, db) for bpp, db in points]
    rows = [replace(row, lpips_vgg=1 - row.psnr_db / 50) for row in rows]
    found = {row.metric: row for row in compare(rows) if row.reference == "x264"}
    assert list(found) == ["psnr_db", "ssim", "ms_ssim", "lpips_vgg"]
    assert found["lpips_vgg"].bd_rate_percent == pytest.approx(100)
    quality, distance = found["psnr_db"].bd_quality, found["lpips_vgg"].bd_quality
    assert quality is not None
    assert distance is not None
    assert quality < 0 < distance, "a worse picture: fewer dB, more LPIPS"
    assert distance == pytest.approx(-quality / 50)


def test_curves_may_share_quality_but_no_bits() -> None:
    rows = [anchor_row("a", crf, bpp, db) for crf, (bpp, db) in enumerate([(0.01, 26), (0.02, 30)])]
    rows += [our_row("a", rate, 0.1 * rate, 24 + 8 * rate) for rate in (0.5, 0.75)]
    found = [row for row in compare(rows) if row.metric == "psnr_db"]
    assert [row.bd_quality for row in found] == [None, None]
    assert all(row.overlap == pytest.approx(1) for row in found)


def test_tokens_are_compared_between_ours() -> None:
    points = [(0.1, 24.0), (0.2, 27.0), (0.4, 28.5)]
    rows = [our_row("a", rate, 0.06 * rate, db) for rate, db in points]
    rows += [our_row("a", 2 * rate, 3 * 0.06 * rate, db, router="fixed") for rate, db in points]
    found = [row for row in compare(rows) if row.metric == "psnr_db" and row.reference == "small fast"]
    assert found[0].bd_rate_percent == pytest.approx(200)
    assert found[0].bd_token_percent == pytest.approx(100)


def test_anchors_are_read_at_our_bits() -> None:
    rows = [anchor_row("a", crf, bpp, db) for crf, (bpp, db) in enumerate([(0.01, 26), (0.04, 30)])]
    rows += [anchor_row("b", crf, bpp, db) for crf, (bpp, db) in enumerate([(0.03, 26), (0.05, 30)])]
    rows += [our_row("a", 0.5, 0.02, 24), our_row("b", 0.5, 0.02, 20)]
    (found,) = match(rows)
    # Half way between 0.01 and 0.04 in the logarithm; clip b has no x264 file as small as ours.
    assert (found.clips, found.of_clips) == (1, 2)
    assert found.against_psnr_db == pytest.approx(28)
    assert (found.psnr_db, found.bpp) == (24, 0.02)


def test_the_point_at_rate_1_is_on_every_curve_of_its_weights() -> None:
    rows = [
        our_row("a", 1, 0.06, 28),
        our_row("a", 0.5, 0.03, 27),
        our_row("a", 0.5, 0.03, 26, router="fixed"),
    ]
    rows += [our_row("a", 0.5, 0.03, 25, weights="f" * 64, router="elastic")]
    gathered = {
        name: [row.psnr_db for rows in clips.values() for row in rows] for name, clips in curves(rows).items()
    }
    assert gathered == {
        "small 00000000 fast": [28, 27], "small 00000000 fixed": [28, 26], "small ffffffff elastic": [25]
    }  # fmt: skip


def test_calibrated_points_are_a_curve_of_their_own() -> None:
    rows = [our_row("a", 1, 0.06, 28), our_row("a", 0.5, 0.03, 27)]
    rows += [replace(our_row("a", 0.5, 0.04, 27.5), calibrated=True)]
    gathered = {
        name: [row.psnr_db for rows in clips.values() for row in rows] for name, clips in curves(rows).items()
    }
    assert gathered == {"small fast": [28, 27], "small fast calibrated": [28, 27.5]}
    assert [point.setting.calibrated for point in summarize(rows) if point.setting] == [False, False, True]


def test_refined_points_are_a_curve_of_their_own(tmp_path: Path) -> None:
    rows = [our_row("a", 1, 0.06, 28), our_row("a", 0.5, 0.03, 27)]
    rows += [replace(our_row("a", 0.5, 0.03, 29), refine=6)]
    gathered = {
        name: [row.psnr_db for rows in clips.values() for row in rows] for name, clips in curves(rows).items()
    }
    assert gathered == {"small fast": [28, 27], "small fast refine 6": [29]}
    assert [point.refine for point in summarize(rows)] == [0, 0, 6]
    # Results older than the options were neither refined nor calibrated.
    old = {name: value for name, value in asdict(rows[0]).items() if name not in ("refine", "calibrated")}
    path = tmp_path / "eval.json"
    path.write_text(json.dumps({"schema": "infotok-eval", "version": 1, "clips": [old]}))
    assert read_results(path) == rows[:1]


def test_segment_lengths_are_curves_of_their_own() -> None:
    rows = [our_row("a", rate, 0.06 * rate, 26 + 2 * rate) for rate in (1, 0.5)]
    short = [our_row("a", rate, 0.06 * rate, 25 + 2 * rate, segment_frames=16) for rate in (1, 0.5, 0.25)]
    # Of the same rate and router, yet no duplicate.
    both = merged(short, rows)
    assert both == [*short, *rows]
    gathered = {
        name: [row.psnr_db for rows in clips.values() for row in rows] for name, clips in curves(both).items()
    }
    assert gathered == {"small fast segments of 16": [27, 26, 25.5], "small fast": [28, 27]}
    assert [(point.curve, point.clips) for point in summarize(both)] == [
        *[("small fast segments of 16", 1)] * 3, *[("small fast", 1)] * 2
    ]  # fmt: skip
    # What was measured at rate 1 belongs to curves of its own segment length only.
    fixed = replace(short[1], router="fixed", psnr_db=24)
    (found,) = curves([rows[0], short[0], fixed])["small fixed segments of 16"].values()
    assert [row.psnr_db for row in found] == [27, 24]


def test_an_anchor_does_not_depend_on_segments() -> None:
    one = anchor_row("a", 30, 0.05, 31)
    other = replace(one, segment_frames=16, psnr_db=1)
    assert merged([one], [other]) == [one]
    assert list(curve_names([one, other]).values()) == ["x264"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, 32), (None, 32), ({"segment_frames": None}, 32), ({"segment_frames": 16}, 16)],
)
def test_rows_of_version_1_have_the_segments_their_run_asked_for(
    tmp_path: Path, options: dict[str, int | None] | None, expected: int
) -> None:
    old = asdict(our_row("a", 0.5, 0.03, 27))
    del old["segment_frames"]
    path = tmp_path / "eval.json"
    document = {"schema": "infotok-eval", "version": 1, "options": options, "clips": [old]}
    path.write_text(json.dumps(document))
    assert read_results(path) == [our_row("a", 0.5, 0.03, 27, segment_frames=expected)]


def test_rows_of_different_frames_are_not_compared() -> None:
    rows = [anchor_row("a", crf, bpp, 26 + crf) for crf, bpp in enumerate([0.01, 0.04])]
    short = [replace(our_row("a", rate, 0.04 * rate, 26 + rate), frames=5) for rate in (0.3, 0.9)]
    assert compare([*rows, *short]) == []
    assert match([*rows, *short]) == []


def test_names_tell_curves_apart() -> None:
    rows = [
        our_row("a", 0.5, 1, 1), our_row("a", 0.5, 1, 1, allocation="position"), anchor_row("a", 30, 1, 1),
    ]  # fmt: skip
    assert list(curve_names(rows).values()) == ["small fast", "small fast position", "x264"]
    other = our_row("a", 0.5, 1, 1, weights="ab" * 32)
    names = curve_names([*rows, other])
    assert names[curve_key(other)] == "small abababab fast"
    assert len(set(names.values())) == 4


def test_older_rows_have_no_new_metrics(tmp_path: Path) -> None:
    row = our_row("a", 0.5, 0.02, 24)
    newer = ("lpips_vgg", "lpips_alex", "dists", "ssimulacra2", "vmaf_v1")
    old = {name: value for name, value in asdict(row).items() if name not in newer}
    path = tmp_path / "eval.json"
    path.write_text(json.dumps({"schema": "infotok-eval", "version": 2, "clips": [old]}))
    assert read_results(path) == [row]
    path.write_text(json.dumps({"schema": "infotok-eval", "version": 3, "clips": [old | {"dists": 0.25}]}))
    assert read_results(path) == [replace(row, dists=0.25)]


def test_summary_is_the_mean_over_clips() -> None:
    rows = [our_row("a", 0.5, 0.02, 24), our_row("b", 0.5, 0.04, 28), anchor_row("a", 30, 0.05, 31)]
    ours, anchor = summarize(rows)
    assert (ours.curve, ours.clips, ours.psnr_db, ours.psnr_db_deviation) == ("small fast", 2, 26, 2)
    assert ours.bpp == pytest.approx(0.03)
    # Clip of 10 frames of 64x48 at 25 per second.
    assert ours.kbit_per_second == pytest.approx(0.03 * 64 * 48 * 25 / 1000)
    assert ours.start_db == pytest.approx(-0.5)
    assert ours.map_bits_per_position == pytest.approx(8 * 20 / 200)
    assert (anchor.setting, anchor.crf, anchor.token_rate, anchor.map_bits_per_position) == (
        None,
        30,
        None,
        None,
    )


def test_rows_come_back_from_json(tmp_path: Path) -> None:
    rows = [our_row("a", 0.5, 0.02, 24), anchor_row("a", 30, 0.05, 31)]
    path = tmp_path / "eval.json"
    document = {"schema": "infotok-eval", "version": 2, "clips": [asdict(row) | {"new": 1} for row in rows]}
    path.write_text(json.dumps(document))
    assert read_results(path) == rows
    assert merged(rows[:1], [replace(rows[0], psnr_db=1), rows[1]]) == rows
    assert merged(rows[:1], [replace(rows[1], frames=9), anchor_row("b", 30, 0.05, 31)]) == rows[:1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "does not contain (whole )?results"),
        ("[1]", "does not contain (whole )?results"),
        ('{"clips": []}', "made with output"),
        (
            '{"schema": "infotok-eval", "version": 7, "clips": []}',
            "version 7, and this infotok reads 1 to 4",
        ),
        ('{"schema": "infotok-eval", "version": 1}', "does not contain (whole )?results"),
        ('{"schema": "infotok-eval", "version": 1, "clips": [{"clip": "a"}]}', "a row lacks 'clip_sha256'"),
        ("\udcff", "does not contain (whole )?results"),
    ],
)
def test_what_is_no_result_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "eval.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=message):
        read_results(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_results(tmp_path / "none.json")


def test_csv_has_a_row_per_measurement() -> None:
    rows = [our_row("a", 0.5, 0.02, 24), anchor_row('b, "quoted"', 30, 0.05, 31)]
    read = list(csv.DictReader(io.StringIO(as_csv(rows))))
    assert [row["clip"] for row in read] == ["a", 'b, "quoted"']
    assert [row["crf"] for row in read] == ["", "30"]
    assert float(read[0]["seams.rest_db"]) == 24.5
    assert float(read[1]["bpp"]) == 0.05
