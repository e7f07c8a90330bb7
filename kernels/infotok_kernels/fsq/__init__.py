"""Finite scalar quantization: the public functions, their checks, and the choice of backend."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from infotok_kernels.backend import TRITON_DTYPES, Backend, resolve_backend
from infotok_kernels.fsq.reference import fsq_encode_reference

MAX_TRITON_CHANNELS = 16

ENCODE_EPSILON = 2e-4
"""Ids of two backends agree unless a value lies this close to a boundary, in steps between levels.

Boundaries are the midpoints between neighbouring levels. Both backends multiply in float32 and differ
in the order of summation only, by about 1e-6 of the sum of magnitudes; this leaves room for 100 of that.
Of the magnitudes after division by the gain, if there is one.
"""


def fsq_encode(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor,
    levels: Sequence[int],
    gain: Tensor | None = None,
    *,
    backend: Backend | None = None,
) -> tuple[Tensor, Tensor]:
    """Project, scale, bound and round: codes are the levels nearest to (hidden weight^T + bias) / gain.

    hidden: `[..., D]`. weight: `[C, D]`. bias: `[C]`. levels: C level counts, each >= 2.
    gain: `[..., C]`, positive (not checked), scale of each channel at each position; None for 1.
    Returns codes `[..., C]` (differentiable, straight-through, float32 or better) and token ids
    `[...]` int64. Projection and division run in float32 whatever autocast says: ids should not hang on
    the rounding of half precision.
    Raises ValueError if shapes, devices and levels do not agree, or the backend cannot take the dtype.
    """
    channels = len(levels)
    if hidden.dim() < 1 or weight.shape != (channels, hidden.shape[-1]) or bias.shape != (channels,):
        raise ValueError(
            f"hidden {tuple(hidden.shape)}, weight {tuple(weight.shape)}, bias {tuple(bias.shape)} "
            f"do not fit {channels} levels"
        )
    _check_gain(gain, (*hidden.shape[:-1], channels))
    _check(levels, hidden, weight, bias, gain)
    if resolve_backend(backend, hidden.device) == "reference":
        return fsq_encode_reference(hidden, weight, bias, levels, gain)
    _check_triton(levels, hidden, weight, bias, gain)
    from infotok_kernels.fsq.fused import fsq_encode_fused

    return fsq_encode_fused(hidden, weight, bias, levels, gain)


def _check_gain(gain: Tensor | None, shape: tuple[int, ...]) -> None:
    if gain is None:
        return
    if gain.shape != shape:
        raise ValueError(f"gain has shape {tuple(gain.shape)}, expected {shape}")
    if not gain.dtype.is_floating_point:
        raise ValueError(f"gain is {gain.dtype}, expected a float dtype")


def _check(levels: Sequence[int], *tensors: Tensor | None) -> None:
    if not levels or min(levels) < 2:
        raise ValueError(f"levels {tuple(levels)} are not all 2 or more")
    devices = {str(tensor.device) for tensor in tensors if tensor is not None}
    if len(devices) > 1:
        raise ValueError(f"tensors lie on {' and '.join(sorted(devices))}, expected one device")


def _check_triton(levels: Sequence[int], *tensors: Tensor | None) -> None:
    if len(levels) > MAX_TRITON_CHANNELS:
        raise ValueError(f"{len(levels)} levels: the triton backend takes up to {MAX_TRITON_CHANNELS}")
    if math.prod(levels) > 1 << 31:
        raise ValueError(f"levels {tuple(levels)}: the triton backend takes ids of up to 31 bits")
    for tensor in tensors:
        if tensor is not None and tensor.dtype not in TRITON_DTYPES:
            raise ValueError(f"{tensor.dtype}: the triton backend takes float32, bfloat16 and float16")
