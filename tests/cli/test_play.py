"""`infotok play`: in players that record what they get, and on a real pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from infotok_cli.cli.screen import KEYS
from infotok_cli.video.reader import open_video
from make_media import make_media, read_media

Run = Callable[..., Any]

RECORDER = """#!{python}
import os, sys, time
here = os.path.dirname(sys.argv[0])
open(os.path.join(here, "words"), "w").write("\\n".join(sys.argv))
{body}
"""

RECORD = 'open(os.path.join(here, "got.mkv"), "wb").write(sys.stdin.buffer.read())'


@pytest.fixture
def player(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Make a program of some name the only player there is, on a display; returns its folder."""

    def make(body: str = RECORD, name: str = "mpv") -> Path:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        program = folder / name
        program.write_text(RECORDER.format(python=sys.executable, body=body))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))
        monkeypatch.setenv("DISPLAY", ":1")
        return folder

    return make


@pytest.fixture
def no_player(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)


@pytest.fixture
def long(run: Run, encoded: Path) -> Path:
    """Twenty times the file: 100 segments, 13.3 seconds."""
    target = encoded.with_name("long.itk")
    run("concat", *[encoded] * 20, "-o", target)
    return target


def frames_of(path: Path) -> NDArray[np.uint8]:
    with open_video(path) as video:
        return np.stack(list(video.frames()))


@pytest.mark.parametrize("name", ["mpv", "ffplay"])
def test_a_player_gets_what_decode_gives(
    run: Run, tmp_path: Path, player: Callable[..., Path], name: str
) -> None:
    """Pictures and sound."""
    source = make_media(tmp_path / "film.mp4")
    run("encode", source, "-o", tmp_path / "film.itk", "--segment-frames", 4)
    folder = player(name=name)
    told = run("play", tmp_path / "film.itk").stderr
    words = (folder / "words").read_text().split("\n")
    assert any("film.itk" in word for word in words)
    assert words[-1] == ("-" if name == "mpv" else "pipe:0")
    run("decode", tmp_path / "film.itk", "-o", tmp_path / "film.mkv")
    got, expected = read_media(folder / "got.mkv"), read_media(tmp_path / "film.mkv")
    assert len(got.video) == len(expected.video) == 24
    assert got.sound_bytes == expected.sound_bytes
    assert [float(time) for time in got.video] == pytest.approx(
        [float(time) for time in expected.video], abs=2e-3
    )
    assert re.fullmatch(rf".*film\.itk: 24 frames played in {name}, (none|\d+ of them) dropped.*\n", told)


def test_a_part_without_sound(run: Run, tmp_path: Path, player: Callable[..., Path]) -> None:
    source = make_media(tmp_path / "film.mp4")
    run("encode", source, "-o", tmp_path / "film.itk", "--segment-frames", 4)
    folder = player()
    told = run("play", tmp_path / "film.itk", "--no-audio", "--start", "0.2", "--end", "0.4").stderr
    assert "film.itk: 6 frames played in mpv" in told
    got = read_media(folder / "got.mkv")
    assert len(got.video) == 6
    assert got.sound_bytes == b""


def test_heat_is_over_the_pictures(run: Run, encoded: Path, player: Callable[..., Path]) -> None:
    folder = player()
    run("play", encoded)
    plain = frames_of(folder / "got.mkv")
    run("play", encoded, "--heat")
    heated = frames_of(folder / "got.mkv")
    assert plain.shape == heated.shape
    # The scale has no red without green, and nothing white.
    assert np.abs(plain.astype(int) - heated).mean() > 10
    assert heated.max(axis=-1).astype(int).mean() < 230


@pytest.mark.parametrize("body", ["sys.stdin.buffer.read(1000)", "pass"])
def test_a_player_that_is_closed_ends_it(
    run: Run, long: Path, player: Callable[..., Path], body: str
) -> None:
    player(body)
    told = run("play", long)
    assert "played in mpv" in told.stderr
    assert told.stderr.count("\n") == 1


