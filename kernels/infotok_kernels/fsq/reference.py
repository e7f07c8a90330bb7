"""Finite scalar quantization in torch: hidden vector to token id, and back.

Each of C channels is projected, bounded to [-1, 1] and rounded to the nearest of its L evenly
spaced levels; a token id is the mixed-radix number of the level indices, first channel least.
Source: Mentzer et al., Finite Scalar Quantization (arXiv 2309.15505); the bound is a clamp instead
of tanh, so that a linear path through the quantizer stays linear, and levels are symmetric.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from infotok_kernels.constants import constant


def inward(gradient: Tensor, values: Tensor) -> Tensor:
    """The gradient, but 0 where a descent step along it would push a value outside [-1, 1] further out."""
    blocked = ((values > 1) & (gradient < 0)) | ((values < -1) & (gradient > 0))
    return gradient.masked_fill(blocked, 0.0)


class BoundAndRound(torch.autograd.Function):
    """Nearest level in [-1, 1]; the gradient passes straight through.

    Outside [-1, 1] only gradients that lead back inside pass, so a saturated channel recovers.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, steps: Tensor) -> Tensor:
        ctx.save_for_backward(values)
        return _codes(_digits(values.clamp(-1, 1), steps), steps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (values,) = ctx.saved_tensors
        return inward(gradients[0], values), None


def _steps(levels: Sequence[int], like: Tensor) -> Tensor:
    return constant(tuple(level - 1 for level in levels), like.dtype, like.device)


def _digits(codes: Tensor, steps: Tensor) -> Tensor:
    """Numbers of the nearest levels, 0 to `steps`, as floats."""
    return ((codes + 1) * (steps / 2)).round()


def _codes(digits: Tensor, steps: Tensor) -> Tensor:
    """Levels of these numbers, in [-1, 1]."""
    return digits * 2 / steps - 1


def _radix(levels: Sequence[int], device: torch.device) -> Tensor:
    weights = [1]
    for level in levels[:-1]:
        weights.append(weights[-1] * level)
    return constant(tuple(weights), torch.int64, device)


def codes_to_ids(codes: Tensor, levels: Sequence[int]) -> Tensor:
    """Token ids `[...]` int64 of codes `[..., C]` in [-1, 1] that lie on the levels."""
    digits = _digits(codes, _steps(levels, codes)).to(torch.int64)
    return (digits * _radix(levels, codes.device)).sum(dim=-1)


def ids_to_codes(ids: Tensor, levels: Sequence[int], dtype: torch.dtype = torch.float32) -> Tensor:
    """Codes `[..., C]` in [-1, 1] of token ids `[...]`; ids must lie in 0..product(levels)-1."""
    sizes = constant(tuple(levels), torch.int64, ids.device)
    digits = ids.to(torch.int64)[..., None] // _radix(levels, ids.device) % sizes
    wide = digits.to(dtype)
    return _codes(wide, _steps(levels, wide))


def nearest_codes(values: Tensor, levels: Sequence[int]) -> Tensor:
    """The codes nearest to values `[..., C]` in [-1, 1]."""
    steps = _steps(levels, values)
    return _codes(_digits(values, steps), steps)


def fsq_encode_reference(
    hidden: Tensor, weight: Tensor, bias: Tensor, levels: Sequence[int], gain: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """`infotok_kernels.fsq_encode` in torch, on any device and for every float dtype."""
    with torch.autocast(hidden.device.type, enabled=False):
        wide = hidden if hidden.dtype == torch.float64 else hidden.float()
        values = F.linear(wide, weight.to(wide.dtype), bias.to(wide.dtype))
        if gain is not None:
            values = values / gain.to(wide.dtype)
        codes: Tensor = BoundAndRound.apply(values, _steps(levels, values))  # type: ignore[no-untyped-call]
    return codes, codes_to_ids(codes.detach(), levels)
