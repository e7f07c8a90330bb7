"""Processes that train together: who leads, what all agree on, and how a signal stops all of them.

torchrun starts the processes and tells each its place through the environment. Gradients are averaged
by torch's DistributedDataParallel; all that is exchanged here is a few numbers per step, over gloo.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from infotok_cli.errors import UsageError

STOP_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


def world_size() -> int:
    """Processes that were started together (environment variable WORLD_SIZE), 1 when it is not set."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def leads() -> bool:
    """Whether this process is the one that writes and reports (environment variable RANK)."""
    return world_size() == 1 or os.environ.get("RANK", "0") == "0"


@dataclass(frozen=True)
class World:
    """The processes of a run and this one's number among them; every method is called by all or none."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def largest(self, *values: float) -> list[float]:
        """The maximum of each value over all processes, the same everywhere. NaN is not allowed."""
        if self.size == 1:
            return list(values)
        shared = torch.tensor(values, dtype=torch.float64)
        distributed.all_reduce(shared, op=distributed.ReduceOp.MAX)
        return [float(value) for value in shared]

    def from_leader(self, text: str) -> str:
        """The text the leader gave; what the others gave is ignored."""
        if self.size == 1:
            return text
        shared = [text]
        distributed.broadcast_object_list(shared, src=0)
        return shared[0]

    def parallel(self, module: nn.Module) -> nn.Module:
        """`module` with gradients averaged over all processes, and the leader's weights in all of them."""
        return module if self.size == 1 else DistributedDataParallel(module)


@contextmanager
def join_world(device: str) -> Iterator[World]:
    """The world that the environment describes; on CUDA each process takes the GPU of its local number.

    A process group that exists already is used, and left as it is. Raises UsageError when the environment
    names a world but not how to reach it, or there are too few GPUs.
    """
    if distributed.is_initialized():
        yield World(distributed.get_rank(), distributed.get_world_size())
        return
    if world_size() == 1:
        yield World()
        return
    backend = "gloo"
    if device == "cuda":
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            raise UsageError(
                f"process {local} of this machine finds only {torch.cuda.device_count()} GPUs",
                way_out="start at most one process per GPU",
            )
        torch.cuda.set_device(local)
        backend = "cpu:gloo,cuda:nccl"
    try:
        distributed.init_process_group(backend)
    except ValueError as error:
        raise UsageError(
            f"WORLD_SIZE is {world_size()}, but the other processes cannot be found ({error})",
            way_out="start them with torchrun, or unset WORLD_SIZE",
        ) from error
    try:
        yield World(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


class StopSignals:
    """Remembers a signal instead of acting on it, so that all processes can stop after the same step.

    A process that left in the middle of a step would leave the others waiting for its gradients.
    """

    def __init__(self, world: World) -> None:
        self.received = 0
        """Number of the last signal, 0 when there was none."""
        self._active = world.size > 1 and threading.current_thread() is threading.main_thread()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if self._active:
            self._before = {number: signal.signal(number, self._remember) for number in STOP_SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Let signals act as they did before, where nobody looks at `received`; one that waits acts now."""
        try:
            self.__exit__()
            if self.received:
                signal.raise_signal(self.received)
            yield
        finally:
            for number in self._before:
                signal.signal(number, self._remember)

    def _remember(self, number: int, _: FrameType | None) -> None:
        self.received = number