def test_a_player_that_fails(run: Run, encoded: Path, player: Callable[..., Path]) -> None:
    player('sys.stdin.buffer.read(1000); print("cannot open the window", file=sys.stderr); sys.exit(2)')
    told = run("play", encoded, code=5)
    assert told.stderr == (
        "infotok: error: mpv: ended with exit code 2 (cannot open the window): choose another with --player, "
        "for instance terminal\n"
    )
    assert run("play", encoded, "--player", "ffplay", code=2).stderr == (
        "infotok: error: --player ffplay is not installed: install it, or choose terminal\n"
    )


def test_a_player_ends_with_us(long: Path, player: Callable[..., Path], spawn: Callable[..., Any]) -> None:
    """Also one that does not listen."""
    body = (
        "import signal\n"
        "signal.signal(15, signal.SIG_IGN)\n"
        'open(os.path.join(here, "pid"), "w").write(str(os.getpid()))\n'
        "time.sleep(100)"
    )
    folder = player(body)
    process = spawn("play", long)
    wait_for(lambda: (folder / "pid").exists() and (folder / "pid").read_text() != "")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    with pytest.raises(ProcessLookupError):
        os.kill(int((folder / "pid").read_text()), 0)


def test_a_damaged_file_in_a_player(run: Run, long: Path, player: Callable[..., Path]) -> None:
    player()
    damage(long)
    told = run("play", long, code=3)
    assert told.stderr.count("\n") == 1
    assert "segment 50" in told.stderr
    for words in ((), ("--heat",)):
        told = run("play", long, "--skip-bad", *words).stderr
        assert "infotok: warning: " in told
        assert "400 frames played" in told


