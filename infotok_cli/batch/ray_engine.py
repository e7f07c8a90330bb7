"""A shard of a batch on a Ray cluster: names go out, rows of statistics come back, actors write the files.

Ray Data maps tables of tasks over a pool of actors, and starts those that died again with what they had in
hand. What is encoded, skipped and written down is the same as with `encode_batch`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from infotok_cli.batch.attempts import Attempts
from infotok_cli.batch.cluster import joined_cluster
from infotok_cli.batch.encode import BatchProgress, BatchReport, collect
from infotok_cli.batch.films import Film, drop_parts, film_of, joined_row
from infotok_cli.batch.items import Item
from infotok_cli.batch.loading import ModelLoader
from infotok_cli.batch.outputs import Row
from infotok_cli.batch.plan import Work
from infotok_cli.batch.ray_worker import RayWorker, WorkerSettings, checked_answer
from infotok_cli.batch.remote import size_of
from infotok_cli.batch.run_file import RunSettings, fix_run
from infotok_cli.batch.shards import Shard
from infotok_cli.errors import UsageError

FILM_BYTES = 16 << 20
"""Size from which on a video may be worth parts."""

MOST_BLOCKS = 20_000
"""Blocks of tasks that Ray is given at most, as all of them are in the driver's memory."""

LOOKING_THREADS = 16


@dataclass(frozen=True, kw_only=True)
class RayOptions:
    """Where a batch runs, and with which model."""

    loader: ModelLoader
    device: str = "auto"
    address: str | None = None
    """host:port of a cluster, or auto; None takes RAY_ADDRESS, else starts one on this machine."""
    workers: int | None = None
    """Actors; None takes one for each GPU of the cluster, or for each CPU where it has none."""


Rows = Generator[tuple[Row, float]]
"""Rows of statistics, each with the seconds it took."""


def encode_batch_on_ray(
    work: Work,
    folder: Path,
    run: RunSettings,
    options: RayOptions,
    progress: BatchProgress,
    *,
    shard: Shard,
    limit: int | None = None,
    max_failures: int | None = None,
    spelled: Callable[[str], str] = str,
) -> BatchReport:
    """Encode what is to do below `folder`, which all machines of the cluster share; else as `encode_batch`.

    Raises what that raises, and UsageError where there is no Ray or no cluster.
    """
    todo = work.todo if limit is None else work.todo[:limit]
    stops_at_once = max_failures is not None and len(work.refused) > max_failures

    def collected(rows: Rows) -> BatchReport:
        first = next(rows, None)  # a worker that cannot do what was asked for is told of before all else
        fix_run(folder, run)
        return collect(
            _after(first, rows), work, folder, progress,
            files=len(todo), shard=shard, max_failures=max_failures, spelled=spelled,
            seconds_before=0.0 if first is None else first[1],
        )  # fmt: skip

    if not todo or stops_at_once:
        return collected(_no_rows())
    settings = WorkerSettings(
        folder=str(folder), working_folder=os.getcwd(), run=run, loader=options.loader,
        device=options.device, spelled=spelled,
    )  # fmt: skip
    with joined_cluster(options.address) as ray:
        crew = _Crew(ray, settings, options)
        return collected(_rows(crew, _tasks(todo, settings), settings))


def _no_rows() -> Rows:
    yield from ()


def _after(first: tuple[Row, float] | None, rows: Rows) -> Rows:
    """The first row, which is there already, and the others."""
    with closing(rows):
        yield from () if first is None else chain([first], rows)


@dataclass(frozen=True)
class _Task:
    """One thing for a worker to do."""

    item: Item
    cost: float
    film: Film | None = None
    part: int = 0

    def as_json(self) -> str:
        facts: dict[str, Any] = asdict(self.item)
        if self.film is not None:
            facts |= {"film": asdict(self.film), "part": self.part}
        return json.dumps(facts)


