"""What `infotok batch` shows while it runs: failures as they happen, and a bar where stderr is a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from infotok_cli.cli.output import print_err, voice
from infotok_cli.cli.progress import clock, fitted, one_line
from infotok_cli.wording import counted

if TYPE_CHECKING:
    from rich.progress import Progress, Task, TaskID

    from infotok_cli.batch.outputs import Row


class BatchBar:
    """Files, hours of video and tokens done; without a terminal only failures are shown."""

    def __init__(self, progress: Progress | None = None, task: TaskID | None = None) -> None:
        self._progress = progress
        self._task = task
        self._seconds = 0.0
        self._tokens = 0

    def started(self, files: int) -> None:
        """This many files are to come."""
        if self._progress is not None and self._task is not None:
            self._progress.reset(self._task, total=files)
            self._progress.start()

    def done(self, row: Row) -> None:
        """Count a file; one that failed is a line on stderr."""
        if row.error is not None:
            print_err(
                json.dumps({"warning": row.error}) if voice.as_json else f"infotok: failed: {row.error}"
            )
        self._seconds += row.seconds or 0.0
        self._tokens += row.tokens or 0
        if self._progress is not None and self._task is not None:
            self._progress.update(
                self._task, advance=1, hours=self._seconds / 3600, tokens=self._tokens
            )  # fmt: skip


def line_of(task: Task, width: int, ascii_only: bool) -> str:
    """One line, less than `width` characters, what matters most first."""
    files, total, elapsed = int(task.completed), int(task.total or 0), task.elapsed or 0.0
    texts = [f"{files:,}/{total:,} files"]
    texts.append(f"{clock(elapsed / files * (total - files))} left" if files else f"{clock(elapsed)} so far")
    texts += [f"{task.fields['hours']:.2f} h of video", counted(task.fields["tokens"], "token")]
    return fitted("encoding", texts, files / total if total else None, width, ascii_only=ascii_only)


@contextmanager
def batch_progress() -> Iterator[BatchBar]:
    """Lend a bar; it comes with the number of files, and disappears at the end."""
    if not sys.stderr.isatty():
        yield BatchBar()
        return
    with one_line(line_of) as shown:
        yield BatchBar(shown, shown.add_task("", total=None, hours=0.0, tokens=0))
