"""Doing the next thing while the last one is used: reading, computing and writing overlap."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, TypeVar

from infotok_cli.files import read_until

Item = TypeVar("Item")


class Ahead(Iterator[Item], Generic[Item]):
    """Items in the order in which another thread makes them."""

    def __init__(self, begin: Callable[[], Future[tuple[Item] | None]], depth: int) -> None:
        """begin: has the next item made, as the only one of a tuple; None when there are no more."""
        self._begin = begin
        self._waiting = deque(begin() for _ in range(depth))

    def __next__(self) -> Item:
        item = self._waiting.popleft().result() if self._waiting else None
        if item is None:
            self.give_up()
            raise StopIteration
        self._waiting.append(self._begin())
        return item[0]

    @property
    def is_ready(self) -> bool:
        """Whether the next item, or the end, is there and need not be waited for."""
        return not self._waiting or self._waiting[0].done()

    def give_up(self) -> None:
        """Have nothing made that is not begun."""
        for future in self._waiting:
            future.cancel()
        self._waiting.clear()


@contextmanager
def ahead(items: Iterable[Item], depth: int = 1) -> Iterator[Ahead[Item]]:
    """`items`, each made by a background thread while the `depth` before it wait or are in use.

    What making one raises is raised where it would have been used. On leaving, the thread has ended, so
    that files it reads from can be closed; it gives up a read of a silent `PatientInput`.
    """
    source = iter(items)

    def make() -> tuple[Item] | None:
        try:
            return (next(source),)
        except StopIteration:
            return None

    left = threading.Event()
    with ThreadPoolExecutor(
        1, thread_name_prefix="ahead", initializer=read_until, initargs=(left,)
    ) as thread:
        made = Ahead(lambda: thread.submit(make), depth)
        try:
            yield made
        finally:
            left.set()
            made.give_up()
