"""A batch in several processes of one machine: who gets which file, and what becomes of those that die."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path

from infotok_cli.batch.devices import Seat
from infotok_cli.batch.encode import BatchProgress, BatchReport, collect
from infotok_cli.batch.encode_item import failed_row
from infotok_cli.batch.items import Item
from infotok_cli.batch.loading import Load
from infotok_cli.batch.outputs import Row
from infotok_cli.batch.plan import Work
from infotok_cli.batch.run_file import RunSettings, fix_run
from infotok_cli.batch.shards import Shard
from infotok_cli.batch.worker import Done, Job, Ready, Report, Wanted, run_worker
from infotok_cli.errors import InfotokError, InputError, UsageError

GRACE_SECONDS = 10.0
"""For workers that are told to stop, to take their temporary files away."""


def encode_batch_in_workers(
    work: Work,
    folder: Path,
    run: RunSettings,
    load: Load,
    progress: BatchProgress,
    *,
    seats: Sequence[Seat],
    shard: Shard,
    limit: int | None = None,
    max_failures: int | None = None,
    spelled: Callable[[str], str] = str,
) -> BatchReport:
    """As `encode_batch`, in a process for each of the seats, or for each file where these are fewer.

    A worker that dies costs the file it had in hand, which fails, and is replaced. `load` and `spelled` go to
    other processes, so they must be picklable. Raises what `encode_batch` raises, and UsageError when a
    worker dies before it has a model.
    """
    todo = work.todo if limit is None else work.todo[:limit]
    job = Job(folder=folder, run=run, load=load, spelled=spelled)
    with _crew(job) as crew:
        for seat in seats[: len(todo)]:
            crew.hire(seat)
        crew.wait_for_models()
        fix_run(folder, run)
        return collect(
            crew.rows(todo), work, folder, progress,
            files=len(todo), shard=shard, max_failures=max_failures, spelled=spelled,
        )  # fmt: skip


class _Worker:
    """A process, and what it has in hand."""

    def __init__(self, seat: Seat, job: Job) -> None:
        self.seat = seat
        self.is_ready = False
        self.hand: deque[Item] = deque()
        """Files it took, the longest ago first."""
        self.since = time.perf_counter()
        """When the one before the first of them was done."""
        context = get_context("spawn")  # what torch and CUDA hold does not survive a fork
        self.channel: Connection
        self.channel, other = context.Pipe()
        self.process = context.Process(target=run_worker, args=(other, seat, job), daemon=True)
        with _interrupts_held():
            self.process.start()
        other.close()

    def take(self, item: Item | None) -> None:
        """Give it a file, or None for the end; one that has died is noticed elsewhere."""
        if item is not None:
            if not self.hand:
                self.since = time.perf_counter()
            self.hand.append(item)
        with suppress(OSError):
            self.channel.send(item)

    def done(self, item: Item) -> None:
        """It has finished one of its files."""
        if item == self.hand[0]:
            self.since = time.perf_counter()
        self.hand.remove(item)

    def heard(self) -> Report | None:
        """What it says next; None when it is gone."""
        try:
            said: Report = self.channel.recv()
        except (EOFError, OSError):
            self.process.join()
            return None
        return said

    def fate(self) -> str:
        """How a process that is gone ended."""
        code = self.process.exitcode or 0
        if code >= 0:
            return f"ended with exit code {code}"
        if code == -signal.SIGKILL:
            return "was killed, as a machine does that is out of memory"
        return f"was ended by signal {-code} ({signal.Signals(-code).name})"


class _Crew:
    """The workers of a batch."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.workers: list[_Worker] = []

    def hire(self, seat: Seat) -> None:
        """Start one more."""
        self.workers.append(_Worker(seat, self._job))

    def wait_for_models(self) -> None:
        """Return when every worker is ready; raises what keeps one from it."""
        while loading := [worker for worker in self.workers if not worker.is_ready]:
            for worker in _with_news(loading):
                said = worker.heard()
                if said is None:
                    raise _no_model(worker)
                if isinstance(said, InfotokError):
                    raise said
                worker.is_ready = True

    def rows(self, items: Sequence[Item]) -> Generator[tuple[Row, float]]:
        """The rows of files as they are done, each with the seconds it took."""
        rest = deque(items)
        while self.workers:
            for worker in _with_news(self.workers):
                match worker.heard():
                    case Wanted():
                        worker.take(rest.popleft() if rest else None)
                    case Done(item, row, seconds):
                        worker.done(item)
                        yield row, seconds
                    case Ready():
                        worker.is_ready = True
                    case InfotokError() as error:
                        raise error
                    case None:
                        yield from self._bury(worker, rest)

    def _bury(self, worker: _Worker, rest: deque[Item]) -> Iterator[tuple[Row, float]]:
        """Do without a worker: what it had in hand fails, what it had not begun is another's."""
        self.workers.remove(worker)
        if worker.hand:
            error = InputError(
                f"the worker that encoded it {worker.fate()}",
                way_out="run again, with fewer `workers` or a smaller `short_side` if it is memory",
                where=worker.hand[0].source,
            )
            failed = failed_row(worker.hand.popleft(), error.text(self._job.spelled))
            rest.extendleft(reversed(worker.hand))
            yield failed, time.perf_counter() - worker.since
        if rest and worker.is_ready:
            self.hire(worker.seat)
        if rest and not self.workers:
            raise _no_model(worker)

    def dismiss(self) -> None:
        """End those that are left, gently first."""
        for worker in self.workers:
            worker.process.terminate()
        ends = time.monotonic() + GRACE_SECONDS
        for worker in self.workers:
            worker.process.join(max(0.0, ends - time.monotonic()))
            worker.process.kill()
            worker.process.join()
            worker.channel.close()


def _no_model(worker: _Worker) -> UsageError:
    return UsageError(
        f"a worker {worker.fate()} before it had loaded the model", way_out="give fewer `workers`"
    )


def _with_news(workers: Sequence[_Worker]) -> list[_Worker]:
    """Those of the workers that have something to say, or are gone; waits for one."""
    there = wait([worker.channel for worker in workers])
    return [worker for worker in workers if worker.channel in there]


@contextmanager
def _crew(job: Job) -> Iterator[_Crew]:
    crew = _Crew(job)
    try:
        yield crew
    finally:
        crew.dismiss()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Keep Ctrl-C from a process until it minds its own signals; here it waits until the end of the block."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
