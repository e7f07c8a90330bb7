"""What a shell is offered on TAB, asked for as its completion scripts do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import infotok_weights
from infotok_cli.cli.app import main
from infotok_cli.evaluate.anchors import ANCHORS
from infotok_cli.evaluate.metric_table import METRIC_NAMES
from infotok_cli.itk.flat_files import FORMATS
from infotok_cli.itk.training_formats.export import TRAINING_FORMATS
from infotok_cli.itk.training_formats.sequences import MARK_RANGES
from infotok_cli.routers import ALLOCATIONS, ROUTERS

Offered = Callable[[str], list[str]]


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Offered:
    """What bash is offered where this line ends."""

    def ask(line: str) -> list[str]:
        monkeypatch.setenv("_INFOTOK_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
        with pytest.raises(SystemExit) as ended:
            main([])
        assert ended.value.code == 0
        return capsys.readouterr().out.split()

    return ask


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("encode --router ", ROUTERS),
        ("encode --router f", ["fast", "fixed"]),
        ("batch --device ", ["auto", "cpu", "cuda"]),
        ("encode clip.mp4 --allocation ", ALLOCATIONS),
        ("decode --codec ", ["h264", "hevc", "av1", "vp9", "ffv1"]),
        ("decode --pixel-format ", ["yuv420p", "yuv444p"]),
        ("export --format ", [*FORMATS, *TRAINING_FORMATS]),
        ("export --marks step,", [f"step,{mark}" for mark in MARK_RANGES if mark != "step"]),
        ("import --format ", FORMATS),
        ("eval --metrics ", METRIC_NAMES),
        ("eval --metrics psnr,vmaf-", ["psnr,vmaf-v1"]),
        ("eval --routers ", ROUTERS),
        ("eval --anchors ", ANCHORS),
        ("view --against ", ANCHORS),
        ("help enc", ["encode"]),
        ("dec", ["decode"]),
        ("encode --target-p", ["--target-psnr"]),
    ],
)
def test_words_are_offered_from_their_tables(offered: Offered, line: str, words: list[str]) -> None:
    assert offered(f"infotok {line}") == list(words)


def test_files_are_offered_by_what_a_command_reads(
    offered: Offered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    for name in ("a.itk", "B.ITK", "two words.itk", ".hidden.itk", "clip.mp4", "ids.npz", "m.safetensors"):
        (tmp_path / name).touch()
    (tmp_path / "sub" / "c.itk").touch()
    for command in ("decode", "inspect", "stats", "play", "report", "export", "concat a.itk", "cut"):
        assert offered(f"infotok {command} ") == ["B.ITK", "a.itk"]
    assert offered("infotok decode sub/") == ["sub/c.itk"]
    assert offered("infotok decode no-such-folder/") == []
    assert offered("infotok decode .h") == [".hidden.itk"]
    assert offered("infotok import ") == ["ids.npz", "m.safetensors"]
    assert offered("infotok encode ") == []  # the shell's own
    assert offered("infotok encode --model ") == [*infotok_weights.names(), "m.safetensors"]
