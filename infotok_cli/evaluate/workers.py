"""Measurements shared out to processes: half the machine each is worth more than all of it in turn."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from infotok_cli.codec.load_engine import load_engine
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.errors import InfotokError
from infotok_cli.evaluate.anchors import find_anchor
from infotok_cli.evaluate.measure import measure_anchor, measure_clip
from infotok_cli.evaluate.results import ClipResult, Setting, Wanted
from infotok_cli.model.engine import Engine

PATIENCE_SECONDS = 10.0
"""Time that a process has to give its task up and remove its temporary files."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Task:
    """One measurement."""

    key: str
    clip: Path
    wanted: Wanted
    options: EncodeOptions
    segment_frames: int
    metrics: tuple[str, ...]
    """Names of what is measured."""


def measure_task(task: Task, engine: Engine) -> ClipResult:
    """Do one measurement here."""
    if isinstance(task.wanted, Setting):
        return measure_clip(task.clip, engine, task.options, task.metrics)
    anchor, crf = find_anchor(task.wanted.anchor), task.wanted.crf
    return measure_anchor(
        task.clip,
        anchor,
        crf,
        task.options,
        segment_frames=task.segment_frames,
        metrics=task.metrics,
    )


def measure_in_processes(
    tasks: Mapping[int, Task], engine: Engine, jobs: int
) -> Generator[tuple[int, ClipResult]]:
    """Rows as they are done, with the number of their task.

    Every process loads the model anew and gets an equal share of the cores: torch processes that
    together have more threads than there are cores wait for each other. When the generator is
    closed early, tasks under way are given up. Raises what a task raises, and InfotokError when a
    process dies.
    """
    if not tasks:
        return
    others = set(multiprocessing.active_children())
    with _threads_per_process(max(1, (os.cpu_count() or 1) // jobs)):
        pool = ProcessPoolExecutor(
            min(jobs, len(tasks)),
            # A forked process would inherit locks held by threads that it does not have.
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_worker,
            initargs=(str(engine.loaded.path), engine.runtime.device.type, engine.runtime.backend),
        )
        try:
            numbers: dict[Future[ClipResult], int] = {
                pool.submit(_measure_in_worker, task): number for number, task in tasks.items()
            }
            for future in as_completed(numbers):
                yield numbers[future], future.result()
        except BrokenProcessPool as error:
            raise InfotokError(
                "a measuring process died (perhaps out of memory)",
                way_out="try fewer `jobs`, with `resume` to keep what was measured",
            ) from error
        except BaseException:
            workers = set(multiprocessing.active_children()) - others
            pool.shutdown(wait=False, cancel_futures=True)
            for process in workers:
                process.terminate()
            for process in workers:
                process.join(PATIENCE_SECONDS)
                # One that gave its task up can still wait for a next one that nobody sends.
                process.kill()
                process.join()
            raise
        pool.shutdown(wait=True)


_engines: list[Engine] = []
"""In a worker process: its model; empty once it has been told to end."""


def _start_worker(model: str, device: str, kernels: str) -> None:
    def give_up(number: int, _: FrameType | None) -> None:
        # The pool takes what is raised for the outcome of a task and hands out the next one.
        _engines.clear()
        raise SystemExit(128 + number)

    # Ctrl-C reaches the whole group; what becomes of the workers is for their parent to say. It
    # terminates them, which has to unwind the stack so that temporary files go away.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, give_up)
    _engines.append(load_engine(model, device, kernels))


def _measure_in_worker(task: Task) -> ClipResult:
    return measure_task(task, _engines[0])


@contextlib.contextmanager
def _threads_per_process(threads: int) -> Iterator[None]:
    """Let processes that are started in this block use `threads` threads each, or what the user set."""
    added = [name for name in THREAD_VARIABLES if name not in os.environ]
    os.environ.update({name: str(threads) for name in added})
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
