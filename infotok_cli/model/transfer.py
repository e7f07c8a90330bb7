"""Copies between numpy arrays and a device that do not wait for what the device is doing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Number = TypeVar("Number", bound=np.generic)

Fetch = Callable[[], NDArray[Any]]
"""Waits for a result and gives it."""


def pinned(array: NDArray[Number], device: torch.device) -> NDArray[Number]:
    """The array in page-locked memory, from which a CUDA device copies without the processor.

    On other devices the array itself.
    """
    if device.type != "cuda":
        return array
    held: NDArray[Number] = torch.from_numpy(array).pin_memory().numpy()
    return held


def upload(arrays: Sequence[NDArray[Any]], device: torch.device) -> Tensor:
    """Arrays of one shape and dtype, as one tensor `[B, ...]` on the device.

    A CUDA device copies while the caller continues; arrays that are not page-locked yet are made so first.
    """
    if device.type != "cuda":
        # One alone is not copied.
        return torch.from_numpy(arrays[0])[None] if len(arrays) == 1 else torch.from_numpy(np.stack(arrays))
    first = torch.from_numpy(arrays[0])
    whole = torch.empty((len(arrays), *first.shape), dtype=first.dtype, device=device)
    for place, array in enumerate(arrays):
        source = torch.from_numpy(array)
        whole[place].copy_(source if source.is_pinned() else source.pin_memory(), non_blocking=True)
    return whole


def download(tensor: Tensor) -> Fetch:
    """Start copying a tensor to the host; the result waits for that copy, and for no later work."""
    if tensor.device.type != "cuda":
        return tensor.numpy
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    host.copy_(tensor, non_blocking=True)
    copied = mark(tensor.device)

    def fetch() -> NDArray[Any]:
        copied()
        array: NDArray[Any] = host.numpy()
        return array

    return fetch


def mark(device: torch.device) -> Callable[[], None]:
    """Note what the device has been given so far; what is returned waits until that is done.

    Only CUDA devices have anything left to do when a call returns.
    """
    if device.type != "cuda":
        return _nothing
    reached = torch.cuda.Event()  # type: ignore[no-untyped-call]
    reached.record(torch.cuda.current_stream(device))
    return reached.synchronize


def _nothing() -> None: ...
