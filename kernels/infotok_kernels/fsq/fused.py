"""Finite scalar quantization on Triton kernels: launches and the operators torch sees.

The forward passes are fused. The backward passes are plain matrix products with a few columns, which
torch does well; what they need is saved by the forward pass only when a gradient is wanted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import triton
from torch import Tensor

from infotok_kernels.backend import on_device_of
from infotok_kernels.constants import constant
from infotok_kernels.fsq.kernels import encode_kernel
from infotok_kernels.fsq.reference import inward

_PADDED = 16
"""Channels as the kernels see them: matrix products need 16."""

_ENCODE_ROWS, _ENCODE_DEPTH = 64, 64

_PARTS = {torch.bfloat16: 1, torch.float16: 2, torch.float32: 3}
"""bfloat16 numbers that add up to one of the dtype."""


def _digits(levels: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Level counts and radices, int32 `[16]`; channels that do not exist have two levels worth nothing."""
    radix, worth = [], 1
    for level in levels:
        radix.append(worth)
        worth *= level
    spare = _PADDED - len(levels)
    return (
        constant((*levels, *[2] * spare), torch.int32, device),
        constant((*radix, *[0] * spare), torch.int32, device),
    )


def encode(
    hidden: Tensor, weight: Tensor, bias: Tensor, gain: Tensor | None, levels: Sequence[int], save: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Codes, ids, and the values before bound and rounding if `save` (else nothing)."""
    rows, width, channels = hidden[..., 0].numel(), hidden.shape[-1], len(levels)
    shape = hidden.shape[:-1]
    codes = torch.empty((*shape, channels), dtype=torch.float32, device=hidden.device)
    ids = torch.empty(shape, dtype=torch.int64, device=hidden.device)
    values = torch.empty_like(codes) if save else codes.new_empty(0)
    if rows:
        with on_device_of(hidden):
            encode_kernel[(triton.cdiv(rows, _ENCODE_ROWS),)](
                hidden.contiguous(), weight.contiguous(), bias.contiguous(),
                gain.contiguous() if gain is not None else None,
                *_digits(tuple(levels), hidden.device), values, codes, ids, rows, width,
                CHANNELS=channels, PADDED=_PADDED, PARTS=_PARTS[hidden.dtype], SAVE=save,
                BLOCK=_ENCODE_ROWS, BLOCK_D=_ENCODE_DEPTH, num_warps=4, num_stages=3,
            )  # fmt: skip
    return codes, ids, values


_encode_op = torch.library.custom_op(
    "infotok::fsq_encode",
    encode,
    mutates_args=(),
    schema="(Tensor hidden, Tensor weight, Tensor bias, Tensor? gain, int[] levels, bool save) "
    "-> (Tensor, Tensor, Tensor)",
)


@_encode_op.register_fake
def _encode_shapes(
    hidden: Tensor, weight: Tensor, bias: Tensor, gain: Tensor | None, levels: Sequence[int], save: bool
) -> tuple[Tensor, Tensor, Tensor]:
    codes = hidden.new_empty((*hidden.shape[:-1], len(levels)), dtype=torch.float32)
    ids = hidden.new_empty(hidden.shape[:-1], dtype=torch.int64)
    return codes, ids, torch.empty_like(codes) if save else codes.new_empty(0)


def _save_encode(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    hidden, weight, bias, gain, _, _ = inputs
    _, ids, values = output
    ctx.save_for_backward(hidden, weight, gain, values)
    ctx.bias_dtype = bias.dtype
    ctx.mark_non_differentiable(ids, values)
    ctx.set_materialize_grads(False)


def _encode_gradients(ctx: Any, gradient: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
    if gradient is None:
        return (None,) * 6
    hidden, weight, gain, values = ctx.saved_tensors
    to_gain = None
    with torch.autocast(hidden.device.type, enabled=False):
        through = inward(gradient.float(), values)
        if gain is not None:
            through = through / gain.float()
            to_gain = (-through * values).to(gain.dtype)
        through = through.flatten(0, -2)
        to_hidden = (through @ weight.float()).reshape(hidden.shape).to(hidden.dtype)
        to_weight = (through.mT @ hidden.flatten(0, -2).float()).to(weight.dtype)
        return to_hidden, to_weight, through.sum(dim=0).to(ctx.bias_dtype), to_gain, None, None


_encode_op.register_autograd(_encode_gradients, setup_context=_save_encode)


def fsq_encode_fused(
    hidden: Tensor, weight: Tensor, bias: Tensor, levels: Sequence[int], gain: Tensor | None
) -> tuple[Tensor, Tensor]:
    """`infotok_kernels.fsq_encode` on Triton kernels; arguments as checked there."""
    wanted = any(x is not None and x.requires_grad for x in (hidden, weight, bias, gain))
    save = wanted and torch.is_grad_enabled()
    codes, ids, _ = _encode_op(hidden, weight, bias, gain, list(levels), save)
    return codes, ids
