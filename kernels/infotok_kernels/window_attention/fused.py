"""Window attention on Triton kernels: launches, block sizes, and the operators torch sees.

The operators are opaque to torch.compile, so a compiled block calls the same kernels as an eager one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import triton
from torch import Tensor

from infotok_kernels.backend import on_device_of
from infotok_kernels.window_attention.kernels import (
    backward_key_kernel,
    backward_query_kernel,
    forward_kernel,
)
from infotok_kernels.window_attention.reference import EPSILON, rope_frequencies
from infotok_kernels.window_attention.windows import window_count


@dataclass(frozen=True)
class Blocks:
    """Tile sizes of one kernel: queries, keys, warps per program, depth of the software pipeline."""

    queries: int
    keys: int
    warps: int
    stages: int


def forward_blocks(dtype: torch.dtype, slots: int) -> Blocks:
    """Tiles of the forward kernel for windows of up to `slots` positions.

    As those of the backward kernels, they leave no register spilled on sm_90.
    """
    if dtype == torch.float32:
        return Blocks(_fit(32, slots), 16, 4, 2)
    return Blocks(_fit(128, slots), _fit(64, slots), 8 if slots > 64 else 4, 3)


def backward_blocks(dtype: torch.dtype, slots: int) -> Blocks:
    """Tiles of both backward kernels."""
    if dtype == torch.float32:
        return Blocks(_fit(32, slots), 16, 4, 2)
    return Blocks(_fit(64, slots), _fit(64, slots), 8 if slots > 32 else 4, 2)


def _fit(block: int, slots: int) -> int:
    """The block, or the power of two that holds a smaller window; matrix products need 16."""
    return max(16, min(block, 1 << (slots - 1).bit_length()))


@dataclass(frozen=True)
class _Plan:
    """Geometry of one call, as the kernels take it."""

    batch: int
    steps: int
    height: int
    width: int
    heads: int
    head_dim: int
    windows_y: int
    windows_x: int
    window: int
    offset: int

    @property
    def windows(self) -> int:
        return self.batch * self.windows_y * self.windows_x

    @property
    def max_slots(self) -> int:
        """Positions of the largest window."""
        rows, columns = min(self.window, self.height), min(self.window, self.width)
        return self.steps * rows * columns

    @property
    def geometry(self) -> tuple[int, ...]:
        """The kernels' arguments from `steps` to `offset`."""
        return (
            self.steps, self.height, self.width, self.heads, self.windows_y, self.windows_x,
            self.window, self.offset,
        )  # fmt: skip

    @property
    def scale(self) -> float:
        """Of scores, in base-2 logarithms."""
        return math.log2(math.e) / math.sqrt(self.head_dim)


def _plan(qkv: Tensor, window: int, shift: int) -> _Plan:
    batch, steps, height, width, _, heads, head_dim = qkv.shape
    return _Plan(
        batch=batch,
        steps=steps,
        height=height,
        width=width,
        heads=heads,
        head_dim=head_dim,
        windows_y=window_count(height, window, shift),
        windows_x=window_count(width, window, shift),
        window=window,
        offset=-shift % window,
    )


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _axis_tables(places: int, head_dim: int, device: str) -> tuple[Tensor, Tensor]:
    """Cosine and sine `[places, head_dim / 2]`: row p has every pair's angle at place p of its own axis."""
    frequency = torch.cat(rope_frequencies(head_dim, device))
    angle = torch.arange(places, dtype=torch.float64, device=device)[:, None] * frequency
    return angle.cos().float(), angle.sin().float()


def _constants(plan: _Plan, blocks: Blocks) -> dict[str, Any]:
    pairs = plan.head_dim // 2
    pairs_t = pairs // 4
    return {
        "HALF": pairs,
        "PAIRS_T": pairs_t,
        "PAIRS_Y": (pairs - pairs_t) // 2,
        "BLOCK_M": blocks.queries,
        "BLOCK_N": blocks.keys,
        "num_warps": blocks.warps,
        "num_stages": blocks.stages,
    }


