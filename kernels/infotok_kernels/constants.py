"""Small tensors of fixed numbers, made once: a device need not be waited for each time they are used."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=256)
@torch.inference_mode(False)
def constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """The values as a tensor `[N]`, the same one each time: not to be written to."""
    return torch.tensor(values, dtype=dtype, device=device)
