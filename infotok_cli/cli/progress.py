"""A progress bar on stderr, only where stderr is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Bar:
    """What a command shows of its progress; without a terminal nothing is shown."""

    def __init__(self, progress: Progress | None = None, task: TaskID | None = None) -> None:
        self._progress = progress
        self._task = task
        self._total: int | None = None

    def describe(self, what: str) -> None:
        """Say what is going on now; the bar has no end until the first frames are done."""
        if self._progress is not None and self._task is not None:
            self._progress.reset(self._task, description=what)

    def started(self, total: int | None) -> None:
        """There are `total` frames to come; None where nobody knows."""
        self._total = total

    def done(self, frames: int, tokens: int | None = None) -> None:
        """Show the frames, and tokens if there are any to count, that are done."""
        if self._progress is None or self._task is None:
            return
        counted = "" if tokens is None else f"{tokens:,} tokens"
        # Containers may declare fewer frames than they hold.
        total = None if self._total is None else max(self._total, frames)
        self._progress.update(self._task, completed=frames, total=total, tokens=counted)


@contextmanager
def progress() -> Iterator[Bar]:
    """Lend a bar; it disappears at the end."""
    if not sys.stderr.isatty():
        yield Bar()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        ProgressColumn,
        SpinnerColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.text import Text

    class Frames(ProgressColumn):
        """Frames done, of how many, and how fast."""

        def render(self, task: Task) -> Text:
            if not task.completed:
                return Text()
            of = "" if task.total is None else f"/{int(task.total)}"
            speed = f", {task.speed:.1f} fps" if task.speed else ""
            return Text(f"{int(task.completed)}{of} frames{speed}")

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        Frames(),
        TextColumn("{task.fields[tokens]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, expand=True) as shown:
        yield Bar(shown, shown.add_task("", total=None, tokens=""))
