"""`infotok inspect` and `infotok stats`: keys, sums, tables and pictures."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from infotok_cli.cli import charts, stats_view
from infotok_cli.itk.report import SegmentReport, StatsReport, report_stats
from infotok_cli.view.drawing import BACKGROUND, BAR, HEAT_COLOURS
from make_itk import Plan, itk_bytes, itk_header

Run = Callable[..., Any]

INSPECT_KEYS = {
    "format_version", "width", "height", "frames", "frame_rate", "duration_seconds", "segment_frames",
    "segments", "positions", "tokens", "token_rate", "bpp", "bpp16_nominal", "size_bytes", "model",
    "router", "allocation", "target_rate", "encoder", "levels",
}  # fmt: skip


PARTS = ("header", "map", "motion", "token", "index", "times", "audio")


def test_inspect_json(run: Run, encoded: Path) -> None:
    result = run("inspect", encoded, "--json")
    assert result.stderr == ""
    report = json.loads(result.stdout)
    assert report.keys() >= INSPECT_KEYS
    assert (report["format_version"], report["frames"], report["segments"]) == (1, 20, 5)
    assert (report["width"], report["height"], report["segment_frames"]) == (48, 40, 4)
    assert report["frame_rate"] == "30000/1001"
    assert report["positions"] == 5 * 2 * 5 * 6
    assert report["size_bytes"] == encoded.stat().st_size == sum(report[f"{part}_bytes"] for part in PARTS)
    assert report["bpp"] == pytest.approx(8 * encoded.stat().st_size / (20 * 40 * 48))
    assert report["model"].keys() == {"name", "sha256"}
    assert (report["router"], report["allocation"], report["target_rate"]) == ("fast", "block", 0.5)


def test_inspect_table(run: Run, encoded: Path) -> None:
    lines = run("inspect", encoded).stdout.splitlines()
    column = lines[0].index("clip.itk")
    assert all(line[column - 2 : column] == "  " and line[column] for line in lines)
    text = "\n".join(lines)
    for part in ("48 x 40 pixels", "20 frames", "29.97 fps (30000/1001)", "0.5 requested", "tiny, sha256 "):
        assert part in text
    assert max(map(len, lines)) <= 80


def test_inspect_verified(run: Run, encoded: Path) -> None:
    assert run("inspect", encoded, "--verify").stdout.endswith("  whole: 5 segments, all tokens decode\n")
    assert "all tokens decode" not in run("inspect", encoded).stdout
    for options, verified in (((), False), (("--verify",), True)):
        assert json.loads(run("inspect", encoded, "--json", *options).stdout)["verified"] is verified


def test_several_files(run: Run, encoded: Path) -> None:
    other = encoded.with_name('b, "other".itk')
    other.write_bytes(encoded.read_bytes())
    alone = run("inspect", encoded).stdout
    both = run("inspect", encoded, other).stdout
    assert both == f"{alone}\n{alone.replace('clip.itk', other.name)}"
    lines = run("inspect", encoded, other, "--json").stdout.splitlines()
    assert [json.loads(line)["input"] for line in lines] == [str(encoded), str(other)]
    rows = list(csv.DictReader(io.StringIO(run("stats", encoded, other, "--csv").stdout)))
    assert [row["input"] for row in rows] == [str(encoded)] * 5 + [str(other)] * 5
    assert [row["segment"] for row in rows] == ["0", "1", "2", "3", "4"] * 2
    lines = run("stats", encoded, other, "--json").stdout.splitlines()
    assert [json.loads(line)["input"] for line in lines] == [str(encoded), str(other)]
    shown = run("stats", encoded, other).stdout
    assert shown.startswith(f"{encoded}:\n")
    assert f"\n\n{other}:\n" in shown


@pytest.mark.parametrize("command", ["inspect", "stats"])
def test_a_bad_file_among_several(run: Run, encoded: Path, command: str) -> None:
    """It is reported, the others are shown, and the exit code is its own."""
    missing = encoded.with_name("missing.itk")
    result = run(command, missing, encoded, "--json", code=3)
    error = {
        "kind": "InputError", "exit_code": 3, "what": "does not exist", "where": str(missing),
        "way_out": "check the name",
    }  # fmt: skip
    assert json.loads(result.stderr) == {"error": error}
    text = f"infotok: error: {missing}: does not exist: check the name\n"
    assert run(command, missing, encoded, code=3).stderr == text
    assert len(result.stdout.splitlines()) == 1
    assert run(command, encoded, missing, "--json", code=3).stdout == result.stdout


def test_names_with_control_characters(run: Run, encoded: Path) -> None:
    odd = encoded.with_name("red\x1b[31m\nnew\udcff.itk")
    encoded.rename(odd)
    escaped = "red\\x1b[31m\\nnew\\udcff"
    assert f"{escaped}.itk" in run("inspect", odd).stdout
    assert f"{escaped}.itk:" in run("stats", odd, odd).stdout
    for words in (["cut", odd, "-o", odd.with_suffix(".2.itk")], ["export", odd], ["decode", odd]):
        told = run(*words).stderr
        assert told.count("\n") == 1
        assert "\x1b" not in told
        assert told.count(escaped) == 2
    told = run("inspect", odd.with_name("no\x1b[31m"), code=3).stderr
    assert "\x1b" not in told
    assert "does not exist" in told


def test_stats_json_adds_up(run: Run, encoded: Path) -> None:
    report = json.loads(run("stats", encoded, "--json").stdout)
    rows = report["per_segment"]
    assert [row["segment"] for row in rows] == [0, 1, 2, 3, 4]
    for name, total in (("tokens", "tokens"), ("positions", "positions"), ("frames", "frames")):
        assert sum(row[name] for row in rows) == report[total]
    assert sum(row["map_bytes"] for row in rows) == report["map_bytes"]
    assert sum(row["motion_bytes"] for row in rows) == report["motion_bytes"] > 0
    assert sum(row["token_bytes"] for row in rows) == report["token_bytes"]
    assert rows[0]["start_seconds"] == 0
    assert rows[-1]["end_seconds"] == pytest.approx(report["duration_seconds"])
    carried = np.array(report["rate_over_frame"])
    assert carried.shape == (5, 6)
    assert carried.mean() == pytest.approx(report["token_rate"], abs=1e-3)


def test_stats_csv_has_the_same_rows(run: Run, encoded: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(run("stats", encoded, "--csv").stdout)))
    expected = json.loads(run("stats", encoded, "--json").stdout)["per_segment"]
    assert [{name: float(value) for name, value in row.items()} for row in rows] == expected


@pytest.mark.parametrize("width", [40, 80, 200])
def test_stats_fit_the_terminal(run: Run, encoded: Path, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = run("stats", encoded).stdout.splitlines()
    assert "\x1b" not in "".join(lines)
    assert "in 5 segments, 0.667 s" in lines[0]
    table = next(at for at, line in enumerate(lines) if line.split()[:3] == ["segment", "start", "s"])
    assert [line.split()[0] for line in lines[table + 1 : table + 6]] == ["0", "1", "2", "3", "4"]
    assert lines[table + 7].split()[0] == "total"
    # The numbers of the table take 65 columns; all else gives way.
    assert max(len(line) for line in lines) <= max(width, 80)
    over_time = next(at for at, line in enumerate(lines) if line.startswith("token rate over time"))
    over_frame = next(at for at, line in enumerate(lines) if line.startswith("token rate over the frame"))
    assert 0 < over_time < over_frame < table
    assert run("stats", encoded, "--summary").stdout.splitlines() == lines[: table - 1]


def test_rows_fit_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    for height, rows in (("24", 18), ("60", 54), ("5", 8)):
        monkeypatch.setenv("LINES", height)
        assert stats_view.rows_on_a_screen() == rows


def long_report(report: StatsReport, count: int) -> StatsReport:
    """The report repeated to `count` segments of one second, number n with n tokens at 1000 positions."""
    rows = tuple(
        SegmentReport(
            number=n, start_seconds=n, end_seconds=n + 1.0, frames=16, positions=1000, tokens=n,
            token_rate=n / 1000, map_bytes=1, motion_bytes=3, token_bytes=2 * n,
        )
        for n in range(count)
    )  # fmt: skip
    return dataclasses.replace(report, segments=rows)


def test_long_files_are_merged_on_request_only(encoded: Path) -> None:
    report = long_report(report_stats(encoded), 130)
    lines = stats_view.table_text(report, 80, charts.BLOCKS, most_rows=None)
    assert lines[130].split()[0] == "129"
    lines = stats_view.table_text(report, 80, charts.BLOCKS, most_rows=60)
    assert lines[1].split()[:5] == ["0-2", "0.000", "3.000", "3,000", "3"]
    assert lines[44].split()[0] == "129"
    assert lines[46].split()[:5] == ["total", "0.000", "130.000", "130,000", "8,385"]
    assert "Each row is 3 neighbouring segments" in lines[47]
    short = stats_view.table_text(long_report(report, 60), 80, charts.BLOCKS, most_rows=60)
    assert short[60].split()[0] == "59"


def test_bar() -> None:
    assert [charts.bar(value, 4, charts.BLOCKS) for value in (0, 0.5, 0.53125, 1, 7)] == [
        "", "██", "██▏", "████", "████",
    ]  # fmt: skip
    assert charts.bar(0.5, 4, charts.ASCII) == "##"


@pytest.mark.parametrize("glyphs", [charts.BLOCKS, charts.ASCII])
def test_chart_over_time(glyphs: charts.Glyphs) -> None:
    lines = charts.over_time([1.0, 2.0], [0.125, 0.5], [10, 10], 27, glyphs)
    assert lines[0] == f" 0.50 {glyphs.axis}{' ' * 10}{glyphs.heights[-1] * 10}"
    assert lines[-1].split() == ["0", "s", "2.000", "s"]
    assert {len(line) for line in lines[:1]} == {27}
    # Columns that several segments share show their mean.
    many = charts.over_time(list(np.arange(1, 401) / 10), [0.0, 0.5] * 200, [4] * 400, 27, glyphs)
    assert many[0] == f" 0.25 {glyphs.axis}{glyphs.heights[-1] * 20}"


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (16, 16), (68, 120), (120, 68), (1, 500), (500, 1)])
@pytest.mark.parametrize("columns", [38, 78])
def test_heat_map_keeps_its_shape_within_limits(shape: tuple[int, int], columns: int) -> None:
    values = np.zeros(shape)
    values[0, 0] = 1
    lines = charts.heat_map(values, columns, charts.BLOCKS)
    assert 1 <= len(lines) <= charts.HEAT_MAX_ROWS
    assert {len(line) for line in lines} == {len(lines[0])}
    assert 1 <= len(lines[0]) <= columns
    if min(shape) >= 3:
        assert len(lines[0]) / len(lines) / 2 == pytest.approx(shape[1] / shape[0], rel=0.1)
    coloured = charts.heat_map_in_colour(values, columns)
    assert [sum(len(text) for text, _ in line) for line in coloured] == [len(line) for line in lines]


def test_heat_map_shows_where() -> None:
    values = np.full((8, 8), 0.25)
    values[:, 4:] = 0.75
    assert set(charts.heat_map(values, 80, charts.BLOCKS)) == {" " * 8 + "█" * 8}
    assert charts.scale(values) == (0.25, 0.75)
    assert charts.scale(np.full((2, 2), 0.5)) == (0, 1)


def test_block_means_at_odd_edges() -> None:
    means = charts.block_means(np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.25]]))
    assert means.tolist() == [[0.5, 0.5], [0.5, 0.25]]


def coloured(
    run: Run, monkeypatch: pytest.MonkeyPatch, width: int, *words: object, **environment: str
) -> list[str]:
    """Lines of `stats` on a terminal with colours, `width` columns wide."""
    monkeypatch.delenv("NO_COLOR")
    surroundings = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "COLUMNS": str(width), **environment}
    for name, value in surroundings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda self: True)
    lines: list[str] = run("stats", *words).stdout.splitlines()
    return lines


def bare(line: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", line)


def test_the_map_stands_beside_the_chart(run: Run, encoded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = coloured(run, monkeypatch, 80, encoded)
    title = next(at for at, line in enumerate(lines) if bare(line).startswith("token rate over time"))
    column = bare(lines[title]).index("token rate over the frame")
    drawn = [line for line in lines if "▀" in line]
    assert drawn[0] == lines[title + 1]
    assert {bare(line).index("▀") for line in drawn} == {column}
    assert all("│" in bare(line)[:column] for line in drawn[:6])
    assert all("\x1b[38;2;" in line for line in drawn)
    # 3x3 blocks, and a character is twice as high as wide.
    assert len(bare(drawn[0])[column:]) == 2 * len(drawn)
    assert max(len(bare(line)) for line in lines) <= 80


def test_the_map_stands_below_where_it_is_narrow(
    run: Run, encoded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = coloured(run, monkeypatch, 40, encoded)
    shown = [bare(line) for line in lines]
    assert max(map(len, shown)) <= 40
    over_frame = shown.index("token rate over the frame")
    assert shown.index("token rate over time") < over_frame
    assert shown[over_frame + 1].startswith("▀")
    assert "segment  start s  end s  tokens   rate" in shown


def test_the_map_is_plain_where_colour_is_not_wanted(
    run: Run, encoded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        with monkeypatch.context() as patch:
            text = "\n".join(coloured(run, patch, 80, encoded, **environment))
        assert "\x1b" not in text
        assert "▀" not in text


def test_the_map_of_a_segment(run: Run, encoded: Path) -> None:
    whole = json.loads(run("stats", encoded, "--json").stdout)
    maps = [
        json.loads(run("stats", encoded, "--json", "--segment", number).stdout)["rate_over_frame"]
        for number in range(5)
    ]
    assert np.array(maps).mean(axis=0) == pytest.approx(np.array(whole["rate_over_frame"]), abs=1e-3)
    assert np.array(maps[1]).mean() == pytest.approx(whole["per_segment"][1]["token_rate"], abs=1e-3)
    assert "token rate over the frame of segment 1, " in run("stats", encoded, "--segment", "1").stdout
    result = run("stats", encoded, "--segment", "5", code=2)
    assert result.stderr == f"infotok: error: {encoded}: --segment 5 is out of range: choose 0 to 4\n"


def test_steps_agree_with_their_segments() -> None:
    """Also where a cut hides frames, which take no time; nor do leads."""
    plans = [Plan(8, trim_start=5), Plan(8, rate=0.9), Plan(8, lost=True), Plan(6, trim_end=1)]
    report = report_stats(itk_bytes(plans, itk_header()))
    assert len(report.step_rates) == len(report.step_ends) == 12
    for number, row in enumerate(report.segments):
        steps = report.step_rates[3 * number : 3 * number + 3]
        assert steps.mean() == pytest.approx(row.token_rate)
        assert report.step_ends[3 * number + 2] == pytest.approx(row.end_seconds)
    assert report.step_ends[0] == report.segments[0].start_seconds == 0
    frame = 1001 / 30000
    assert report.step_ends[2:6].tolist() == pytest.approx([3 * frame, 3 * frame, 7 * frame, 11 * frame])


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_a_plot(run: Run, encoded: Path, suffix: str) -> None:
    target = encoded.with_name(f"plot{suffix}")
    told = run("stats", encoded, "--plot", target, "--summary")
    assert told.stderr.startswith(f"{target}: ")
    assert told.stdout == run("stats", encoded, "--summary").stdout
    begins = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix]
    first = target.read_bytes()
    assert first.startswith(begins)
    # It is not replaced unless asked, and then holds the same again.
    assert "plot" in run("stats", encoded, "--plot", target, code=5).stderr
    run("stats", encoded, "--plot", target, "-y")
    assert target.read_bytes() == first
    run("stats", encoded, "--plot", target, "-y", "--segment", "1")
    assert target.read_bytes() != first


def test_a_plot_has_the_colours_of_views(run: Run, encoded: Path) -> None:
    target = encoded.with_name("plot.png")
    run("stats", encoded, "--plot", target)
    with Image.open(target) as picture:
        found = {colour[:3] for _, colour in picture.getcolors(1 << 24)}  # type: ignore[union-attr, index]
    assert {BACKGROUND, BAR, HEAT_COLOURS[-1]} <= found


def test_plots_that_are_refused(
    run: Run, refused: Callable[..., str], encoded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = refused(2, "stats", encoded, "--plot", "plot.bmp")
    assert said == "--plot plot.bmp is not a picture: choose a name in .png, .svg, .pdf"
    assert "give one at a time" in refused(2, "stats", encoded, encoded, "--plot", "plot.png")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said = refused(2, "stats", encoded, "--plot", encoded.with_name("plot.png"))
    assert said.startswith("--plot needs matplotlib: install it with pip install 'infotok[plots]'")
