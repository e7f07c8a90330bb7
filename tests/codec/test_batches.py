"""Segments that go together: neighbours of one kind, in order, given away as soon as they are enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from infotok_cli.codec.batches import batches, even_size, started_early


def test_neighbours_of_one_kind_in_order() -> None:
    found = list(batches([2, 4, 6, 8, 1, 3, 0, 5], 3, lambda number: number % 2))
    assert found == [[2, 4, 6], [8], [1, 3], [0], [5]]
    assert list(batches([], 3, id)) == []


def test_a_full_batch_is_not_kept_waiting() -> None:
    taken: list[int] = []

    def source() -> Iterator[int]:
        for number in range(5):
            taken.append(number)
            yield number

    assert next(batches(source(), 2, lambda _: None)) == [0, 1]
    assert taken == [0, 1]


@pytest.mark.parametrize(
    ("count", "most", "size"), [(35, 8, 7), (35, 1, 1), (3, 8, 3), (16, 8, 8), (9, 8, 5)]
)
def test_batches_of_a_group_are_even(count: int, most: int, size: int) -> None:
    assert even_size(count, most) == size


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_results_are_those_of_their_items(early: bool, count: int) -> None:
    happened: list[str] = []

    def start(batch: list[int]) -> Callable[[], list[int]]:
        happened.append(f"start {batch[0]}")

        def fetch() -> list[int]:
            happened.append(f"fetch {batch[0]}")
            return [-number for number in batch]

        return fetch

    items = [[10 * number, 10 * number + 1] for number in range(count)]
    found = list(started_early(items, start, early=early))
    assert found == [(number, -number) for batch in items for number in batch]
    if count == 2:
        between = ["start 10", "fetch 0"] if early else ["fetch 0", "start 10"]
        assert happened == ["start 0", *between, "fetch 10"]