def _tasks(todo: Sequence[Item], settings: WorkerSettings) -> list[_Task]:
    """What is to be done, the costliest first, by bytes of the source; long videos in parts."""
    segment_frames = settings.run.options.segment_frames

    def of_item(item: Item, size: int) -> list[_Task]:
        film = None
        if size >= FILM_BYTES and not settings.run.psnr:  # parts are not measured
            film = film_of(
                item, settings.run.options, segment_frames or settings.loader.config().segment_frames
            )
        if film is None:
            return [_Task(item, size)]
        return [_Task(item, size / film.parts, film, part) for part in range(film.parts)]

    with ThreadPoolExecutor(LOOKING_THREADS, thread_name_prefix="looking") as threads:
        sizes = threads.map(lambda item: size_of(item.source), todo)
        found = [task for tasks in threads.map(of_item, todo, sizes) for task in tasks]
    return sorted(found, key=lambda task: -task.cost)


def _rows(crew: _Crew, tasks: Sequence[_Task], settings: WorkerSettings) -> Rows:
    """Rows as they come; a film whose parts do not add up is encoded whole afterwards."""
    items = {task.item.row: task.item for task in tasks}
    films = {task.item.row: task.film for task in tasks if task.film is not None}
    done: set[int] = set()

    def results(answers: Iterator[dict[str, Any]]) -> Rows:
        for answer in answers:
            if "result" in answer and answer["row"] not in done:
                done.add(answer["row"])
                yield Row(**answer["result"]), answer["seconds"]

    yield from results(crew.answers(tasks))
    folder = Path(settings.folder)
    whole: list[_Task] = []
    for number, film in films.items():
        row = None if number in done else joined_row(items[number], film, folder, settings.run)
        if row is not None:  # no worker saw all parts, as files may show late on the others
            yield row, 0.0
        elif number not in done:
            drop_parts(film, folder)
            whole.append(_Task(items[number], 0))
    yield from results(crew.answers(whole))


class _Crew:
    """A pool of actors of a cluster."""

    def __init__(self, ray: Any, settings: WorkerSettings, options: RayOptions) -> None:
        """UsageError where the cluster has no device of the kind that was asked for."""
        there = ray.cluster_resources()
        gpus = int(there.get("GPU", 0)) if options.device != "cpu" else 0
        if options.device == "cuda" and not gpus:
            raise UsageError("`device` cuda: the Ray cluster has no GPU", way_out="choose auto or cpu")
        self._ray, self._settings = ray, settings
        self._size = options.workers or gpus or max(1, int(there.get("CPU", 1)))
        self._gpus = 1 if gpus else 0
        self._attempts = ray.remote(num_cpus=0, max_restarts=-1)(Attempts).remote()

    def answers(self, tasks: Sequence[_Task]) -> Iterator[dict[str, Any]]:
        """What came of each task, in any order; raises why the workers can do none of them."""
        if not tasks:
            return
        data = self._ray.data
        data.DataContext.get_current().enable_progress_bars = False
        blocks = list(_blocks(tasks))
        answered = data.from_arrow(blocks).map_batches(
            RayWorker,
            fn_constructor_args=(self._settings, self._attempts),
            compute=data.ActorPoolStrategy(
                size=min(self._size, len(blocks)), max_tasks_in_flight_per_actor=1
            ),
            batch_size=1,
            batch_format="pyarrow",
            num_cpus=1,
            num_gpus=self._gpus,
        )
        with closing(
            iter(answered.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0))
        ) as tables:
            for table in tables:
                for text in table.column("answer").to_pylist():
                    yield checked_answer(json.loads(text))


def _blocks(tasks: Sequence[_Task]) -> Iterator[Any]:
    """Tables of tasks: one task each, or where these are too many, about the same cost each."""
    import pyarrow

    share = sum(task.cost for task in tasks) / MOST_BLOCKS if len(tasks) > MOST_BLOCKS else 0.0
    gathered: list[str] = []
    cost = 0.0
    for task in tasks:
        gathered.append(task.as_json())
        cost += task.cost
        if cost >= share:
            yield pyarrow.table({"task": gathered})
            gathered, cost = [], 0.0
    if gathered:
        yield pyarrow.table({"task": gathered})