def forward(
    qkv: Tensor,
    query_norm: Tensor,
    key_norm: Tensor,
    window: int,
    shift: int,
    blocks: Blocks | None = None,
) -> tuple[Tensor, Tensor]:
    """Output, and base-2 logarithm of the softmax's sums `[B, T, H, W, heads]`.

    blocks: tile sizes to try instead of the usual ones.
    """
    qkv = qkv.contiguous()
    plan = _plan(qkv, window, shift)
    shape = (*qkv.shape[:4], plan.heads)
    out = torch.empty((*shape, plan.head_dim), dtype=qkv.dtype, device=qkv.device)
    log_sum = torch.empty(shape, dtype=torch.float32, device=qkv.device)
    if qkv.numel() == 0:
        return out, log_sum
    blocks = blocks or forward_blocks(qkv.dtype, plan.max_slots)
    tiles = triton.cdiv(plan.max_slots, blocks.queries)
    with on_device_of(qkv):
        forward_kernel[(plan.windows * plan.heads * tiles,)](
            qkv, query_norm.contiguous(), key_norm.contiguous(),
            *_axis_tables(max(plan.steps, window), plan.head_dim, str(qkv.device)), out, log_sum,
            *plan.geometry, tiles, plan.scale, EPSILON, **_constants(plan, blocks),
        )  # fmt: skip
    return out, log_sum


def backward(
    grad_out: Tensor,
    qkv: Tensor,
    query_norm: Tensor,
    key_norm: Tensor,
    out: Tensor,
    log_sum: Tensor,
    window: int,
    shift: int,
    blocks: Blocks | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of qkv, query_norm and key_norm; the rest is what `forward` took and returned."""
    qkv, grad_out = qkv.contiguous(), grad_out.to(qkv.dtype).contiguous()
    plan = _plan(qkv, window, shift)
    grad_qkv = torch.empty_like(qkv)
    if qkv.numel() == 0:
        return grad_qkv, torch.zeros_like(query_norm), torch.zeros_like(key_norm)
    inner = torch.empty_like(log_sum)
    blocks = blocks or backward_blocks(qkv.dtype, plan.max_slots)
    tables = _axis_tables(max(plan.steps, window), plan.head_dim, str(qkv.device))
    inputs = (qkv, query_norm.contiguous(), key_norm.contiguous(), *tables)
    shares = []
    for kernel, saved, block in (
        (backward_query_kernel, (out, log_sum), blocks.queries),
        (backward_key_kernel, (log_sum,), blocks.keys),
    ):
        tiles = triton.cdiv(plan.max_slots, block)
        programs = plan.windows * plan.heads * tiles
        # Zeros: programs beyond the end of a smaller window leave their share as it is.
        share = torch.zeros((programs, plan.head_dim), dtype=torch.float32, device=qkv.device)
        with on_device_of(qkv):
            kernel[(programs,)](
                *inputs, *saved, grad_out, inner, grad_qkv, share,
                *plan.geometry, tiles, plan.scale, EPSILON, **_constants(plan, blocks),
            )  # fmt: skip
        shares.append(share.sum(dim=0))
    return grad_qkv, shares[0].to(query_norm.dtype), shares[1].to(key_norm.dtype)


_forward_op = torch.library.custom_op(
    "infotok::window_attention",
    forward,
    mutates_args=(),
    schema="(Tensor qkv, Tensor query_norm, Tensor key_norm, int window, int shift) -> (Tensor, Tensor)",
)
_backward_op = torch.library.custom_op(
    "infotok::window_attention_backward",
    backward,
    mutates_args=(),
    schema="(Tensor grad_out, Tensor qkv, Tensor query_norm, Tensor key_norm, Tensor out, Tensor log_sum, "
    "int window, int shift) -> (Tensor, Tensor, Tensor)",
)


@_forward_op.register_fake
def _forward_shapes(qkv: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    out = qkv.new_empty((*qkv.shape[:4], *qkv.shape[5:]))
    return out, out.new_empty(out.shape[:-1], dtype=torch.float32)


@_backward_op.register_fake
def _backward_shapes(
    grad_out: Tensor, qkv: Tensor, query_norm: Tensor, key_norm: Tensor, *_: Any
) -> tuple[Tensor, Tensor, Tensor]:
    return qkv.new_empty(qkv.shape), torch.empty_like(query_norm), torch.empty_like(key_norm)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    qkv, query_norm, key_norm, *ctx.flags = inputs
    ctx.save_for_backward(qkv, query_norm, key_norm, *output)
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)


def _gradients(ctx: Any, grad_out: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
    if grad_out is None:
        return (None,) * 5
    return (*_backward_op(grad_out, *ctx.saved_tensors, *ctx.flags), None, None)


_forward_op.register_autograd(_gradients, setup_context=_save)


def window_attention_fused(
    qkv: Tensor, query_norm: Tensor, key_norm: Tensor, window: int, shift: int
) -> Tensor:
    """`infotok_kernels.window_attention` on Triton kernels; arguments as checked there."""
    out: Tensor = _forward_op(qkv, query_norm, key_norm, window, shift)[0]
    return out
