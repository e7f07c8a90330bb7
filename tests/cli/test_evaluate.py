"""`infotok eval` end to end on tiny clips: its files, its tables, its refusals."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infotok_cli.allocation.fits import Fits
from infotok_cli.allocation.rate_scale import RateScale
from infotok_cli.evaluate.sampled import measure_of
from infotok_cli.model.weights import load_model, save_model
from make_video import make_video, moving_shapes
from tiny_model import write_tiny_model

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for index in range(2):
        make_video(folder / f"{index}.mkv", moving_shapes(9, 64, 72, seed=index), rate=Fraction(25))
    return folder


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def test_one_number_or_many(run: Run, clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "eval.json"
    arguments = ["eval", clips, "--rates", "1,0.5", "--routers", "fast,fixed", "--segment-frames", "4"]
    result = run(
        *arguments, "--anchors", "x264,svt-av1", "--crfs", "20,40", "-o", out, "--csv", tmp_path / "a.csv",
        "--compare-csv", tmp_path / "pairs.csv",
    )  # fmt: skip
    for text in ("tiny fast", "tiny fixed", "crf 40", "MS-SSIM", "flicker at cuts", "BD-rate"):
        assert text in result.stdout
    document = read(out)
    assert (document["schema"], document["version"]) == ("infotok-eval", 4)
    assert document["model"]["name"] == "tiny"
    assert document["options"] == {
        "short_side": None, "segment_frames": 4, "refine": 0, "start_seconds": None, "end_seconds": None,
        "frames": None, "audio": False,
        "settings": [
            {"rate": rate, "router": router, "allocation": "block", "calibrated": False}
            for rate, router in ((1, "fast"), (0.5, "fast"), (0.5, "fixed"))
        ]
        + [{"anchor": name, "crf": crf} for name in ("x264", "svt-av1") for crf in (20, 40)],
    }  # fmt: skip
    # Rate 1 once, two routers at 0.5, two CRFs of two anchors.
    assert len(document["clips"]) == 2 * (1 + 2 + 4)
    assert [row["clips"] for row in document["summary"]] == [2] * 7
    # An untrained model may have no curve at all, ordinary codecs have.
    assert {"x264", "svt-av1"} <= {row["test"] for row in document["comparisons"]}
    assert all(row["seams"]["seams"] == 2 for row in document["clips"])
    assert document["bootstrap"] == {"resamples": 1000, "seed": 18, "level": 0.95}
    pairs = list(csv.DictReader((tmp_path / "pairs.csv").open()))
    assert [row["test"] for row in pairs] == [row["test"] for row in document["comparisons"]]
    assert all(row["spread"]["psnr_db"]["interval"] for row in document["summary"])
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert [float(row["psnr_db"]) for row in rows] == [row["psnr_db"] for row in document["clips"]]
    assert (tmp_path / "eval.jsonl").read_text().count("\n") == 14


def test_a_second_run_measures_only_what_is_new(run: Run, clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "eval.json"
    arguments = ["eval", clips, "--rates", "0.5", "--frames", "5", "-o", out]
    run(*arguments)
    first = read(out)["clips"]
    assert [row["frames"] for row in first] == [5, 5]
    result = run(*arguments, "--anchors", "x264", "--crfs", "30", "--resume")
    assert "2 measurements were there already" in result.stderr
    both = read(out)["clips"]
    assert [row for row in both if row["codec"] == "infotok"] == first
    assert len(both) == 4
    printed = run(*arguments, "-y", "--json").stdout
    assert (tmp_path / "eval.jsonl").read_text().count("\n") == 2
    assert printed.count("\n") == 1
    assert json.loads(printed) == json.loads(out.read_text())
    assert json.loads(printed)["schema"] == "infotok-eval"


def test_earlier_results_are_taken_in(run: Run, clips: Path, tmp_path: Path) -> None:
    anchors, ours = tmp_path / "anchors.json", tmp_path / "ours.json"
    run("eval", clips, "--rates", "0.5", "--anchors", "x264", "--crfs", "20,50", "-o", anchors)
    result = run("eval", clips, "--rates", "0.5,0.25", "--with", anchors, "-o", ours)
    assert "x264" in result.stdout
    assert [(row["codec"], row["rate"], row["crf"]) for row in read(ours)["clips"][:6]] == [
        ("infotok", 0.5, None), ("infotok", 0.25, None), ("infotok", 0.5, None), ("infotok", 0.25, None),
        ("x264", None, 20), ("x264", None, 50),
    ]  # fmt: skip
    assert len(read(ours)["clips"]) == 8
    shorter = run("eval", clips / "0.mkv", "--rates", "0.5", "--frames", "4", "--with", anchors)
    assert "2 clips of --with are left out" in shorter.stderr
    assert "x264" not in shorter.stdout


def test_anchors_also_with_keyframes_as_often_as_ours(run: Run, clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "eval.json"
    arguments = ["eval", clips / "0.mkv", "--rates", "0.5", "--segment-frames", "4", "--anchors"]
    told = run(*arguments, "x264", "--crfs", "20,40", "--anchors-keyint", "segment", "-o", out).stdout
    assert "x264-keyint4" in told
    rows = [row for row in read(out)["clips"] if row["model"] is None]
    assert [(row["codec"], row["crf"]) for row in rows] == [
        ("x264", 20), ("x264", 40), ("x264-keyint4", 20), ("x264-keyint4", 40),
    ]  # fmt: skip
    assert rows[2]["size_bytes"] > rows[0]["size_bytes"]
    # By its name and by number, without the encoder's own curve and with it.
    run(*arguments, "x264-keyint3,x264", "--crfs", "30", "--anchors-keyint", "2", "-o", out, "-y")
    assert [row["codec"] for row in read(out)["clips"][1:]] == ["x264-keyint3", "x264", "x264-keyint2"]


def test_metrics_are_chosen(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("ssimulacra2")
    clip, out = tmp_path / "clip.mkv", tmp_path / "eval.json"
    make_video(clip, moving_shapes(4, 226, 240), rate=Fraction(25))
    arguments = ["eval", clip, "--rates", "0.5", "-o", out, "--csv", tmp_path / "a.csv"]
    arguments += ["--anchors", "x264", "--crfs", "20,40", "--jobs", "2"]
    result = run(*arguments, "--metrics", "ssimulacra2,psnr")
    assert "Sampled (SSIMULACRA2: one frame in 5)" in result.stdout
    assert "SSIMULACRA2 ↑" in result.stdout
    assert "MS-SSIM" not in result.stdout
    document = read(out)
    assert [(metric["name"], metric["every"]) for metric in document["metrics"]] == [
        ("psnr", 1), ("ssimulacra2", 5)
    ]  # fmt: skip
    assert [row["ms_ssim"] for row in document["clips"]] == [None] * 3
    assert document["clips"][1]["ssimulacra2"] > document["clips"][2]["ssimulacra2"]
    assert document["summary"][1]["ssimulacra2"] == document["clips"][1]["ssimulacra2"]
    (first, *_) = csv.DictReader((tmp_path / "a.csv").open())
    assert float(first["ssimulacra2"]) == document["clips"][0]["ssimulacra2"]
    again = run(*arguments, "--metrics", "psnr,ssimulacra2", "--resume", "-y")
    assert "3 measurements were there already" in again.stderr
    # Other metrics are other measurements.
    other = run(*arguments, "--metrics", "psnr,ssim", "--resume", "-y", "--jobs", "1")
    assert "already" not in other.stderr


def test_weights_that_were_not_fetched_are_told_of_before_measuring(
    refused: Callable[..., str], clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure_of.cache_clear()
    monkeypatch.setenv("INFOTOK_CACHE", str(tmp_path / "none"))
    out = tmp_path / "eval.json"
    told = refused(4, "eval", clips, "--metrics", "psnr,dists", "-o", out)
    assert "are missing: fetch them once with 'python -m infotok_cli.perceptual.fetch'" in told
    assert not out.with_suffix(".jsonl").exists()


def test_segment_lengths_do_not_mix(run: Run, clips: Path, tmp_path: Path) -> None:
    long, both = tmp_path / "long.json", tmp_path / "both.json"
    clip = clips / "0.mkv"
    run("eval", clip, "--rates", "0.5", "-o", long)
    run("eval", clip, "--rates", "0.5,0.25", "--segment-frames", "4", "--with", long, "-o", both)
    assert [(row["rate"], row["segment_frames"]) for row in read(both)["clips"]] == [
        (0.5, 4), (0.25, 4), (0.5, 60),
    ]  # fmt: skip
    assert [row["curve"] for row in read(both)["summary"]] == [
        "tiny fast segments of 4", "tiny fast segments of 4", "tiny fast"
    ]  # fmt: skip
    assert read(long)["options"]["segment_frames"] == 60


def test_weights_that_do_not_suit_a_router_are_told_of_before_measuring(
    refused: Callable[..., str], clips: Path, tmp_path: Path
) -> None:
    out, elastic = tmp_path / "eval.json", tmp_path / "elastic.safetensors"
    told = refused(2, "eval", clips, "--routers", "fast,elastic", "--rates", "0.5", "-o", out)
    assert "--router elastic needs weights trained with --masking elastic" in told
    write_tiny_model(elastic, "elastic")
    # Not even -y throws earlier measurements away for this.
    out.with_suffix(".jsonl").write_text("earlier\n")
    told = refused(2, "eval", clips, "--rates", "1,0.75", "--model", elastic, "-o", out, "-y")
    assert "was trained with --masking elastic: choose --router elastic" in told


def test_an_end_and_a_plot(run: Run, clips: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot = tmp_path / "plot.png"
    run(
        "eval",
        clips / "0.mkv",
        "--rates",
        "0.5",
        "--end",
        "0.16",
        "--plot",
        plot,
        "-o",
        tmp_path / "a.json",
    )
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert read(tmp_path / "a.json")["clips"][0]["frames"] == 4


def test_calibrated_rates_are_a_curve(run: Run, clips: Path, model_file: Path, tmp_path: Path) -> None:
    loaded, fitted = load_model(model_file), tmp_path / "fitted.safetensors"
    scale = RateScale.fit([np.geomspace(1e-3, 10, 16 * 64).astype(np.float32).reshape(16, 8, 8)])
    model = loaded.tokenizer
    save_model(fitted, model, model.state_dict(), "{}", fits=Fits(rate_scales={"fast": scale}))
    out = tmp_path / "eval.json"
    told = run("eval", clips, "--model", fitted, "--rates", "1,0.5", "--calibrated", "-o", out).stdout
    assert "tiny fast calibrated" in told
    rows = read(out)["clips"]
    assert [(row["rate"], row["calibrated"]) for row in rows] == [(1, False), (0.5, True)] * 2
    run("eval", clips, "--model", fitted, "--rates", "0.5", "--with", out, "-o", tmp_path / "more.json")
    assert len(read(tmp_path / "more.json")["clips"]) == 6


@pytest.mark.parametrize(
    ("code", "arguments", "message"),
    [
        (2, ["--rates", "2"], "--rates 2 is out of range"),
        (2, ["--routers", "slow"], "--routers 'slow' is unknown"),
        (2, ["--metrics", "psnr,fvd"], "--metrics 'fvd' is unknown: choose psnr, ssim, ms-ssim, lpips-vgg"),
        (2, ["--anchors", "vp8"], "--anchors 'vp8' is unknown: choose x264"),
        (2, ["--crfs", "20"], "--crfs needs --anchors"),
        (2, ["--anchors-keyint", "8"], "--anchors-keyint needs --anchors"),
        (2, ["--anchors", "x264", "--anchors-keyint", "0"], "--anchors-keyint '0' is not a number of frames"),
        (2, ["--anchors", "x264", "--anchors-keyint", "often"], "or segment for the length of a segment"),
        (2, ["--anchors", "x264", "--crfs", "a"], "--crfs 'a' is not a list of whole numbers"),
        (2, ["--anchors", "all", "--crfs", "20,60"], "choose 0 to 51, as x264 takes"),
        (2, ["--published"], "--published needs --plot"),
        (5, ["--compare-csv", "none/a.csv"], "none does not exist: create it first"),
        (2, ["--resume"], "--resume needs --output"),
        (2, ["--frames", "0"], "--frames 0 is out of range"),
        (2, ["--end", "0"], "--end 0 leaves nothing"),
        (
            2,
            ["--calibrated", "--routers", "fixed"],
            "--calibrated-rate does not go with --router fixed, which measures",
        ),
        (4, ["--calibrated"], "has no fit for --calibrated-rate with --router fast"),
        (2, ["--plot", "a.bmp"], "--plot a.bmp is not a picture"),
        (3, ["--with", "none.json"], "none.json: cannot be read"),
        (5, ["--output", "none/a.json"], "none does not exist: create it first"),
    ],
)
def test_refusals(
    refused: Callable[..., str], clips: Path, code: int, arguments: list[str], message: str
) -> None:
    assert message in refused(code, "eval", clips, *arguments)


def test_earlier_files_are_not_overwritten_unasked(
    refused: Callable[..., str], clips: Path, tmp_path: Path
) -> None:
    (tmp_path / "eval.jsonl").write_text("")
    told = refused(5, "eval", clips, "-o", tmp_path / "eval.json")
    assert "eval.jsonl: exists already, from an earlier run: resume that run with --resume" in told
    (tmp_path / "table.csv").write_text("mine")
    assert "table.csv: exists already" in refused(5, "eval", clips, "--csv", tmp_path / "table.csv")
    told = refused(2, "eval", clips, "-o", tmp_path / "a.jsonl")
    assert "choose a .json" in told


def test_resuming_overwrites_only_what_it_goes_on_with(
    run: Run, refused: Callable[..., str], clips: Path, tmp_path: Path
) -> None:
    out, table, plot = tmp_path / "eval.json", tmp_path / "table.csv", tmp_path / "plot.png"
    arguments = ["eval", clips / "0.mkv", "--rates", "0.5", "--frames", "1", "-o", out]
    out.write_text("mine")
    # A JSON file without a list of measurements beside it is of no run that could go on.
    assert "eval.json: exists already" in refused(5, *arguments, "--resume")
    run(*arguments, "-y")
    table.write_text("mine")
    told = refused(5, *arguments, "--csv", table, "--resume")
    assert "table.csv: exists already, and --resume replaces only" in told
    assert "give -y as well" in told
    result = run(*arguments, "--csv", table, "--resume", "-y")
    assert "1 measurement was there already" in result.stderr
    assert len(list(csv.DictReader(table.open()))) == 1
    pytest.importorskip("matplotlib")
    plot.write_text("mine")
    assert "plot.png: exists already, and" in refused(5, *arguments, "--plot", plot, "--resume")
