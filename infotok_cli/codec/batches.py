"""Segments of one shape that go through the network together, and what is done while they do."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def batches(
    items: Iterable[Item],
    size: int,
    kind: Callable[[Item], Hashable],
    ends: Callable[[Item], bool] = lambda item: False,
) -> Iterator[list[Item]]:
    """Neighbours of one kind, in order, at most `size` together.

    Given away as soon as there are this many, or one `ends` its batch: no item is waited for in vain.
    """
    batch: list[Item] = []
    for item in items:
        if batch and kind(item) != kind(batch[0]):
            yield batch
            batch = []
        batch.append(item)
        if len(batch) >= size or ends(item):
            yield batch
            batch = []
    if batch:
        yield batch


def even_size(count: int, most: int) -> int:
    """Size of batches that hold `count` items in as few batches of `most` as can be, but evenly."""
    return -(-count // -(-count // most))


def started_early(
    items: Iterable[list[Item]], start: Callable[[list[Item]], Callable[[], list[Result]]], *, early: bool
) -> Iterator[tuple[Item, Result]]:
    """Every item with its result, in order.

    `start` begins a batch and gives what waits for its results. With `early` each batch is begun before
    the results of the one before are waited for and used, so that a device works meanwhile.
    """
    waiting: tuple[list[Item], Callable[[], list[Result]]] | None = None
    for batch in items:
        begun = (batch, start(batch))
        if waiting is not None:
            yield from zip(waiting[0], waiting[1](), strict=True)
            waiting = None
        if early:
            waiting = begun
        else:
            yield from zip(batch, begun[1](), strict=True)
    if waiting is not None:
        yield from zip(waiting[0], waiting[1](), strict=True)
