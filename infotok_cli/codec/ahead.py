"""Doing the next thing while the last one is used: reading, computing and writing overlap."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from infotok_cli.files import read_until

Item = TypeVar("Item")


@contextmanager
def ahead(items: Iterable[Item], depth: int = 1) -> Iterator[Iterator[Item]]:
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
        waiting = deque(thread.submit(make) for _ in range(depth))

        def taken() -> Iterator[Item]:
            while (item := waiting.popleft().result()) is not None:
                waiting.append(thread.submit(make))
                yield item[0]

        try:
            yield taken()
        finally:
            left.set()
            for future in waiting:
                future.cancel()
