"""What `infotok batch` shows while it runs: failures as they happen, and a bar where stderr is a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from infotok_cli.cli.output import print_err, voice

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from infotok_cli.batch.outputs import Row


class BatchBar:
    """Files, hours of video and tokens done; without a terminal only failures are shown."""

    def __init__(self, progress: Progress | None = None, task: TaskID | None = None) -> None:
        self._progress = progress
        self._task = task
        self._seconds = 0.0
        self._tokens = 0

    def started(self, files: int) -> None:
        """So many files are to come."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, total=files)

    def done(self, row: Row) -> None:
        """Count a file; one that failed is a line on stderr."""
        if row.error is not None:
            print_err(
                json.dumps({"warning": row.error}) if voice.as_json else f"infotok: failed: {row.error}"
            )
        self._seconds += row.seconds or 0.0
        self._tokens += row.tokens or 0
        if self._progress is not None and self._task is not None:
            counted = f"{self._seconds / 3600:.2f} h of video, {self._tokens:,} tokens"
            self._progress.update(self._task, advance=1, counted=counted)


@contextmanager
def batch_progress() -> Iterator[BatchBar]:
    """Lend a bar; it disappears at the end."""
    if not sys.stderr.isatty():
        yield BatchBar()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        MofNCompleteColumn(),
        TextColumn("files"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[counted]}"),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, expand=True) as shown:
        yield BatchBar(shown, shown.add_task("", total=None, counted=""))
