"""Calls of several threads: what waits while the device is busy runs as one, and each gets its results."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from infotok_cli.model.dynamic_batching import BATCHES_IN_FLIGHT, DynamicBatcher

Fetch = Callable[[], list[str]]


class Device:
    """Runs one batch at a time, when it is let; `batches` are those that it was given."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self._permits = threading.Semaphore(0)
        self.batcher = DynamicBatcher(self._mark)

    def _mark(self) -> Callable[[], None]:
        def wait() -> None:
            assert self._permits.acquire(timeout=30)

        return wait

    def finish(self, batches: int = 1) -> None:
        for _ in range(batches):
            self._permits.release()

    def run(self, items: Sequence[int]) -> Fetch:
        self.batches.append(list(items))
        if -1 in items:
            raise ValueError("no -1")
        return lambda: [f"<{item}>" for item in items]

    def start(self, *items: int, kind: str = "a", most: int = 4) -> list[str]:
        return self.batcher.start(kind, items, self.run, most=most)()

    def waiting(self, count: int) -> None:
        """Return when so many calls wait for their turn."""
        ends = time.monotonic() + 30
        while len(self.batcher._waiting) < count:
            assert time.monotonic() < ends
            time.sleep(0.001)


@pytest.fixture
def device() -> Device:
    """One that has as much to do as it is given at once."""
    device = Device()
    for number in range(BATCHES_IN_FLIGHT):
        assert device.start(number) == [f"<{number}>"]
    device.batches.clear()
    return device


def queue(
    device: Device, threads: ThreadPoolExecutor, *calls: Sequence[int], **settings: int
) -> list[Future[list[str]]]:
    """Calls that wait, in this order; the device is busy."""
    futures = []
    for number, items in enumerate(calls, 1):
        futures.append(threads.submit(device.start, *items, **settings))  # type: ignore[arg-type]
        device.waiting(number)
    return futures


def test_calls_that_wait_run_as_one(device: Device) -> None:
    with ThreadPoolExecutor(4) as threads:
        futures = queue(device, threads, [10], [20, 21], [30])
        device.finish()
        assert [future.result(30) for future in futures] == [["<10>"], ["<20>", "<21>"], ["<30>"]]
    assert sorted(device.batches[0]) == [10, 20, 21, 30]
    assert len(device.batches) == 1


def test_no_batch_is_larger_than_it_may_be(device: Device) -> None:
    with ThreadPoolExecutor(8) as threads:
        futures = queue(device, threads, *([number] for number in range(6)), most=4)
        device.finish(2)
        assert [future.result(30) for future in futures] == [[f"<{number}>"] for number in range(6)]
    assert [len(batch) for batch in device.batches] == [4, 2]


def test_kinds_are_not_mixed(device: Device) -> None:
    with ThreadPoolExecutor(4) as threads:
        one = threads.submit(device.start, 1, kind="a")
        device.waiting(1)
        other = threads.submit(device.start, 2, kind="b")
        device.waiting(2)
        device.finish(2)
        assert (one.result(30), other.result(30)) == (["<1>"], ["<2>"])
    assert sorted(device.batches) == [[1], [2]]


def test_an_error_is_raised_in_every_call_of_its_batch_and_in_no_other(device: Device) -> None:
    with ThreadPoolExecutor(4) as threads:
        futures = queue(device, threads, [1], [-1])
        device.finish()
        for future in futures:
            with pytest.raises(ValueError, match="no -1"):
                future.result(30)
        assert device.start(5) == ["<5>"]  # a batch that failed gives the device nothing to do


def test_a_device_that_is_idle_is_not_kept_waiting() -> None:
    device = Device()
    assert device.start(1, 2) == ["<1>", "<2>"]
    assert device.batches == [[1, 2]]


def test_results_are_waited_for_once(device: Device) -> None:
    fetched: list[int] = []

    def run(items: Sequence[int]) -> Fetch:
        def fetch() -> list[str]:
            fetched.append(len(items))
            return [str(item) for item in items]

        return fetch

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(device.batcher.start, "a", [1], run, most=4)
        device.waiting(1)
        second = threads.submit(device.batcher.start, "a", [2], run, most=4)
        device.waiting(2)
        device.finish()
        assert [first.result(30)(), second.result(30)(), first.result(30)()] == [["1"], ["2"], ["1"]]
    assert fetched == [2]


def test_a_call_that_finds_the_device_failing_leaves_nothing_behind() -> None:
    device = Device()

    def fail() -> None:
        raise RuntimeError("lost")

    device.batcher = DynamicBatcher(lambda: fail)
    for number in range(BATCHES_IN_FLIGHT):
        device.start(number)
    device.batches.clear()
    with pytest.raises(RuntimeError, match="lost"):
        device.start(8)
    assert device.start(9) == ["<9>"]
    assert device.batches == [[9]]
