"""A tiny untrained model, one clip encoded with it, and two ways to run `infotok` on them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import pytest

from make_video import make_video, moving_shapes

# Help is compared as plain text, also where the surroundings ask for colour. Read at import.
os.environ["_TYPER_FORCE_DISABLE_TERMINAL"] = "1"

from infotok_cli.cli.app import main
from tiny_model import write_tiny_model
from warm_start import warm_server

Result = subprocess.CompletedProcess[str]
Run = Callable[..., Result]
COLD = (sys.executable, "-P", "-m", "infotok_cli")

CLIP_FRAMES, CLIP_HEIGHT, CLIP_WIDTH, CLIP_RATE = 20, 40, 48, Fraction(30000, 1001)


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a small network with a random linear path: bad pictures, real bytes."""
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    write_tiny_model(path)
    return path


@pytest.fixture(autouse=True)
def _use_tiny_model(monkeypatch: pytest.MonkeyPatch, model_file: Path) -> None:
    monkeypatch.setenv("INFOTOK_MODEL", str(model_file))
    monkeypatch.delenv("INFOTOK_DEBUG", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 frames of 48x40 at 30000/1001 fps; do not write beside it."""
    pictures = moving_shapes(CLIP_FRAMES, CLIP_HEIGHT, CLIP_WIDTH)
    return make_video(tmp_path_factory.mktemp("clip") / "clip.mp4", pictures, rate=CLIP_RATE)


@pytest.fixture(scope="session")
def encoded_bytes(tmp_path_factory: pytest.TempPathFactory, clip: Path, model_file: Path) -> bytes:
    """The clip as an .itk file of five segments."""
    target = tmp_path_factory.mktemp("encoded") / "clip.itk"
    arguments = ["encode", str(clip), "-o", str(target), "--segment-frames", "4", "--model", str(model_file)]
    assert main(arguments) == 0
    return target.read_bytes()


@pytest.fixture
def encoded(tmp_path: Path, encoded_bytes: bytes) -> Path:
    """That file, alone in a folder of its own."""
    path = tmp_path / "clip.itk"
    path.write_bytes(encoded_bytes)
    return path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `infotok` in this process; expects success unless `code` says otherwise."""

    def call(*arguments: object, code: int = 0) -> Result:
        words = [str(word) for word in arguments]
        capsys.readouterr()
        returned = main(words)
        out, err = capsys.readouterr()
        assert returned == code, err
        return Result(words, returned, out, err)

    return call


@pytest.fixture(scope="session")
def warm() -> Iterator[list[str]]:
    """What stands for `infotok` in a command line: a process of its own that has torch already."""
    with warm_server() as words:
        yield words


@pytest.fixture
def refused(run: Run, tmp_path: Path) -> Callable[..., str]:
    """Run `infotok`, expect `code`, one line on stderr, and not a file changed; returns the message."""

    def call(code: int, *arguments: object) -> str:
        before = _contents(tmp_path)
        result = run(*arguments, code=code)
        assert result.stdout == ""
        assert result.stderr.startswith("infotok: error: ")
        assert result.stderr.count("\n") == 1
        assert _contents(tmp_path) == before
        return result.stderr.removeprefix("infotok: error: ").rstrip("\n")

    return call


@pytest.fixture
def spawn() -> Callable[..., subprocess.Popen[str]]:
    """Start `infotok` as a process of its own, which loads all that it needs unless `infotok` is `warm`."""

    def start(*arguments: object, infotok: Sequence[str] = COLD, **options: object) -> subprocess.Popen[str]:
        command = [*infotok, *(str(word) for word in arguments)]
        settings = {
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            "env": os.environ.copy(),
            # A shell that runs the tests in the background has them, and these, ignore Ctrl-C.
            "preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        }
        return subprocess.Popen(command, **settings | options)  # type: ignore[call-overload, no-any-return]

    return start


def _contents(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }
