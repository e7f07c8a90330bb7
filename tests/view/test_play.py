"""Playing keeps time: what is passed over, where jumps lead, and pictures as characters."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infotok_cli.codec.encode import encode_file
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.container.reader import ItkReader
from infotok_cli.errors import UsageError
from infotok_cli.itk.playback import Chunk
from infotok_cli.model.engine import Engine, choose_runtime
from infotok_cli.model.weights import load_model
from infotok_cli.video.reader import open_video
from infotok_cli.view.half_blocks import fitted, in_256_colours, in_shades, in_true_colour
from infotok_cli.view.play import Clock, Film, Pace, shown_times
from infotok_cli.view.player_window import play_in
from infotok_cli.view.players import Player, find_player
from make_media import make_media
from make_video import make_video, moving_shapes
from tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tiny.safetensors, and clip.itk: 40 frames of 32x48 at 10 a second, in segments of 4."""
    folder = tmp_path_factory.mktemp("play")
    write_tiny_model(folder / "tiny.safetensors")
    make_video(folder / "clip.mkv", moving_shapes(40, 32, 48), rate=Fraction(10))
    encode_file(folder / "clip.mkv", folder / "clip.itk", engine_of(folder), EncodeOptions(segment_frames=4))
    return folder


def engine_of(folder: Path) -> Engine:
    return Engine(load_model(folder / "tiny.safetensors"), choose_runtime("cpu"))


class Now:
    """A clock that goes when it is told."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_a_clock_runs_only_when_started() -> None:
    now = Now()
    clock = Clock(2.0, now=now)
    now.seconds += 5
    assert clock.at == 2
    clock.start()
    now.seconds += 1
    clock.start()
    now.seconds += 0.5
    assert clock.at == 3.5
    clock.stop()
    now.seconds += 7
    assert clock.at == 3.5
    clock.set_back(0.5)
    clock.start()
    now.seconds += 1
    assert clock.at == 4


def test_segments_that_would_be_half_over_are_passed(folder: Path) -> None:
    """Segments of 0.4 s; decoding one is expected to take 0.5 s."""
    now = Now()
    clock = Clock(0.0, now=now)
    with ItkReader(folder / "clip.itk") as reader:
        pace = Pace(reader, range(6, 38), clock, took_seconds=0.5)
        assert not pace.late(1)  # the clock stands still
        clock.start()
        now.seconds += 0.25
        assert pace.late(1)  # 0.4 to 0.8 s, and it would be there at 0.75 s
        assert not pace.late(2)
        assert (pace.passed, pace.dropped) == ({1}, 2)
        now.seconds += 3.1
        assert pace.late(9)
        assert pace.dropped == 2 + 2
        assert pace.is_passed(37)
        assert not pace.is_passed(8)


def test_time_taken_is_a_running_mean(folder: Path) -> None:
    with ItkReader(folder / "clip.itk") as reader:
        pace = Pace(reader, range(40), Clock(0.0))

        def chunks() -> Any:
            for number, seconds in enumerate((0.1, 0.3)):
                assert not pace.late(number)
                time.sleep(seconds / 2)
                yield Chunk(np.zeros((4, 2, 2, 3), np.uint8), None, [])
                time.sleep(seconds / 2)
                yield Chunk(None, None, [])

        taken = [pace.took_seconds for _ in pace.timed(chunks())]
        assert taken[0] == taken[1] == 0
        assert 0.1 <= taken[2] == taken[3] < 0.2
        assert not pace.late(2)
        assert 0.2 <= pace.took_seconds < 0.3


@pytest.fixture
def recorder(tmp_path: Path) -> tuple[Player, Path]:
    """A player that writes what it gets into a file."""
    program, target = tmp_path / "mpv", tmp_path / "got.mkv"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nopen({str(target)!r}, 'wb').write(sys.stdin.buffer.read())\n"
    )
    program.chmod(0o755)
    return Player("mpv", str(program)), target


def slow(engine: Engine, seconds: float, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have each segment take so much longer; returns a list that gets an entry for each."""
    decoded: list[int] = []
    plain = engine.decode_steps

    def steps(tokens: Any, *size: int) -> Iterator[Any]:
        decoded.append(1)
        for frames in plain(tokens, *size):
            time.sleep(seconds / (len(tokens.keep) - 1))
            yield frames

    monkeypatch.setattr(engine, "decode_steps", steps)
    return decoded


