"""Pictures as callers hold them, in arrays of numpy or tensors of torch, on any device."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Pictures = NDArray[np.uint8] | Tensor
"""One picture `[H, W, 3]` or a run of them `[T, H, W, 3]`, uint8, RGB."""


def is_array(given: object) -> bool:
    """Whether it is an array or a tensor."""
    return isinstance(given, (np.ndarray, Tensor))


def to_numpy(given: Pictures) -> NDArray[Any]:
    """Its numbers on the CPU; shares memory where it can."""
    return given.detach().cpu().numpy() if isinstance(given, Tensor) else np.asarray(given)
