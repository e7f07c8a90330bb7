"""What only a process of its own can show: signals, pipes, full disks, bugs, and help."""

from __future__ import annotations

import fcntl
import json
import os
import re
import resource
import shlex
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from infotok_cli import __version__
from infotok_cli.cli import app, options
from infotok_cli.codec import demo_clip
from infotok_cli.errors import UsageError
from make_media import make_media
from make_video import make_video, moving_shapes

Run = Callable[..., Any]
Spawn = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pictures = np.concatenate([moving_shapes(16, 128, 160)] * 60)
    return make_video(
        tmp_path_factory.mktemp("long") / "long.mp4", pictures, options={"preset": "ultrafast"}, group=250
    )


def wait_for_temporary_file(process: subprocess.Popen[str], folder: Path) -> None:
    """Wait until the output is being written, not only tried."""
    seen = 0
    deadline = time.monotonic() + 60
    while seen < 10 and process.poll() is None and time.monotonic() < deadline:
        seen = seen + 1 if list(folder.glob(".infotok-*")) else 0
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()
    assert seen


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_encode_leaves_nothing(
    spawn: Spawn, warm: list[str], long_clip: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    target = tmp_path / "long.itk"
    target.write_text("old")
    process = spawn("encode", long_clip, "-o", target, "--router", "exact", "-y", infotok=warm)
    wait_for_temporary_file(process, tmp_path)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, "")
    assert err == ("infotok: interrupted\n" if number == signal.SIGINT else "")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def wait_until_taken(process: subprocess.Popen[bytes]) -> None:
    """Wait until the process has read all that lies in its standard input, and looks for more."""
    assert process.stdin is not None
    deadline = time.monotonic() + 60
    left = b"\1\0\0\0"
    while left != bytes(4) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
        left = fcntl.ioctl(process.stdin, termios.FIONREAD, bytes(4))
    time.sleep(0.5)
    assert left == bytes(4)
    assert process.poll() is None, process.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="asks a pipe how much lies in it")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("share", [0, 0.7], ids=["silent from the start", "silent later"])
@pytest.mark.parametrize("command", ["encode", "decode"])
def test_interrupted_while_a_pipe_is_silent(
    spawn: Any,
    warm: list[str],
    encoded_bytes: bytes,
    tmp_path: Path,
    command: str,
    share: float,
    number: int,
    code: int,
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    if command == "encode":
        data = make_media(tmp_path / "film.ts", frames=240, size=(80, 96)).read_bytes()
        target = folder / "film.itk"
        words = ["encode", "-", "-o", target, "--segment-frames", "8"]
    else:
        data, target = encoded_bytes, folder / "film.mkv"
        words = ["decode", "-", "-o", target]
    process = spawn(*words, stdin=subprocess.PIPE, text=False, infotok=warm)
    process.stdin.write(data[: max(1, int(share * len(data)))])
    process.stdin.flush()
    wait_until_taken(process)
    assert bool(list(folder.iterdir())) == bool(share)
    process.send_signal(number)
    assert process.wait(10) == code
    process.stdin.close()
    assert process.stdout.read() == b""
    assert process.stderr.read() == (b"infotok: interrupted\n" if number == signal.SIGINT else b"")
    assert list(folder.iterdir()) == []
    process.stdout.close()
    process.stderr.close()


@pytest.mark.skipif(sys.platform != "linux", reason="asks a pipe how much lies in it")
def test_interrupted_while_nobody_reads_the_output(
    spawn: Any, warm: list[str], long_clip: Path, tmp_path: Path
) -> None:
    """Matroska is written by FFmpeg, which knows nothing of signals."""
    itk = tmp_path / "long.itk"
    assert spawn("encode", long_clip, "-o", itk, "--end", "8", infotok=warm).wait(120) == 0
    process = spawn("decode", itk, "-o", "-", "--codec", "ffv1", text=False, infotok=warm)
    lain, before = 0, -1
    deadline = time.monotonic() + 60
    while (lain == 0 or lain != before) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(1)
        held = fcntl.ioctl(process.stdout, termios.FIONREAD, bytes(4))
        before, lain = lain, int.from_bytes(held, sys.byteorder)
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    process.stdout.read()
    assert process.wait(10) == 130
    assert process.stderr.read() == b"infotok: interrupted\n"
    process.stdout.close()
    process.stderr.close()


def test_disk_full(spawn: Spawn, warm: list[str], encoded: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))

    process = spawn("decode", encoded, preexec_fn=limit, infotok=warm)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (5, "")
    assert err.startswith("infotok: error: ")
    assert err.count("\n") == 1
    assert list(encoded.parent.iterdir()) == [encoded]


