"""The encodes of one shard, one file after the other; what fails is written down and the rest goes on."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from infotok_cli.batch.ahead_videos import Begun, begun_ahead
from infotok_cli.batch.items import Item, Refused
from infotok_cli.batch.outputs import Row, row_of
from infotok_cli.batch.plan import Work
from infotok_cli.batch.remote import is_url
from infotok_cli.batch.results import Failures, write_stats
from infotok_cli.batch.run_file import RunSettings, fix_run, make_folder
from infotok_cli.batch.shards import Shard
from infotok_cli.errors import InfotokError, InputError
from infotok_cli.places import output_of

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
        with begun_ahead(todo, run.options) as videos:
            for item, begun in videos:
                started = time.perf_counter()
                row = encode_item(item, begun, folder, run, engine=engine, spelled=spelled)
                yield row, time.perf_counter() - started

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


def encode_item(
    item: Item,
    begun: Begun,
    folder: Path,
    run: RunSettings,
    *,
    engine: Engine,
    spelled: Callable[[str], str],
) -> Row:
    """Encode one file; whatever goes wrong is in the row."""
    from infotok_cli.codec.encode import encode_input
    from infotok_cli.codec.video_psnr import encoded_psnr_db

    target = folder / item.target
    began = time.perf_counter()
    psnr_db: float | None = None
    try:
        given = begun()
        with given.kept_open():
            make_folder(target.parent)
            encode_input(given, output_of(target, overwrite=True), engine, run.options, None)
            milliseconds = 1000 * (time.perf_counter() - began)
            if run.psnr:
                psnr_db = encoded_psnr_db(given.video, target, engine, run.options)
        row = row_of(target, run, id=item.id, source=item.source, output=item.target, status="encoded")
        if row is None:
            raise InputError(
                "is not what was written", way_out="check the disk, and run again", where=str(target)
            )
    except Exception as error:  # one file of many: the rest goes on
        return failed_row(item, _reason(error, item, spelled))
    return replace(row, ms=milliseconds, psnr_db=psnr_db)


def _reason(error: Exception, item: Item, spelled: Callable[[str], str]) -> str:
    if isinstance(error, InputError) and is_url(item.source):  # it names the temporary copy
        return InputError(error.what, way_out=error.way_out, where=item.source).text(spelled)
    if isinstance(error, InfotokError):
        return error.text(spelled)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or tempfile.gettempdir()}: {error.strerror}"
    return f"internal error (please report): {type(error).__name__}: {error}"


def failed_row(item: Item | Refused, reason: str) -> Row:
    return Row(id=item.id, source=item.source, status="failed", error=" ".join(reason.split()))
