"""Calls of several threads, gathered into batches while the device is busy."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

BATCHES_IN_FLIGHT = 2
"""Batches that a device has been given and not finished: one that runs, and the next one."""


class DynamicBatcher:
    """Runs calls of several threads one batch after the other.

    Calls of one kind that wait at the same time run as one. No call waits for others to come: they gather
    while the device has as much to do as it is given at once.
    """

    def __init__(self, mark: Callable[[], Callable[[], None]]) -> None:
        """mark: notes what the device has been given so far; what it returns waits until that is done."""
        self._mark = mark
        self._turn = threading.Lock()
        """Held by the thread that starts a batch."""
        self._guard = threading.Lock()
        self._waiting: deque[_Call[Any, Any]] = deque()
        self._in_flight: deque[Callable[[], None]] = deque()

    def start(
        self,
        kind: Hashable,
        items: Sequence[Item],
        run: Callable[[Sequence[Item]], Callable[[], list[Result]]],
        *,
        most: int,
    ) -> Callable[[], list[Result]]:
        """Start `run` on these items and on those of other calls, at most `most` items together.

        Returns what waits for the results of these items. Calls of one kind must do the same whichever of
        their `run` gets the items. What `run` raises is raised in each of the calls.
        """
        mine: _Call[Item, Result] = _Call(kind, items)
        with self._guard:
            self._waiting.append(mine)
        with self._turn:
            if mine.results is None and mine.error is None:
                self._start_batch(mine, run, most)
        if mine.error is not None:
            raise mine.error
        assert mine.results is not None
        return mine.results

    def _start_batch(
        self,
        first: _Call[Item, Result],
        run: Callable[[Sequence[Item]], Callable[[], list[Result]]],
        most: int,
    ) -> None:
        calls: list[_Call[Item, Result]] = []
        try:
            if len(self._in_flight) == BATCHES_IN_FLIGHT:
                self._in_flight.popleft()()
            calls = self._taken(first, most)
            whole = _Once(run([item for call in calls for item in call.items]))
            self._in_flight.append(self._mark())
        except BaseException as error:
            for call in calls or self._taken(first, len(first.items)):
                call.error = error
            return
        at = 0
        for call in calls:
            call.results = _part(whole, at, at + len(call.items))
            at += len(call.items)

    def _taken(self, first: _Call[Item, Result], most: int) -> list[_Call[Item, Result]]:
        """A call, and as many of its kind as go with it, the longest waiting first."""
        with self._guard:
            self._waiting.remove(first)
            calls, count = [first], len(first.items)
            for call in [call for call in self._waiting if call.kind == first.kind]:
                if count + len(call.items) <= most:
                    self._waiting.remove(call)
                    calls.append(call)
                    count += len(call.items)
        return calls


@dataclass(eq=False)
class _Call(Generic[Item, Result]):
    kind: Hashable
    items: Sequence[Item]
    results: Callable[[], list[Result]] | None = None
    error: BaseException | None = None


@dataclass(eq=False)
class _Once(Generic[Result]):
    """Waits for results once, for all threads that want some of them."""

    fetch: Callable[[], list[Result]]
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _results: list[Result] | None = None

    def __call__(self) -> list[Result]:
        with self._lock:
            if self._results is None:
                self._results = self.fetch()
            return self._results


def _part(whole: Callable[[], list[Result]], begin: int, end: int) -> Callable[[], list[Result]]:
    return lambda: whole()[begin:end]