def test_concat_of_more_files_than_can_be_open(spawn: Spawn, run: Run, encoded: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))

    parts = [encoded.with_name(f"{number}.itk") for number in range(40)]
    for number, part in enumerate(parts):  # in pairs that meet inside a segment, which becomes one again
        run("cut", encoded, "--start", number % 2 / 10, "--end", (number % 2 + 1) / 10, "-o", part)
    joined, whole, half = (encoded.with_name(f"{name}.itk") for name in ("joined", "whole", "half"))
    process = spawn("concat", *parts, "-o", joined, preexec_fn=limit)
    assert process.communicate(timeout=60)[1].startswith(f"{parts[0]} + 39 more -> {joined}")
    assert process.returncode == 0
    run("cut", encoded, "--end", 0.2, "-o", half)
    run("concat", *[half] * 20, "-o", whole)
    assert joined.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("command", ["encode", "concat", "import", "jsonl", "npz", "npy", "safetensors"])
def test_a_full_disk_is_told_of_by_the_name_of_the_output(
    spawn: Spawn, warm: list[str], run: Run, clip: Path, encoded: Path, command: str
) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))

    run("export", encoded, "-o", encoded.with_name("ids.npz"))
    kind = command if command in ("jsonl", "npz", "npy", "safetensors") else "itk"
    words: list[object] = {
        "encode": ["encode", clip],
        "concat": ["concat", encoded, encoded],
        "import": ["import", encoded.with_name("ids.npz")],
    }.get(command, ["export", encoded])
    target = encoded.with_name(f"full.{kind}")
    process = spawn(*words, "-o", target, preexec_fn=limit, infotok=warm)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (5, "")
    assert err.startswith(f"infotok: error: {target}: cannot be written")
    assert err.count("\n") == 1
    assert sorted(encoded.parent.iterdir()) == [encoded, encoded.with_name("ids.npz")]


@pytest.mark.parametrize("kind", ["mkv", "y4m"])
def test_a_disk_that_fills_up_under_an_unbuffered_stream(
    spawn: Spawn, encoded: Path, tmp_path: Path, kind: str
) -> None:
    """The last write is taken in part, which only its count tells."""
    words = ["decode", encoded, "-o", "-", "--stream-format", kind]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    with whole.open("wb") as file:
        assert spawn(*words, stdout=file).wait(60) == 0
    room = whole.stat().st_size - 10

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    with cut.open("wb") as file:
        settings = os.environ | {
            "PYTHONUNBUFFERED": "1",
            "COVERAGE_PROCESS_CONFIG": "",
        }  # it has no room either
        process = spawn(*words, stdout=file, env=settings, preexec_fn=limit)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err.count("\n")) == (5, 1), err
    assert err.startswith("infotok: error: standard output: cannot be written (File too large)")


def test_a_full_disk_leaves_no_frame_cache(spawn: Spawn, warm: list[str], clip: Path, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    (videos / clip.name).symlink_to(clip)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))

    process = spawn("train", videos, "--make-cache", tmp_path / "cache", preexec_fn=limit, infotok=warm)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (5, "")
    assert f"{tmp_path / 'cache'}: cannot be written (File too large)" in err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == [videos]


@pytest.mark.parametrize(
    ("closed", "words", "code", "says"),
    [
        (0, ["encode", "-", "-o", "{}.2"], 3, "standard input: cannot be read (Bad file descriptor)"),
        (0, ["decode", "-", "-o", "{}.mkv"], 3, "standard input: cannot be read (Bad file descriptor)"),
        (1, ["inspect", "{}"], 5, "standard output: cannot be written (Bad file descriptor)"),
        (1, ["encode", "--help"], 5, "standard output: cannot be written (Bad file descriptor)"),
        (1, ["decode", "{}", "-o", "-"], 5, "standard output: cannot be written (Bad file descriptor)"),
        (2, ["repair", "{}", "-o", "{}.2"], 0, None),
    ],
)
def test_standard_streams_that_are_closed(
    spawn: Spawn, encoded: Path, closed: int, words: list[str], code: int, says: str | None
) -> None:
    """No internal error, and no file is opened under their numbers."""
    process = spawn(*(word.format(encoded) for word in words), preexec_fn=lambda: os.close(closed))
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    if says is None:
        assert encoded.with_name(f"{encoded.name}.2").read_bytes() == encoded.read_bytes()
    else:
        assert err.startswith(f"infotok: error: {says}")
        assert err.count("\n") == 1
        assert list(encoded.parent.iterdir()) == [encoded]


