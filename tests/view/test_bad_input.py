"""What view, report and compare refuse alike: one line, the right exit code, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from infotok_cli.cli.app import main
from made_clip import MadeClip, broken, made_clip
from make_video import make_video, moving_shapes

Run = Callable[..., tuple[int, str]]
COMMANDS = {"view": ".png", "report": ".html", "compare": ".png"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> MadeClip:
    return made_clip(tmp_path_factory.mktemp("bad"))


@pytest.fixture(params=list(COMMANDS))
def command(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def run(clip: MadeClip, command: str, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command on a file, beside a good one where it wants several."""

    def call(file: Path, *arguments: object) -> tuple[int, str]:
        files = [clip.low, file] if command == "compare" else [file]
        words = [command, *files, *arguments, "--model", clip.model]
        code = main([str(word) for word in words])
        return code, capsys.readouterr().err

    return call


def refused(answer: tuple[int, str], code: int, message: str) -> None:
    assert (answer[0], answer[1].count("\n")) == (code, 1), answer[1]
    assert message in answer[1]
    assert "Traceback" not in answer[1]


def test_outputs_that_cannot_be_written(clip: MadeClip, tmp_path: Path, run: Run, command: str) -> None:
    suffix = COMMANDS[command]
    (tmp_path / f"folder{suffix}").mkdir()
    (tmp_path / f"there{suffix}").write_bytes(b"mine")
    source = ["--source", clip.source]
    refused(run(clip.high, *source, "-o", tmp_path / f"folder{suffix}"), 5, "is a folder")
    refused(run(clip.high, *source, "-o", tmp_path / f"there{suffix}"), 5, "exists already")
    refused(run(clip.high, *source, "-o", tmp_path / "no" / f"a{suffix}"), 5, "create it first")
    assert (tmp_path / f"there{suffix}").read_bytes() == b"mine"
    assert len(list(tmp_path.iterdir())) == 2


def test_sources_of_another_video(clip: MadeClip, tmp_path: Path, run: Run, command: str) -> None:
    make_video(tmp_path / "wide.mkv", moving_shapes(40, 64, 128))
    make_video(tmp_path / "short.mkv", moving_shapes(2, 64, 96))
    (tmp_path / "text.mkv").write_text("no video")
    target = tmp_path / f"a{COMMANDS[command]}"
    for name, message in (
        ("wide.mkv", "is 128x64, the file 96x64: give the video that was encoded, or leave --source out"),
        ("short.mkv", "which the file has: give the video that was encoded, from its start, or leave"),
        ("text.mkv", "text.mkv"),
        ("nowhere.mkv", "does not exist: check the name"),
    ):
        refused(run(clip.high, "--source", tmp_path / name, "-o", target), 3, message)
    assert not target.exists()


def test_damaged_files_and_other_files(clip: MadeClip, tmp_path: Path, run: Run, command: str) -> None:
    (tmp_path / "bent.itk").write_bytes(broken(clip.high.read_bytes(), 2))
    (tmp_path / "cut.itk").write_bytes(clip.high.read_bytes()[:-20])
    (tmp_path / "empty.itk").touch()
    target = tmp_path / f"a{COMMANDS[command]}"
    for name, message in (
        ("bent.itk", "segment 2 (0.800 s to 1.200 s"),
        ("cut.itk", "'infotok repair' saves what is whole"),
        ("empty.itk", "is empty"),
    ):
        refused(run(tmp_path / name, "-o", target), 3, message)
    refused(run(clip.source, "-o", target), 3, "is not an .itk file but")
    assert not target.exists()


def test_no_display_is_needed(
    clip: MadeClip, tmp_path: Path, run: Run, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "TERM", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    target = tmp_path / f"a{COMMANDS[command]}"
    code, said = run(clip.high, "--source", clip.source, "-o", target)
    assert code == 0, said
    assert target.stat().st_size > 1000


def test_a_larger_source_of_the_same_shape_is_made_smaller(
    clip: MadeClip, tmp_path: Path, run: Run, command: str
) -> None:
    make_video(tmp_path / "large.mkv", moving_shapes(40, 128, 192))
    target = tmp_path / f"a{COMMANDS[command]}"
    code, said = run(clip.high, "--source", tmp_path / "large.mkv", "-o", target)
    assert code == 0, said
