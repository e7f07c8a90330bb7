"""Progress is one line at any width, and says what matters most."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.progress import Task, TaskID

from infotok_cli.batch.outputs import Row
from infotok_cli.cli.batch_progress import batch_progress, line_of
from infotok_cli.cli.output import voice
from infotok_cli.cli.progress import Bar, Status, line, progress
from infotok_cli.cli.render import large_input
from infotok_cli.codec.forecast import forecast_file
from infotok_cli.codec.load_engine import load_engine
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.wording import time_in_words


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("frames", [0, 1, 300, 7_845_178])
@pytest.mark.parametrize("total", [None, 7_845_178])
@pytest.mark.parametrize("seconds", [0.0, 0.04, 3.0, 80_000.0])
def test_progress_is_one_line(
    width: int, frames: int, total: int | None, seconds: float, ascii_only: bool
) -> None:
    text = line(Status("encoding", frames, total, seconds, 123_456_789), width, ascii_only=ascii_only)
    assert len(text) < width
    assert text.isprintable()
    assert text.isascii() or not ascii_only
    assert text.startswith("encoding ")
    assert f"{frames:,}" in text or (not frames and total is None)


def test_progress_says_what_there_is_room_for() -> None:
    status = Status("encoding", 123, 456, 10.5, 12_345)
    assert line(status, 40, ascii_only=True) == "encoding 123/456 frames, 0:28 left"
    assert line(status, 80, ascii_only=True) == (
        "encoding #####-------------- 123/456 frames, 0:28 left, 11.7 fps, 12,345 tokens"
    )
    assert line(Status("decoding", 240, None, 2, None), 80, ascii_only=True) == "decoding 240 frames, 120 fps"
    begun = Status("encoding", 0, 456, 1.2, None)
    assert line(begun, 40, ascii_only=True) == "encoding 0/456 frames, 0:01 so far"
    loading = Status("loading the model", 0, None, 63, None)
    assert line(loading, 80, ascii_only=True) == "loading the model 1:03"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("quiet", [False, True])
def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch, quiet: bool) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(voice, "quiet", quiet)
    for name, value in (("COLUMNS", "40"), ("TERM", "xterm"), ("NO_COLOR", "1")):
        monkeypatch.setenv(name, value)
    with progress() as bar:
        assert terminal.getvalue() == ""
        bar.describe("encoding")
        bar.started(100)
        bar.done(50, 1000)
        bar.note("it is large")
        bar.done(100, 2000)
    shown = terminal.getvalue()
    if quiet:
        assert shown == ""
        return
    assert shown.replace("\x1b[?25l", "").startswith("encoding 0:00")
    assert "infotok: it is large" in shown
    assert "100/100 frames" in shown
    assert "\x1b[1A\x1b[2K\x1b[1A" not in shown  # never up more than a line: there is one


def test_a_large_input_is_told_with_its_way_out(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = load_engine(device="cpu", precision="fp32")
    small = forecast_file(clip, engine, EncodeOptions())
    large = forecast_file(clip, engine, EncodeOptions(short_side=3240))
    assert (small.is_large, large.is_large) == (False, True)
    assert replace(small, positions=1 << 22).is_large
    pixels, beyond = 20 * 3240 * 3888 * 3, 405 * 486 - 8192
    assert large.memory_bytes == 400_000_000 + 3 * pixels + 40_000 * 8192 + 6_000 * beyond
    told = (
        f"{clip} has 3888x3240 pixels and 20 frames: encoding it takes about 4 minutes and at least about "
        "4.13 GB of memory, less with --short-side"
    )
    assert large_input(replace(large, seconds=240.0)) == told
    assert "takes at least about 4.13 GB of memory" in large_input(large)
    assert large_input(replace(large, memory_bytes=None)) == ""
    tried = []
    voice.reset(as_json=False)
    for forecast in (small, large):
        Bar().expects(forecast, lambda: tried.append("once") or 240.0)  # type: ignore[func-returns-value]
    assert capsys.readouterr().err == f"infotok: {told}\n"
    voice.reset(as_json=True)
    Bar().expects(large, lambda: tried.append("more") or 240.0)  # type: ignore[func-returns-value]
    assert tried == ["once"]
    assert capsys.readouterr().err == ""
    voice.reset(as_json=False)
    Bar().note("")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.44, "0.4 s"),
        (9.4, "9 s"),
        (12.4, "12 s"),
        (240, "4 minutes"),
        (9000, "2.5 hours"),
        (4e5, "111 hours"),
    ],
)
def test_times_are_told_as_estimates(seconds: float, words: str) -> None:
    assert time_in_words(seconds) == words


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (40, "encoding ##------ 3/12 files, 0:30 left"),
        (80, "encoding ####------------- 3/12 files, 0:30 left, 1.50 h of video, 9,000 tokens"),
    ],
)
def test_a_batch_is_one_line_too(width: int, shown: str) -> None:
    task = Task(TaskID(0), "", 12, 3, _get_time=lambda: 10.0, fields={"hours": 1.5, "tokens": 9000})
    task.start_time = 0.0
    assert line_of(task, width, True) == shown
    task.completed = 0
    assert "0/12 files, 0:10 so far" in line_of(task, width, True)


def test_batch_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    for name, value in (("COLUMNS", "40"), ("TERM", "xterm"), ("NO_COLOR", "1")):
        monkeypatch.setenv(name, value)
    with batch_progress() as bar:
        assert terminal.getvalue() == ""
        bar.started(2)
        bar.done(Row(id="a", source="a.mp4", output="a.itk", status="encoded", seconds=2.0, tokens=100))
    shown = terminal.getvalue()
    assert "encoding 0/2 files, 0:00 so far" in shown
    assert "1/2 files" in shown
    assert "\x1b[1A\x1b[2K\x1b[1A" not in shown
