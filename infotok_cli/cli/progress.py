"""Progress on one line of stderr, only where stderr is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from infotok_cli.cli.output import tell, voice

if TYPE_CHECKING:
    from rich.progress import Progress, Task, TaskID

    from infotok_cli.codec.forecast import Forecast

_SHORTEST_BAR, _LONGEST_BAR = 8, 40


class Bar:
    """What a command shows of its progress; without a terminal nothing is shown."""

    def __init__(self, progress: Progress | None = None, task: TaskID | None = None) -> None:
        self._progress = progress
        self._task = task
        self._total: int | None = None

    def describe(self, what: str) -> None:
        """Say what is going on now; the bar has no end until the first frames are done."""
        if self._progress is not None and self._task is not None:
            self._progress.reset(self._task, description=what, total=None)
            self._progress.start()

    def note(self, text: str) -> None:
        """Leave a message behind, above the bar; nothing for an empty one."""
        if text and self._progress is not None and self._progress.live.is_started:
            self._progress.stop()
            tell(f"infotok: {text}")
            self._progress.start()
        elif text:
            tell(f"infotok: {text}")

    def expects(self, forecast: Forecast, seconds: Callable[[], float | None]) -> None:
        """Say so where an encode will take much memory or time; `seconds` finds out how much."""
        if not forecast.is_large or voice.quiet or voice.as_json:
            return
        from infotok_cli.cli.render import large_input

        self.describe("trying")
        self.note(large_input(replace(forecast, seconds=seconds())))
        self.describe("encoding")

    def started(self, total: int | None) -> None:
        """There are `total` frames to come; None where nobody knows."""
        self._total = total
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, total=total)

    def done(self, frames: int, tokens: int | None = None) -> None:
        """Show the frames, and tokens if there are any to count, that are done."""
        if self._progress is None or self._task is None:
            return
        # Containers may declare fewer frames than they hold.
        total = None if self._total is None else max(self._total, frames)
        self._progress.update(self._task, completed=frames, total=total, tokens=tokens)


@dataclass(frozen=True)
class Status:
    """How far something has come."""

    what: str
    frames: int
    total: int | None
    seconds: float
    """Since it began."""
    tokens: int | None


def line(status: Status, width: int, *, ascii_only: bool) -> str:
    """One line of progress, less than `width` characters: what there is room for, what matters most first.

    A bar takes the room that is left.
    """
    if not status.frames and status.total is None:
        return f"{status.what} {clock(status.seconds)}"[: width - 1]
    share = status.frames / status.total if status.total else None
    return fitted(status.what, list(_texts(status)), share, width, ascii_only=ascii_only)


def fitted(what: str, texts: list[str], share: float | None, width: int, *, ascii_only: bool) -> str:
    """As many of the texts as there is room for, from the first on, with a bar of the share that is done."""
    while len(texts) > 1 and len(_joined(what, texts)) >= width:
        texts.pop()
    room = min(_LONGEST_BAR, width - 2 - len(_joined(what, texts)))
    if share is None or room < _SHORTEST_BAR:
        return _joined(what, texts)[: width - 1]
    full, empty = ("#", "-") if ascii_only else ("━", "─")
    filled = int(room * share)
    return f"{what} {full * filled}{empty * (room - filled)} {', '.join(texts)}"


def _texts(status: Status) -> Iterator[str]:
    frames, total = status.frames, status.total
    speed = frames / status.seconds if status.seconds > 0 else 0.0
    yield f"{frames:,} frames" if total is None else f"{frames:,}/{total:,} frames"
    if not frames:
        yield f"{clock(status.seconds)} so far"
    if total is not None and speed:
        yield f"{clock((total - frames) / speed)} left"
    if speed:
        yield f"{speed:.3g} fps" if speed < 99.5 else f"{speed:.0f} fps"
    if status.tokens:
        yield f"{status.tokens:,} tokens"


def _joined(what: str, texts: list[str]) -> str:
    return f"{what} {', '.join(texts)}"


def clock(seconds: float) -> str:
    """0:07, 1:02:03."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


@contextmanager
def progress() -> Iterator[Bar]:
    """Lend a bar; it comes when there is something to say of it, and disappears at the end."""
    if voice.quiet or not sys.stderr.isatty():
        yield Bar()
        return
    with one_line(_line_of) as shown:
        yield Bar(shown, shown.add_task("", total=None, tokens=None))


def _line_of(task: Task, width: int, ascii_only: bool) -> str:
    total = None if task.total is None else int(task.total)
    status = Status(task.description, int(task.completed), total, task.elapsed or 0.0, task.fields["tokens"])
    return line(status, width, ascii_only=ascii_only)


@contextmanager
def one_line(line_of: Callable[[Task, int, bool], str]) -> Iterator[Progress]:
    """Progress on stderr that is one line however narrow the terminal is; it is started by who has news.

    line_of: what to show of a task in so many columns, in ASCII alone or not.
    """
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn
    from rich.text import Text

    console = Console(stderr=True)

    class Line(ProgressColumn):
        """All of it; other columns would be folded where the terminal is narrow."""

        def render(self, task: Task) -> Text:
            text = line_of(task, console.width, console.options.ascii_only)
            return Text(text, no_wrap=True, overflow="crop")

    shown = Progress(Line(), console=console, transient=True)
    try:
        yield shown
    finally:
        shown.stop()