@pytest.mark.usefixtures("no_player")
def test_nowhere_to_play(refused: Callable[..., str], encoded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(2, "play", encoded) == (
        "standard output is not a terminal to play on, and there is no player with a display: run it in a "
        "terminal, or install mpv and run it on a desktop"
    )
    assert "is not a terminal to play on: run it" in refused(2, "play", encoded, "--player", "terminal")
    assert "choose auto, mpv, ffplay or terminal" in refused(2, "play", encoded, "--player", "vlc")
    assert "does not exist" in refused(3, "play", encoded.with_name("no.itk"))


def test_a_player_without_a_display(
    refused: Callable[..., str], encoded: Path, player: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    player()
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert "--player mpv has no display: neither DISPLAY nor" in refused(
        2, "play", encoded, "--player", "mpv"
    )


def damage(path: Path) -> None:
    """Change a byte of segment 50."""
    from infotok_cli.container.reader import ItkReader

    with ItkReader(path) as reader:
        place = reader.index[50]
    data = bytearray(path.read_bytes())
    data[place.offset + place.total_length // 2] ^= 0xFF
    path.write_bytes(data)


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


class Terminal:
    """A pseudo-terminal with `infotok play` on it."""

    def __init__(
        self, infotok: list[str], *words: object, columns: int = 60, lines: int = 20, **environment: str
    ) -> None:
        self.master, self.slave = os.openpty()
        self.resize(columns, lines)
        self.before = termios.tcgetattr(self.slave)
        surroundings = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONIOENCODING": "utf-8"}
        env = {**os.environ, **surroundings, **environment}
        for name in ("COLUMNS", "LINES", *(() if "NO_COLOR" in environment else ("NO_COLOR",))):
            env.pop(name, None)
        command = [*infotok, "play", "--player", "terminal", *map(str, words)]

        def prepare() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            signal.signal(signal.SIGINT, signal.SIG_DFL)

        self.process = subprocess.Popen(
            command, stdin=self.slave, stdout=self.slave, stderr=self.slave, env=env, start_new_session=True,
            preexec_fn=prepare,  # noqa: PLW1509  one thread
        )  # fmt: skip
        self.got = bytearray()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                self.got += os.read(self.master, 1 << 16)
            except OSError:
                return

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, keys: bytes) -> None:
        os.write(self.master, keys)

    @property
    def text(self) -> str:
        return self.got.decode("utf-8", "replace")

    @property
    def time(self) -> float:
        """What the last status says."""
        return self.times()[-1]

    def times(self, since: int = 0) -> list[float]:
        """What each status has said since a number of bytes; -1 where there was none."""
        text = self.got[since:].decode("utf-8", "replace")
        return [float(time) for time in re.findall(r"([\d.]+) of [\d.]+ s, ", text)] or [-1]

    def wait_for(self, text: str, since: int = 0) -> None:
        wait_for(lambda: text.encode() in self.got[since:])

    def ends(self, code: int) -> str:
        """Wait for the end; returns what was said after the screen was given back, and checks that it was."""
        assert self.process.wait(60) == code, self.text[-500:]
        wait_for(lambda: b"\x1b[?1049l" in self.got and self.got.rstrip().endswith((b".", b"d", b"e", b"t")))
        time.sleep(0.1)
        assert termios.tcgetattr(self.slave) == self.before
        assert self.got.count(b"\x1b[?1049h") == self.got.count(b"\x1b[?1049l") == 1
        assert self.got.rindex(b"\x1b[?25h") > self.got.rindex(b"\x1b[?25l")
        return self.text.rpartition("\x1b[?1049l")[2].strip()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal(warm: list[str]) -> Iterator[Callable[..., Terminal]]:
    """Play on a new terminal; in a process that minds its signals itself if it is `alone`."""
    opened: list[Terminal] = []

    def start(*words: object, alone: bool = False, **settings: Any) -> Terminal:
        infotok = [sys.executable, "-P", "-m", "infotok_cli"] if alone else warm
        opened.append(Terminal(infotok, *words, **settings))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def test_on_a_terminal_to_the_end(terminal: Callable[..., Terminal], encoded: Path) -> None:
    shown = terminal(encoded)
    said = shown.ends(0)
    assert re.fullmatch(r".*clip\.itk: 20 frames played in the terminal, (none dropped|\d+ of them .*)", said)
    assert "▀" in shown.text
    assert "\x1b[38;2;" in shown.text
    # 48x40 pixels on 60x19 characters: 46 of them across.
    assert re.search(r"\x1b\[1;8H(\x1b\[38[\d;]+m▀){46}\x1b\[0m\x1b\[2;8H", shown.text)


def test_keys(terminal: Callable[..., Terminal], long: Path) -> None:
    shown = terminal(long)
    shown.wait_for("playing")
    shown.press(b" ")
    shown.wait_for("paused")
    stopped, count = shown.time, len(shown.got)
    time.sleep(0.6)
    assert shown.time == stopped
    assert shown.got[count:].count("▀".encode()) == 0
    shown.press(b"h")
    wait_for(lambda: len(shown.got) > count + 1000)
    shown.press(b" ")
    wait_for(lambda: shown.time > stopped)
    before = shown.time
    shown.press(b"\x1b[C")
    wait_for(lambda: shown.time >= before + 4.5)
    after, count = shown.time, len(shown.got)
    shown.press(b"\x1b[D")
    wait_for(lambda: 0 <= min(shown.times(count)) < after - 3)
    shown.press(b"\x1bOC")
    wait_for(lambda: shown.time >= after - 2)
    shown.press(b"q")
    assert "played in the terminal" in shown.ends(0)


def test_forwards_at_the_end_ends_it(terminal: Callable[..., Terminal], long: Path) -> None:
    shown = terminal(long, "--start", "13.3")
    shown.wait_for("playing")
    shown.press(b" \x1b[C")
    assert "played in the terminal" in shown.ends(0)


@pytest.mark.parametrize(
    ("end", "code", "words"),
    [
        (lambda shown: shown.press(b"\x03"), 130, "infotok: interrupted"),
        (lambda shown: shown.process.terminate(), 143, ""),
        (lambda shown: shown.process.send_signal(signal.SIGHUP), 129, ""),
    ],
)
def test_the_terminal_is_given_back(
    terminal: Callable[..., Terminal], long: Path, end: Callable[[Terminal], None], code: int, words: str
) -> None:
    shown = terminal(long, alone=True)
    shown.wait_for("playing")
    end(shown)
    assert shown.process.wait(60) == code
    wait_for(lambda: b"\x1b[?1049l" in shown.got)
    wait_for(lambda: words in shown.text)
    assert termios.tcgetattr(shown.slave) == shown.before


def test_the_terminal_is_given_back_while_it_is_stopped(
    terminal: Callable[..., Terminal], long: Path
) -> None:
    """Ctrl-Z, and on with it."""
    shown = terminal(long, alone=True)
    shown.wait_for("playing")
    shown.process.send_signal(signal.SIGTSTP)
    shown.wait_for("\x1b[?1049l")
    wait_for(lambda: termios.tcgetattr(shown.slave) == shown.before)
    before, count = shown.time, len(shown.got)
    time.sleep(1.5)
    shown.process.send_signal(signal.SIGCONT)
    shown.wait_for("\x1b[?1049h", count)
    shown.wait_for("playing", count)
    assert shown.times(count)[0] < before + 1
    # The same while it is paused: the picture comes back, the time stays.
    shown.press(b" ")
    shown.wait_for("paused", count)
    stopped, count = shown.time, len(shown.got)
    shown.process.send_signal(signal.SIGTSTP)
    shown.wait_for("\x1b[?1049l", count)
    time.sleep(1)
    shown.process.send_signal(signal.SIGCONT)
    shown.wait_for("paused", count)
    assert shown.time == stopped
    assert "▀".encode() in shown.got[count:]
    shown.press(b"q")
    assert shown.process.wait(60) == 0
    assert termios.tcgetattr(shown.slave) == shown.before


def test_damage_on_a_terminal(terminal: Callable[..., Terminal], long: Path) -> None:
    damage(long)
    shown = terminal(long, "--start", "6.2")
    said = shown.ends(3)
    assert said.startswith("infotok: error: ")
    assert "segment 50" in said
    assert "\n" not in said


def test_without_colour(terminal: Callable[..., Terminal], encoded: Path) -> None:
    shown = terminal(encoded, NO_COLOR="1")
    shown.ends(0)
    assert "[38;" not in shown.text
    assert "▀" not in shown.text
    assert set("░▒▓█") & set(shown.text)
    few = terminal(encoded, COLORTERM="")
    few.ends(0)
    assert "\x1b[38;5;" in few.text
    assert "\x1b[38;2;" not in few.text


def test_a_terminal_that_changes_its_size(terminal: Callable[..., Terminal], long: Path) -> None:
    shown = terminal(long, alone=True)
    shown.wait_for("playing")
    shown.press(b" ")
    shown.wait_for("paused")
    count = len(shown.got)
    shown.resize(40, 10)
    shown.wait_for("\x1b[10;1H", count)
    assert re.search("(\x1b\\[38[^▀]*▀){22}\x1b\\[0m", shown.got[count:].decode("utf-8", "replace"))
    shown.press(b"q")
    shown.ends(0)


def test_a_terminal_that_is_too_small(terminal: Callable[..., Terminal], encoded: Path) -> None:
    shown = terminal(encoded, columns=15, lines=5)
    assert shown.process.wait(60) == 2
    shown.wait_for("enlarge it to 20x6 or more")
    assert "\x1b[?1049h" not in shown.text


def test_keys_that_come_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    from infotok_cli.cli.screen import Screen

    screen = Screen.__new__(Screen)
    screen._unread = b""
    assert screen._named(b"q \x1b[C\x1bOD") == ["q", " ", "right", "left"]
    assert screen._named(b"\x1b[") == []
    assert screen._named(screen._unread + b"D") == ["left"]
    assert screen._named(b"\x1b") == ["\x1b"]
    assert set(KEYS.values()) == {"up", "down", "left", "right"}