@pytest.mark.parametrize("words", [["stats", "{}"], ["--help"], ["--version"]], ids=" ".join)
def test_reader_that_leaves(words: list[str], spawn: Spawn, encoded: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = spawn(*(word.format(encoded) for word in words), stdout=writing)
    os.close(writing)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("words", [["inspect", "{}"], ["--help"], ["decode", "--help"]], ids=" ".join)
def test_full_standard_output(words: list[str], spawn: Spawn, encoded: Path) -> None:
    with open("/dev/full", "w") as full:
        process = spawn(*(word.format(encoded) for word in words), stdout=full)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 5
    assert err.startswith("infotok: error: standard output: cannot be written")
    assert err.count("\n") == 1


def test_output_that_cannot_show_blocks(spawn: Spawn, encoded: Path) -> None:
    process = spawn("stats", encoded, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert out.isascii()


def test_installed_script(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("infotok")
    if not script.exists():
        pytest.skip("infotok is not installed here")
    shown = subprocess.run([script, "--version"], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert shown.stdout == f"infotok {__version__}\n"


@pytest.mark.parametrize("debug", ["", "1"])
def test_bug_is_one_line(run: Run, encoded: Path, monkeypatch: pytest.MonkeyPatch, debug: str) -> None:
    def broken(path: Path) -> None:
        raise ZeroDivisionError("something\nodd")

    monkeypatch.setattr("infotok_cli.itk.report.report_file", broken)
    monkeypatch.setenv(app.DEBUG_VARIABLE, debug)
    result = run("inspect", encoded, code=1)
    assert result.stdout == ""
    first, *rest = result.stderr.splitlines()
    assert first.startswith("infotok: internal error (please report): ZeroDivisionError: something odd")
    assert ("INFOTOK_DEBUG=1" in first) == (not debug)
    assert ("Traceback" in "".join(rest)) == bool(debug)


COMMANDS = sorted(typer.main.get_command(app.app).commands)  # type: ignore[attr-defined]


def test_without_arguments_help_is_shown(run: Run) -> None:
    bare, asked = run(), run("--help")
    assert bare.stderr == asked.stderr == ""
    assert bare.stdout == asked.stdout == run("help").stdout
    lines = asked.stdout.splitlines()
    for name in COMMANDS:
        assert len([line for line in lines if line.startswith(f"  {name} ")]) == 1, name
    assert f"1 internal error (please report), {UsageError.exit_code} bad usage" in " ".join(lines)


def test_every_way_to_the_version_and_to_help(run: Run, refused: Callable[..., str]) -> None:
    assert run("-V").stdout == run("--version").stdout == f"infotok {__version__}\n"
    assert run("help", "cut").stdout == run("cut", "--help").stdout == run("cut", "-h").stdout
    assert "there is no command 'cot'" in refused(2, "help", "cot")


@pytest.mark.parametrize("width", [40, 80, 100])
@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_examples_and_fits(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: str, width: int
) -> None:
    """Nothing is cut, no type of the parser's is named, and no bracket stands in another."""
    monkeypatch.setenv("COLUMNS", str(width))
    text = run(command, "--help").stdout
    assert f"infotok {command} " in text
    assert "Examples:" in text
    assert not set("\b\x00\x1b") & set(text)
    assert max(map(len, text.splitlines())) <= width
    for part in ("<int", "<bool", "<path", "<str", "range>", "[default: (", "[[", "…"):
        assert part not in text
    words = text.split()
    for parameter in typer.main.get_command(app.app).commands[command].params:  # type: ignore[attr-defined]
        for spelling in parameter.opts if parameter.name != "help" else ():
            assert {spelling, f"{spelling},"} & set(words) or spelling.isupper() or "-" not in spelling


def test_json_means_the_same_everywhere() -> None:
    """A flag that prints one line on stdout."""
    commands = typer.main.get_command(app.app).commands  # type: ignore[attr-defined]
    found = {
        name: parameter
        for name, command in commands.items()
        for parameter in command.params
        if "--json" in parameter.opts
    }
    assert len(found) >= 9
    assert {parameter.is_flag for parameter in found.values()} == {True}
    assert len({parameter.help for parameter in found.values()}) == 1


def json_lines(run: Run, clip: Path, encoded: Path) -> dict[str, Any]:
    """What each command prints with --json."""
    ids, other = encoded.with_name("ids.npz"), encoded.with_name("other.itk")
    lines = {}
    for words in (
        ["encode", clip, "-o", other],
        ["encode", clip, "-o", other, "--dry-run", "-y"],
        ["decode", encoded, "-o", encoded.with_name("clip.mkv")],
        ["inspect", encoded],
        ["stats", encoded],
        ["cut", encoded, "-o", other, "-y"],
        ["concat", encoded, encoded, "-o", other, "-y"],
        ["repair", encoded, "-o", other, "-y"],
        ["export", encoded, "-o", ids],
        ["import", ids, "-o", other, "-y"],
        ["view", encoded],
        ["doctor"],
    ):
        result = run(*words, "--json")
        assert result.stderr == ""
        (line,) = result.stdout.splitlines()
        lines[f"{words[0]} {words[4] if '--dry-run' in words else ''}"] = json.loads(line)
    return lines


def shapes(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every key in a report, with the kind of value it has; rows of lists count as one."""
    match value:
        case dict():
            if key not in ("", "versions", "codecs"):
                yield key, "object"
            for name, inner in value.items():
                yield from shapes(inner, name)
        case list():
            yield key, "list"
            for inner in value:
                if isinstance(inner, dict):
                    yield from shapes(inner)
        case None:
            return
        case bool() | str():
            yield key, type(value).__name__
        case _:
            yield key, "number"


def test_json_is_one_line_and_spells_keys_alike(run: Run, clip: Path, encoded: Path) -> None:
    """A key is the same kind of thing in every command, and a thing has one key."""
    lines = json_lines(run, clip, encoded)
    kinds: dict[str, set[str]] = {}
    for report in lines.values():
        assert isinstance(report, dict)
        for key, kind in shapes(report):
            kinds.setdefault(key, set()).add(kind)
    assert {key: found for key, found in kinds.items() if len(found) > 1} == {}
    assert not {"path", "file", "backend", "output_bytes", "notes", "lost", "has_times", "psnr"} & set(kinds)
    for name, report in lines.items():
        if name not in ("doctor ", "concat "):
            assert report["input"].endswith((".itk", ".mp4", ".npz")), name
        if name not in ("doctor ", "encode --dry-run"):
            assert report["size_bytes"] > 0, name
        if name.split()[0] in ("encode", "decode", "inspect", "stats", "cut", "concat", "repair"):
            assert re.fullmatch(r"\d+/\d+", report["frame_rate"]), name
            assert report["duration_seconds"] > 0, name
        if name in ("encode ", "decode ", "cut ", "concat ", "repair ", "export ", "import "):
            assert report["warnings"] == [], name


@pytest.mark.parametrize(
    ("words", "code", "kind", "what", "where"),
    [
        (["encode", "{}/nothing.mp4"], 3, "InputError", "does not exist", "{}/nothing.mp4"),
        (["encode", "{}/clip.itk", "--rate", "4"], 2, "UsageError", "--rate 4 is out of range", ""),
        (["encode", "--rat", "4"], 2, "UsageError", "there is no option --rat, perhaps --rate", ""),
        (["decode", "{}/clip.itk", "--model", "huge"], 4, "ModelError", "is unknown", None),
        (["cut", "{}/clip.itk", "-o", "{}/clip.itk"], 2, "UsageError", "is the input itself", "{}/clip.itk"),
    ],
)
def test_errors_are_json_too(
    run: Run, encoded: Path, words: list[str], code: int, kind: str, what: str, where: str | None
) -> None:
    result = run(*(word.format(encoded.parent) for word in words), "--json", code=code)
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    error = json.loads(line)["error"]
    assert error.keys() == {"kind", "exit_code", "what", "where", "way_out"}
    assert (error["kind"], error["exit_code"]) == (kind, code)
    assert what in error["what"]
    assert "`" not in line
    assert error["way_out"]
    assert where is None or error["where"] == where.format(encoded.parent)


def test_warnings_and_errors_between_reports_are_json_too(run: Run, encoded: Path) -> None:
    result = run("inspect", encoded, encoded.with_name("no.itk"), "--json", code=3)
    assert json.loads(result.stdout)["input"] == str(encoded)
    assert json.loads(result.stderr)["error"]["what"] == "does not exist"
    content = bytearray(encoded.read_bytes())
    content[400] ^= 1
    encoded.write_bytes(content)
    result = run("repair", encoded, "-o", encoded.with_name("new.itk"), "--json")
    warnings = [json.loads(line)["warning"] for line in result.stderr.splitlines()]
    assert warnings == json.loads(result.stdout)["warnings"]
    assert warnings


def test_quiet_and_verbose(run: Run, clip: Path, encoded: Path) -> None:
    target = encoded.with_name("new.itk")
    for words in (
        ["encode", clip, "-o", target],
        ["decode", encoded],
        ["cut", encoded, "-o", target],
        ["export", encoded],
    ):
        assert run(*words, "-y", "-q").stderr == ""
        plain = run(*words, "-y").stderr
        assert plain.count("\n") == 1
        if words[0] in ("encode", "decode"):
            told = run(*words, "-y", "--verbose").stderr
            assert told.startswith(plain.partition(" frames per second")[0].rpartition(" ")[0])
            for part in ("model tiny on cpu in ", " kernels", "x real time"):
                assert part in told
            assert run(*words, "-y", "--verbose", "--quiet").stderr == ""
    assert "does not exist" in run("inspect", encoded.with_name("no.itk"), code=3).stderr
    assert "does not exist" in run("cut", "no.itk", "-o", target, "-q", code=3).stderr


def test_dry_run(run: Run, refused: Callable[..., str], clip: Path, encoded: Path) -> None:
    """What it says comes true, and nothing is written."""
    target = encoded.with_name("new.itk")

    def both(*words: object) -> tuple[Any, Any]:
        line = ("encode", clip, "-o", target, "--segment-frames", "4", "--no-audio", *words, "--json")
        expected = json.loads(run(*line, "--dry-run").stdout)
        assert not target.exists()
        got = json.loads(run(*line).stdout)
        target.unlink()
        return expected, got

    same = ("input", "output", "width", "height", "frame_rate", "frames", "segments", "positions", "device")
    for words in ((), ("--short-side", "24"), ("--start", "0.1", "--frames", "7"), ("--max-tokens", "90")):
        expected, got = both(*words)
        assert {key: expected[key] for key in same} == {key: got[key] for key in same}, words
        assert abs(expected["tokens"] - got["tokens"]) <= 5, words
    expected, got = both("--target-size", "1.2k")
    assert (expected["tokens"], expected["size_bytes"]) == (None, 1200)
    assert both("--tokens-per-second", "200")[0]["tokens"] in range(130, 135)
    text = run("encode", clip, "--dry-run", "-o", target).stdout
    for part in ("48 x 40 pixels, 20 frames", "not written", "segments", "time ", "memory ", "runs on "):
        assert part in text
    assert list(encoded.parent.iterdir()) == [encoded]
    assert "use up the pipe" in refused(2, "encode", "-", "-o", target, "--dry-run")
    assert "exists already" in refused(5, "encode", clip, "--dry-run", "-o", encoded)


def test_completion(spawn: Spawn, tmp_path: Path) -> None:
    """The shell is told by name here: there may be none around a test."""
    settings = os.environ | {"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    out, err = spawn("--show-completion", "bash", env=settings).communicate(timeout=60)
    assert "_INFOTOK_COMPLETE=complete_bash" in out, err
    process = spawn("--install-completion", "zsh", env=settings)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert (tmp_path / ".zfunc" / "_infotok").exists()
    settings |= {"_INFOTOK_COMPLETE": "complete_bash", "COMP_WORDS": "infotok enc", "COMP_CWORD": "1"}
    out, err = spawn(env=settings).communicate(timeout=60)
    assert out.split() == ["encode"], err


@pytest.mark.parametrize("command", ["encode", "decode"])
def test_common_options_fit_a_screen(run: Run, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    lines = run(command, "--help").stdout.splitlines()
    rest = min(lines.index(panel) for panel in (options.TOKENS_PANEL, options.MODEL_PANEL) if panel in lines)
    common = lines[:rest]
    assert len(common) <= 45
    assert any("--output" in line for line in common)
    assert any("--start" in line for line in common)


def test_demo(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "deep" / "demo"
    for frames in (demo_clip.PHASE_FRAMES, 4):
        monkeypatch.setattr(demo_clip, "PHASE_FRAMES", frames)
        monkeypatch.setattr(demo_clip, "FRAMES", 3 * frames)
        result = run("demo", folder)
        assert sorted(path.name for path in folder.iterdir()) == ["decoded.mp4", "sample.itk", "sample.mp4"]
        for part in ("token rate over the frame", "still ", "moving ", "busy ", "PSNR of ", str(folder)):
            assert part in result.stdout
    assert result.stderr.count("\n") == 2
    last = shlex.split(result.stdout.splitlines()[-1])
    assert last[-5:] == ["report", str(folder / "sample.itk"), "--source", str(folder / "sample.mp4"), "-y"]
    subprocess.run(last, check=True, capture_output=True)
    assert "<!doctype html>" in (folder / "sample.report.html").read_text("utf-8")
    taken = tmp_path / "file"
    taken.touch()
    assert "cannot be created" in run("demo", taken, code=5).stderr
