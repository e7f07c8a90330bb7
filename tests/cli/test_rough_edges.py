"""What a new user tries first: odd sizes, odd names, odd places, and what is said of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infotok_cli.container.layout import MAGIC
from infotok_cli.kinds import ITK, kind_of
from infotok_cli.video.reader import open_video
from make_video import make_video, moving_shapes

Run = Callable[..., Any]
Refused = Callable[..., str]


def started(*words: object, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """`infotok` as a process of its own."""
    command = [sys.executable, "-P", "-m", "infotok_cli", *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, cwd=cwd, env=os.environ | variables
    )


@pytest.fixture
def odd(run: Run, tmp_path: Path) -> Path:
    """Five frames of 23x17, encoded."""
    source = make_video(tmp_path / "odd.mkv", moving_shapes(5, 17, 23), pixel_format="yuv444p")
    run("encode", source, "-o", tmp_path / "odd.itk")
    return tmp_path / "odd.itk"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["encod", "a.mp4"],
            "there is no command 'encod', perhaps encode or decode: 'infotok --help' lists them",
        ),
        (["help", "statz"], "there is no command 'statz', perhaps stats: 'infotok --help' lists them"),
        (["xyz"], "there is no command 'xyz': 'infotok --help' lists them"),
        (["encode", "--ratte", "1"], "there is no option --ratte, perhaps --rate or --bitrate: see"),
        (["encode", "--nope"], "there is no option --nope: see 'infotok encode --help'"),
    ],
)
def test_what_does_not_exist_is_told_with_what_is_like_it(
    refused: Refused, words: list[str], says: str
) -> None:
    assert refused(2, *words).startswith(says)


@pytest.mark.parametrize("start", [1e300, 1e18])
def test_a_start_beyond_all_clocks(refused: Refused, clip: Path, tmp_path: Path, start: float) -> None:
    message = refused(2, "encode", clip, "-o", tmp_path / "o.itk", "--start", start)
    assert "is past the last frame" in message


def test_names_that_the_output_has_no_letters_for(clip: Path, tmp_path: Path) -> None:
    for coding in ("ascii:strict", "ascii"):
        done = started("encode", clip, "-o", tmp_path / "clïp.itk", "-y", PYTHONIOENCODING=coding)
        assert (done.returncode, "cl\\xefp.itk" in done.stderr) == (0, True)


@pytest.mark.skipif(sys.platform != "linux", reason="only there can a current folder be removed")
@pytest.mark.parametrize("words", [["encode", "clip.mp4"], ["doctor"], ["demo"], ["inspect", "x.itk"]])
def test_a_current_folder_that_is_gone(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    told = run(*words, code=3).stderr
    assert told == "infotok: error: the current folder is gone: change to one that exists\n"
    assert "Usage" in run(words[0], "--help").stdout


@pytest.mark.skipif(sys.platform != "linux", reason="only there can a current folder be removed")
def test_a_process_whose_current_folder_is_gone(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    words = [sys.executable, "-P", "-m", "infotok_cli", "doctor", "--json"]
    script = 'rmdir "$PWD" && exec "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *words],
        cwd=tmp_path / "gone", capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    error = json.loads(done.stderr)["error"]
    assert (error["what"], error["exit_code"], done.returncode) == ("the current folder is gone", 3, 3)


def test_short_side_keeps_sizes_even(run: Run, tmp_path: Path) -> None:
    source = make_video(tmp_path / "wide.mkv", moving_shapes(2, 36, 64))
    result = run("encode", source, "-o", tmp_path / "a.itk", "--short-side", 20, "--json")
    report = json.loads(result.stdout)
    assert (report["width"], report["height"], report["warnings"]) == (36, 20, [])
    result = run("encode", source, "-o", tmp_path / "b.itk", "--short-side", 21)
    assert "warning: --short-side 21 is odd" in result.stderr
    assert "choose 22" in result.stderr


def test_enlarging_is_said(run: Run, clip: Path, tmp_path: Path) -> None:
    result = run("encode", clip, "-o", tmp_path / "a.itk", "--short-side", 60)
    assert "warning" in result.stderr
    assert "has 40 pixels on its shorter side and is enlarged to 60: leave out --short-side" in result.stderr
    assert "warning" not in run("encode", clip, "-o", tmp_path / "b.itk", "--short-side", 40).stderr


def test_odd_sizes_are_said_and_can_be_padded(run: Run, odd: Path) -> None:
    whole = odd.with_name("a.mp4")
    result = run("decode", odd, "-o", whole)
    assert "23x17 pixels, an odd size, are written as 4:4:4" in result.stderr
    assert "--pixel-format yuv420p pads" in result.stderr
    padded = odd.with_name("b.mp4")
    report = json.loads(run("decode", odd, "-o", padded, "--pixel-format", "yuv420p", "--json").stdout)
    assert report["warnings"] == [f"{padded}: 23x17 pixels are padded to 24x18, as yuv420p needs"]
    with open_video(whole) as one, open_video(padded) as other:
        assert (other.info.width, other.info.height) == (24, 18)
        first, second = next(one.frames()), next(other.frames())
    assert np.abs(first.astype(int) - second[:17, :23]).mean() < 16
    assert "warning" not in run("decode", odd, "-o", odd.with_name("c.webm")).stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--pixel-format", "yuv422p"], "--pixel-format 'yuv422p' is unknown: choose yuv420p or yuv444p"),
        (["-o", "{}/f/", "--pixel-format", "yuv420p"], "--pixel-format does not apply to PNG frames"),
        (["--codec", "av1", "--pixel-format", "yuv444p"], "cannot write --pixel-format yuv444p"),
        (["-o", "{}/out.xyz"], "/out.xyz: cannot write a .xyz file: choose .mp4, .m4v, .mov"),
        (["-o", "{}/out.y4m", "--crf", "20"], "/out.y4m: --crf does not apply to Y4M"),
    ],
)
def test_decode_refuses(refused: Refused, odd: Path, words: list[str], says: str) -> None:
    message = refused(2, "decode", odd, *(word.format(odd.parent) for word in words))
    assert says in message
    assert ".infotok-" not in message


def test_y4m_and_gif_files(run: Run, encoded: Path) -> None:
    with_times = encoded.with_name("a.y4m")
    run("decode", encoded, "-o", with_times)
    run("decode", encoded, "-o", encoded.with_name("b.gif"))
    for path, rate in ((with_times, Fraction(30000, 1001)), (encoded.with_name("b.gif"), None)):
        with open_video(path) as video:
            assert len(list(video.frames())) == 20
            assert rate in (None, video.info.frame_rate)


def test_an_error_of_a_y4m_file_names_it(refused: Refused, run: Run, tmp_path: Path) -> None:
    source = make_video(
        tmp_path / "v.mkv", moving_shapes(4, 16, 16), ticks=[0, 40, 200, 240], time_base=Fraction(1, 1000)
    )
    run("encode", source, "-o", tmp_path / "v.itk")
    message = refused(2, "decode", tmp_path / "v.itk", "-o", tmp_path / "v.y4m")
    assert ".infotok-" not in message
    assert message.startswith(f"{tmp_path / 'v.y4m'}: frame ")
    assert message.endswith("or a .mkv file")


def test_files_of_another_kind_are_named(
    run: Run, refused: Refused, clip: Path, encoded: Path, tmp_path: Path
) -> None:
    message = refused(3, "decode", clip, "-o", tmp_path / "o.mp4")
    assert message.startswith(f"{clip}: is not an .itk file but an MP4 or MOV video: ")
    assert message.endswith(f"'infotok encode {clip}' makes one of it")
    message = refused(3, "encode", encoded, "-o", tmp_path / "o.itk")
    assert message == f"{encoded}: is an .itk file already, not a video: " + (
        f"'infotok decode {encoded}' makes a video of it"
    )
    run("export", encoded, "-o", tmp_path / "ids.npz")
    assert "infotok import" in refused(3, "inspect", tmp_path / "ids.npz")


def test_magic_is_known_to_both_sides() -> None:
    assert kind_of(MAGIC + bytes(30)) == ITK
    assert kind_of(b"") is None


@pytest.mark.parametrize("command", ["encode", "decode", "inspect", "export", "cut"])
def test_names_that_are_no_files(refused: Refused, tmp_path: Path, command: str) -> None:
    target = ("-o", tmp_path / "o.itk") if command in ("encode", "cut") else ()
    assert "is empty" in refused(3, command, "", *target)
    message = refused(3, command, "https://example.org/a.mp4", *target)
    assert message.startswith("https://example.org/a.mp4: is an address")
    if command != "inspect":
        assert "is named ./-NAME" in refused(2, command, "-dash.mp4", *target)


def test_an_animated_webp_is_not_called_damaged(refused: Refused, tmp_path: Path) -> None:
    header = b"VP8X" + (10).to_bytes(4, "little") + bytes([2]) + bytes(9)
    path = tmp_path / "moving.webp"
    path.write_bytes(b"RIFF" + (4 + len(header)).to_bytes(4, "little") + b"WEBP" + header)
    assert "is an animated WebP" in refused(3, "encode", path, "-o", tmp_path / "o.itk")


def test_a_gap_of_days_needs_matroska(run: Run, refused: Refused, tmp_path: Path) -> None:
    day = 86_400_000
    source = make_video(
        tmp_path / "v.mkv",
        moving_shapes(4, 16, 16),
        ticks=[0, 40, 2 * day, 2 * day + 40],
        time_base=Fraction(1, 1000),
    )
    run("encode", source, "-o", tmp_path / "v.itk")
    message = refused(2, "decode", tmp_path / "v.itk", "-o", tmp_path / "v.mp4")
    assert message.endswith("a frame is shown for 172800 s, longer than a .mp4 file can say: choose .mkv")
    run("decode", tmp_path / "v.itk", "-o", tmp_path / "back.mkv")


@pytest.mark.parametrize("target", ["out.y4m", "out.gif", "frames"])
def test_sound_that_the_output_does_not_hold_is_told(run: Run, tmp_path: Path, target: str) -> None:
    clip = make_video(tmp_path / "clip.mkv", moving_shapes(8, 40, 48), audio_seconds=0.2)
    run("encode", clip)
    told = run("decode", tmp_path / "clip.itk", "-o", tmp_path / target).stderr
    assert f"infotok: warning: {tmp_path / target}: holds pictures only, so the sound is left out" in told
    asked = run("decode", tmp_path / "clip.itk", "-o", tmp_path / target, "--no-audio", "-y").stderr
    assert "left out" not in asked


def test_an_input_that_is_no_itk_file_is_told_before_the_output_that_exists(
    refused: Refused, tmp_path: Path
) -> None:
    clip = make_video(tmp_path / "clip.mp4", moving_shapes(4, 40, 48))
    (tmp_path / "clip.decoded.mp4").write_bytes(b"")
    assert "infotok encode" in refused(3, "decode", clip)
