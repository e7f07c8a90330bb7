"""What is typed for numbers and times, and where a range of frames ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infotok_cli.cli import quantities
from infotok_cli.errors import UsageError
from make_video import make_video, moving_shapes

Run = Callable[..., Any]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90), ("90s", 90), ("0.5 s", 0.5), (".5", 0.5), ("500ms", 0.5), ("1.5min", 90), ("2h", 7200),
        ("1e1", 10), ("1:30", 90), ("01:30.25", 90.25), ("0:01:30.5", 90.5), ("1:02:03.004", 3723.004),
        ("90:00", 5400), ("0", 0),
    ],
)  # fmt: skip
def test_times(text: str, seconds: float) -> None:
    assert quantities.seconds("--start")(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "-1", "nan", "inf", "1e999", "1:60", "1:60:00", "1:", ":30", "1:2:3:4", "5m"]
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match=r"--end .*is not a time: give seconds"):
        quantities.seconds("--end")(text)


@pytest.mark.parametrize(
    ("parser", "text", "value"),
    [
        (quantities.share("-x"), "50%", 0.5), (quantities.share("-x"), "12.5 %", 0.125),
        (quantities.share("-x"), "0.3", 0.3), (quantities.number("-x"), "1e3", 1000),
        (quantities.number("-x"), "1.1k", 1100), (quantities.number("-x", units=("db",)), "27 dB", 27),
        (quantities.number("-x"), "-5", -5), (quantities.whole("-x"), "1k", 1000),
        (quantities.whole("-x"), "1e3", 1000), (quantities.whole("-x"), "1.001k", 1001),
        (quantities.whole("-x", units=("p",)), "720p", 720), (quantities.bits("-x"), "100kbps", 100_000),
        (quantities.bits("-x"), "1.5 Mbit/s", 1_500_000), (quantities.bits("-x"), "100kb", 100_000),
        (quantities.size("-x"), "64KiB", 65536), (quantities.size("-x"), "1.5MB", 1_500_000),
        (quantities.size("-x"), "500k", 500_000), (quantities.whole("-x"), 4, 4),
    ],
)  # fmt: skip
def test_numbers(parser: quantities.Parser, text: object, value: float) -> None:
    assert parser(text) == value


@pytest.mark.parametrize("text", ["", "many", "5 apples", "1e", "--", "5kk", "0x10", "1_000", "٣"])
@pytest.mark.parametrize("make", [quantities.number, quantities.whole, quantities.share, quantities.bits])
def test_what_is_no_number(make: Callable[[str], quantities.Parser], text: str) -> None:
    with pytest.raises(UsageError, match=r"-x .*is not a (whole )?number: give"):
        make("-x")(text)


def frames_of(run: Run, *words: object) -> int:
    return int(json.loads(run(*words, "--json").stdout)["frames"])


def test_ranges_of_an_encode(run: Run, clip: Path, tmp_path: Path) -> None:
    """The clip has 20 frames of 30000/1001 a second, the last of which is shown at 0.634 s."""
    words = ("encode", clip, "-y", "-o", tmp_path / "a.itk")
    assert frames_of(run, *words, "--start", "0:00.1", "--end", "0.5s") == 12
    assert frames_of(run, *words, "--start", "100ms", "--duration", "0.4s") == 12
    assert frames_of(run, *words, "--frames", 7) == 7
    assert frames_of(run, *words, "--frames", "1k") == 20
    assert frames_of(run, *words, "--start", "0.1", "--frames", 3, "--end", 0.5) == 3
    assert frames_of(run, *words, "--frames", 9, "--duration", "0.1") == 3
    assert frames_of(run, *words, "--start", "0.634") == 1
    assert frames_of(run, *words, "--start", "0.633967") == 1


@pytest.mark.parametrize("command", ["decode", "cut"])
def test_ranges_of_an_itk_file(run: Run, encoded: Path, command: str) -> None:
    target = encoded.with_name("out.itk" if command == "cut" else "out.mkv")
    words = (command, encoded, "-y", "-o", target)
    assert frames_of(run, *words, "--start", "0:00.1", "--end", "0.5s") == 12
    assert frames_of(run, *words, "--start", "0.1", "--duration", "400ms") == 12
    assert frames_of(run, *words, "--frames", 7) == 7
    assert frames_of(run, *words, "--frames", 1, "--start", "0.634") == 1
    assert frames_of(run, *words, "--start", "0.634") == 1
    assert frames_of(run, *words, "--frames", 99) == 20


@pytest.mark.parametrize("command", ["encode", "decode", "cut"])
def test_frames_end_where_their_time_does(run: Run, tmp_path: Path, command: str) -> None:
    """With sound, and in an encode with several passes: the same bytes as by --end."""
    video = make_video(tmp_path / "sound.mp4", moving_shapes(48, 32, 32), rate=24, audio_seconds=2)
    options: list[object] = ["--segment-frames", 8, "--max-tokens", 100]
    whole = tmp_path / "whole.itk"
    run("encode", video, "-o", whole, *options)
    source, suffix = (video, "itk") if command == "encode" else (whole, "itk" if command == "cut" else "mp4")
    for start in (("--start", 0), ("--start", "0.25")):
        made = []
        for name, limit in (("a", ("--frames", 12)), ("b", ("--duration", 0.5))):
            made.append(tmp_path / f"{name}.{suffix}")
            words = (command, source, "-y", "-o", made[-1], *start, *limit)
            run(*words, *(options if command == "encode" else ()))
        assert made[0].read_bytes() == made[1].read_bytes()
