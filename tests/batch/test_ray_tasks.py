"""What the Ray engine makes of a shard and of its answers; one worker in this process is the cluster."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from infotok_cli.batch import films, loading, ray_engine, ray_worker
from infotok_cli.batch.attempts import Attempts
from infotok_cli.batch.items import Item
from infotok_cli.batch.ray_engine import RayOptions, _blocks, _Task
from infotok_cli.batch.ray_worker import RayWorker, WorkerSettings
from infotok_cli.codec import groups
from make_video import make_video, moving_shapes

pyarrow = pytest.importorskip("pyarrow")

Run = Callable[..., subprocess.CompletedProcess[str]]
OPTIONS = ("--engine", "ray", "--deterministic", "--segment-frames", 8)


class OneWorker:
    """A pool of one worker, here."""

    given: Sequence[_Task] = ()
    hopeless: Sequence[str] = ()

    def __init__(self, ray: None, settings: WorkerSettings, options: RayOptions) -> None:
        self.settings = settings

    def answers(self, tasks: Sequence[_Task]) -> Iterator[dict[str, Any]]:
        type(self).given = [*self.given, *tasks]
        worker = RayWorker(self.settings, None)
        for block in _blocks(tasks):
            answers = worker(block)
            for text in answers.column("answer").to_pylist():
                yield ray_worker.checked_answer(json.loads(text))


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_engine, "joined_cluster", nullcontext)
    monkeypatch.setattr(ray_engine, "_Crew", OneWorker)
    monkeypatch.setattr(OneWorker, "given", ())
    monkeypatch.setattr(RayWorker, "_is_hopeless", lambda self, name: name in OneWorker.hopeless)


@pytest.fixture
def film(clips: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The largest clip, which has three parts."""
    monkeypatch.setattr(groups, "GROUP_POSITIONS", 2 * 3 * 5 * 6)
    monkeypatch.setattr(films, "PART_GROUPS", 1)
    path = make_video(clips / "film.mp4", moving_shapes(50, 40, 48), audio_seconds=1.5)
    monkeypatch.setattr(ray_engine, "FILM_BYTES", path.stat().st_size)
    return path


def outputs(folder: str) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(Path(folder).rglob("*.itk"))}


def test_the_costliest_first(run: Run, film: Path) -> None:
    run("clips", "-o", "out", *OPTIONS)
    sizes = [task.cost for task in OneWorker.given]
    assert sizes == sorted(sizes, reverse=True)
    assert {task.part for task in OneWorker.given if task.item.id == "film.mp4"} == {0, 1, 2}
    assert len(sizes) == 4 + 3


@pytest.mark.parametrize("obstacle", ["a part fails", "its worker dies", "parts do not meet"])
def test_a_film_whose_parts_fail_is_encoded_whole(
    run: Run, film: Path, monkeypatch: pytest.MonkeyPatch, obstacle: str
) -> None:
    run("clips", "-o", "local", *OPTIONS[2:])
    if obstacle == "a part fails":
        encode_part = ray_worker.encode_part

        def failing(one: films.Film, part: int, *others: Any) -> None:
            if part == 1:
                raise MemoryError
            encode_part(one, part, *others)

        monkeypatch.setattr(ray_worker, "encode_part", failing)
    elif obstacle == "its worker dies":
        row = [path.name for path in sorted(film.parent.rglob("*.m*"))].index("film.mp4")
        monkeypatch.setattr(OneWorker, "hopeless", [f"{row} 2"])
    else:
        digest_of = films.digest_of
        calls = count()
        monkeypatch.setattr(films, "digest_of", lambda frame: f"{digest_of(frame)} {next(calls)}")
    result = run("clips", "-o", "out", *OPTIONS)
    assert "5 encoded, 0 there already, 0 failed" in result.stderr
    assert outputs("out") == outputs("local")
    assert len(OneWorker.given) == 4 + 3 + 1
    assert not list(Path("out").glob(".infotok-*"))


def test_the_driver_joins_what_no_worker_did(run: Run, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("clips", "-o", "local", *OPTIONS[2:])
    monkeypatch.setattr(ray_worker, "joined_row", lambda *arguments: None)
    run("clips", "-o", "out", *OPTIONS)
    assert outputs("out") == outputs("local")
    assert len(OneWorker.given) == 4 + 3


def test_a_file_that_kills_its_workers_is_a_failure(
    run: Run, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OneWorker, "hopeless", ["1"])
    result = run("clips", "-o", "out", *OPTIONS, code=6)
    assert result.stderr.startswith("infotok: failed: clips/a/1.mp4: its worker died 5 times\n")
    assert "3 encoded, 0 there already, 1 failed" in result.stderr
    counted = Attempts()
    assert [counted.begin("1"), counted.begin("2"), counted.begin("1")] == [1, 1, 2]


def test_a_worker_that_can_do_nothing_is_an_error(
    run: Run, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is without Ray: nothing is written, and the exit code tells."""
    refused = run("clips", "-o", "out", *OPTIONS, "--router", "elastic", code=2).stderr
    assert "--router elastic needs weights trained with" in refused
    monkeypatch.setattr(loading, "model_sha256", lambda path: "0" * 64)
    assert "is another file on a worker" in run("clips", "-o", "out", *OPTIONS, code=4).stderr
    monkeypatch.undo()
    assert not Path("out").exists()


def test_limits_are_those_of_the_local_engine(run: Run, clips: Path) -> None:
    for name in ("a/0.mp4", "a/1.mp4", "b/2.mp4"):
        (clips / name).write_bytes(b"nothing")
    stopped = run("clips", "-o", "out", *OPTIONS, "--max-failures", 1, code=6).stderr
    assert stopped.count("infotok: failed: ") == 2
    assert "2 failed" in stopped
    assert "--max-failures" in stopped
    limited = run("clips", "-o", "out", *OPTIONS, "--limit", 1, code=6).stderr
    assert "0 encoded, 1 there already, 1 failed, 2 not tried" in limited


def test_blocks_are_few_and_of_about_one_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = [_Task(Item(row, f"{row}", f"{row}.mp4"), cost) for row, cost in enumerate([40, 9, 6, *[1] * 45])]
    assert [len(block) for block in _blocks(tasks)] == [1] * 48
    monkeypatch.setattr(ray_engine, "MOST_BLOCKS", 10)
    sizes = [len(block) for block in _blocks(tasks)]
    assert sum(sizes) == 48
    assert len(sizes) <= 10
    assert sizes[0] == 1
    assert max(sizes) == 10
    texts = [text for block in _blocks(tasks) for text in block.column("task").to_pylist()]
    assert [json.loads(text)["row"] for text in texts] == list(range(48))
