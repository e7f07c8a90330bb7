"""Working ahead changes when things happen, not what happens."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest

from infotok_cli.codec.ahead import ahead
from infotok_cli.files import PatientInput


def test_same_items_in_order() -> None:
    for count in (0, 1, 2, 50):
        for depth in (1, 3):
            with ahead(range(count), depth) as items:
                assert list(items) == list(range(count))


def test_one_is_made_while_the_one_before_is_used() -> None:
    made = [threading.Event() for _ in range(3)]

    def source() -> Iterator[int]:
        for number, event in enumerate(made):
            event.set()
            yield number

    with ahead(source()) as items:
        assert next(items) == 0
        assert made[1].wait(5)
        assert not made[2].wait(0.05)


def test_several_are_made_while_one_is_used_and_no_more() -> None:
    made = [threading.Event() for _ in range(6)]

    def source() -> Iterator[int]:
        for number, event in enumerate(made):
            event.set()
            yield number

    with ahead(source(), 3) as items:
        assert next(items) == 0
        assert all(event.wait(5) for event in made[:4])
        assert not made[4].wait(0.05)


def test_errors_come_where_the_item_would_have() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise ValueError("second")

    with ahead(source()) as items:
        assert next(items) == 1
        with pytest.raises(ValueError, match="second"):
            next(items)


def test_the_thread_is_gone_when_the_block_is_left() -> None:
    def leave_early() -> None:
        with ahead(range(10)) as items:
            next(items)
            raise KeyError

    with pytest.raises(KeyError):
        leave_early()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_a_silent_pipe_does_not_hold_up_those_who_leave() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as source, os.fdopen(writing, "wb", buffering=0) as sink:
        pipe = PatientInput(source)
        sink.write(b"a")
        with ahead(iter(lambda: pipe.read(1), b"")) as items:
            assert next(items) == b"a"
            began = time.monotonic()
        assert time.monotonic() - began < 5
