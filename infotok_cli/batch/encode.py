"""The encodes of one shard; what fails is written down and the rest goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from infotok_cli.batch.encode_item import failed_row
from infotok_cli.batch.outputs import Row
from infotok_cli.batch.plan import Work
from infotok_cli.batch.results import Failures, write_stats
from infotok_cli.batch.run_file import RunSettings, fix_run
from infotok_cli.batch.several import encode_items
from infotok_cli.batch.shards import Shard

if TYPE_CHECKING:
    from infotok_cli.model.engine import Engine


class BatchProgress(Protocol):
    """Is told how a batch gets on."""

    def started(self, files: int) -> None:
        """So many files are to be encoded."""

    def done(self, row: Row) -> None:
        """One more was encoded, or failed."""


@dataclass(kw_only=True)
class BatchReport:
    """What a shard did."""

    encoded: int = 0
    skipped: int = 0
    failed: int = 0
    left: int = 0
    """Files that were not tried, because of a limit."""
    video_seconds: float = 0.0
    """Of what was encoded, as are the next two."""
    tokens: int = 0
    size_bytes: int = 0
    seconds: float = 0.0
    """Wall-clock time, without loading the model."""
    stopped: bool = False
    """Whether more files failed than may."""
    rows: list[Row] = field(default_factory=list)


def encode_batch(
    work: Work,
    folder: Path,
    run: RunSettings,
    load: Callable[[], Engine],
    progress: BatchProgress,
    *,
    shard: Shard,
    limit: int | None = None,
    max_failures: int | None = None,
    spelled: Callable[[str], str] = str,
) -> BatchReport:
    """Encode what is to do below `folder`, at most `limit` files, until more than `max_failures` failed.

    load: gives the model; not called when there is nothing to encode. spelled: what a parameter is called
    in the reasons of failures.

    Raises ModelError and UsageError where the model cannot do what was asked for, UsageError when `folder`
    holds another run, and OutputError where the results of the run cannot be written.
    """
    todo = work.todo if limit is None else work.todo[:limit]
    engine = checked_engine(load, run) if todo else None
    fix_run(folder, run)

    def rows() -> Generator[tuple[Row, float]]:
        if engine is None:
            return
        with closing(encode_items(todo, folder, run, engine, spelled)) as encoded:
            for _, row, seconds in encoded:
                yield row, seconds

    return collect(
        rows(), work, folder, progress,
        files=len(todo), shard=shard, max_failures=max_failures, spelled=spelled,
    )  # fmt: skip


def collect(
    rows: Generator[tuple[Row, float]],
    work: Work,
    folder: Path,
    progress: BatchProgress,
    *,
    files: int,
    shard: Shard,
    max_failures: int | None,
    spelled: Callable[[str], str],
    seconds_before: float = 0.0,
) -> BatchReport:
    """Count rows and write them down, as they come, until more than `max_failures` failed.

    rows: of `files` files at most, each with the seconds it took; closed at the end. What is done already or
    cannot be tried is taken from `work`. seconds_before: spent on rows that are there already.
    Raises OutputError, and what getting the rows raises.
    """
    failures = Failures(folder / shard.name("failures", ".jsonl"))
    results = _Results(work, failures, progress, max_failures)
    began = time.perf_counter() - seconds_before
    progress.started(files + len(work.refused))
    try:
        with closing(rows):
            for refused in work.refused:
                if not results.add(failed_row(refused, refused.error.text(spelled)), 0.0):
                    break
            for row, seconds in () if results.report.stopped else rows:
                results.report.left -= 1
                if not results.add(row, seconds):
                    break
    finally:
        write_stats(folder / shard.name("stats", ".parquet"), results.report.rows)
    results.report.seconds = time.perf_counter() - began
    return results.report


class _Results:
    """Rows as they come: counted, shown, and written down where they are failures."""

    def __init__(
        self, work: Work, failures: Failures, progress: BatchProgress, max_failures: int | None
    ) -> None:
        self.report = BatchReport(skipped=len(work.done), left=len(work.todo), rows=[*work.done])
        self._failures, self._progress, self._max = failures, progress, max_failures

    def add(self, row: Row, seconds: float) -> bool:
        """Take a row that took so long; whether the batch goes on. Raises OutputError."""
        report = self.report
        report.rows.append(row)
        if row.error is None:
            report.encoded += 1
            report.video_seconds += row.seconds or 0.0
            report.tokens += row.tokens or 0
            report.size_bytes += row.size_bytes or 0
        else:
            report.failed += 1
            self._failures.add(row.id, row.error, seconds)
        self._progress.done(row)
        report.stopped = self._max is not None and report.failed > self._max
        return not report.stopped


def checked_engine(load: Callable[[], Engine], run: RunSettings) -> Engine:
    """The model, once it is known to suit what every file is asked for."""
    from infotok_cli.allocation.budgets import check_fit
    from infotok_cli.codec.load_engine import check_masking

    engine, options = load(), run.options
    check_masking(engine, options)
    if options.budget is not None:
        check_fit(options.budget, options.router, engine.loaded.fits, str(engine.loaded.path))
    return engine
