"""A measuring process that dies is reported as what it is: no fault of an input."""

from __future__ import annotations

from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from infotok_cli.codec.options import EncodeOptions
from infotok_cli.errors import InfotokError
from infotok_cli.evaluate import workers
from infotok_cli.evaluate.results import AnchorSetting
from infotok_cli.evaluate.workers import Task, measure_in_processes
from infotok_cli.model.engine import Engine, choose_runtime
from infotok_cli.model.weights import load_model
from tiny_model import write_tiny_model


class _DyingPool:
    """Every task ends with the process that does it."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def submit(self, *_: object) -> Future[None]:
        future: Future[None] = Future()
        future.set_exception(BrokenProcessPool())
        return future


def test_a_process_that_dies_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny_model(tmp_path / "tiny.safetensors")
    engine = Engine(load_model(tmp_path / "tiny.safetensors"), choose_runtime("cpu"))
    task = Task(
        key="0", clip=tmp_path / "a.mkv", wanted=AnchorSetting(anchor="x264", crf=30),
        options=EncodeOptions(), segment_frames=32, metrics=("psnr",),
    )  # fmt: skip
    monkeypatch.setattr(workers, "ProcessPoolExecutor", _DyingPool)
    with pytest.raises(InfotokError, match=r"process died \(.*\): try fewer jobs, with resume") as caught:
        list(measure_in_processes({0: task}, engine, 2))
    assert caught.value.exit_code == 1