def test_a_slow_decoder_keeps_time(
    folder: Path, recorder: tuple[Player, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten segments of 0.4 s that take 1 s each: most are passed, and a good frame stands for theirs."""
    engine = engine_of(folder)
    decoded = slow(engine, 1.0, monkeypatch)
    with ItkReader(folder / "clip.itk") as reader:
        film = Film(reader=reader, engine=engine)
        began = time.monotonic()
        played = play_in(recorder[0], film, title="clip", heat=False, audio=True)
    assert time.monotonic() - began < 9
    assert played.frames == 40
    assert played.dropped == 4 * (10 - len(decoded)) >= 12
    with open_video(recorder[1]) as video:
        frames = list(video.frames())
    assert len(frames) == 40
    still = [bool(np.abs(a.astype(int) - b).mean() < 2) for a, b in pairwise(frames)]
    assert sum(still) >= played.dropped - len(decoded)


def test_a_fast_decoder_drops_nothing(folder: Path, recorder: tuple[Player, Path]) -> None:
    with ItkReader(folder / "clip.itk") as reader:
        film = Film(reader=reader, engine=engine_of(folder), start_seconds=0.55, end_seconds=3.05)
        played = play_in(recorder[0], film, title="clip", heat=True, audio=True)
    assert played.frames == 25
    with open_video(recorder[1]) as video:
        assert len(list(video.frames())) == 25


def test_jumps_lead_to_segments(folder: Path) -> None:
    with ItkReader(folder / "clip.itk") as reader:
        film = Film(reader=reader, engine=engine_of(folder), start_seconds=0.5, end_seconds=3.9)
        assert film.wanted == range(5, 39)
        assert film.span == pytest.approx((0.5, 3.9))
        assert film.moved(1.0, -5) == 5
        assert film.moved(3.0, -1) == 20  # 2.0 s
        assert film.moved(1.0, 1.3) == 20  # 2.3 s
        assert film.moved(1.0, 0.01) == 12  # at least one segment on
        assert film.moved(1.0, 5) == 36
        assert film.moved(3.7, 5) is None
        with pytest.raises(UsageError, match="no frame lies between"):
            Film(reader=reader, engine=film.engine, start_seconds=9)


def test_times_of_frames_are_those_of_the_file(folder: Path, tmp_path: Path) -> None:
    ticks = [20 * number + 200 * (number // 12) for number in range(24)]
    source = make_media(tmp_path / "film.mkv", ticks=ticks, time_base=Fraction(1, 1000), sound=None)
    engine = engine_of(folder)
    encode_file(source, tmp_path / "film.itk", engine, EncodeOptions(segment_frames=8))
    with ItkReader(tmp_path / "film.itk") as reader:
        assert reader.header.has_times
        film = Film(reader=reader, engine=engine)
        times, done = [], 5
        with film.decoding(Clock(0.0), first=5, audio=False) as part:
            for chunk in part.chunks:
                if chunk.frames is not None:
                    times += shown_times(part, reader, chunk, done)
                    done += len(chunk.frames)
    assert [start for start, _ in times] == pytest.approx([tick / 1000 for tick in ticks[5:]], abs=1e-3)
    assert all(end == pytest.approx(start) for (_, end), (start, _) in pairwise(times))


def test_pictures_fit() -> None:
    picture = np.zeros((90, 160, 3), np.uint8)
    assert fitted(picture, 80, 100).shape == (44, 80, 3)
    assert fitted(picture, 200, 10).shape == (20, 36, 3)
    assert fitted(picture, 80, 100, pixel_aspect=0.5).shape == (90, 80, 3)
    assert fitted(picture, 1, 1).shape == (2, 1, 3)
    assert fitted(np.zeros((1, 1, 3), np.uint8), 20, 5).shape == (10, 10, 3)


def test_colours_of_half_blocks() -> None:
    picture = np.array([[[255, 0, 7], [1, 2, 3]], [[0, 100, 255], [4, 5, 6]]], np.uint8)
    (line,) = in_true_colour(picture)
    assert line.decode() == (
        "\x1b[38;2;255;000;007;48;2;000;100;255m▀\x1b[38;2;001;002;003;48;2;004;005;006m▀\x1b[0m"
    )
    (line,) = in_256_colours(picture)
    assert re.findall(r"38;5;(\d+);48;5;(\d+)m", line.decode()) == [("196", "033"), ("016", "016")]
    bright = np.full((2, 3, 3), 255, np.uint8)
    assert in_shades(" .#")(np.concatenate([bright * 0, bright])) == [b"   ", b"###"]


def test_which_player(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with_display = {"WAYLAND_DISPLAY": "wayland-0"}
    assert find_player("auto", with_display) is None
    for name in ("ffplay", "mpv"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o755)
        found = find_player("auto", with_display)
        assert found is not None
        assert found.name == name
    assert find_player("terminal", with_display) is None
    if sys.platform == "linux":
        assert find_player("auto", {}) is None
        with pytest.raises(UsageError, match="has no display"):
            find_player("ffplay", {})
