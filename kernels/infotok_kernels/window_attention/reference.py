"""Window attention over a token grid, in torch: whole in time, local in space.

The grid `[T, H, W]` is cut into windows of at most `(T, window, window)` positions (windows.py).
Windows at the edges are simply smaller: nothing is padded and no mask is built, so a position attends
exactly to the real positions of its window.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from infotok_kernels.window_attention.windows import Run, window_runs

ROPE_BASE = 100.0
"""Base of the rotary frequencies; windows are short, so it is far below the 10,000 of text models."""

EPSILON = 1e-6
"""Added to the mean square before its root."""


def rope_frequencies(head_dim: int, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Angle per position of each pair of channels, float64, for the pairs that turn with t, y and x.

    A quarter of the pairs turn with t; the rest is shared evenly by y and x.
    """
    pairs = head_dim // 2
    pairs_t = pairs // 4
    pairs_y = (pairs - pairs_t) // 2
    t, y, x = (
        ROPE_BASE ** (-torch.arange(count, dtype=torch.float64, device=device) / count)
        for count in (pairs_t, pairs_y, pairs - pairs_t - pairs_y)
    )
    return t, y, x


_tables: dict[tuple[int, int, int, int, str], tuple[Tensor, Tensor]] = {}


def rope_table(steps: int, rows: int, columns: int, head_dim: int, device: str) -> tuple[Tensor, Tensor]:
    """Cosine and sine `[T * rows * columns, head_dim / 2]` in float32 of rotary angles over (t, y, x).

    Positions count from the window's corner, which is as good as absolute ones: scores depend on
    differences only.
    Source: Su et al., RoFormer (arXiv 2104.09864), one axis per group of pairs.
    """
    key = (steps, rows, columns, head_dim, device)
    if key not in _tables:
        with torch.inference_mode(False):
            _tables[key] = _rope_table(*key)
    return _tables[key]


# What torch.compiler.assume_constant_result sets, which would load the compiler for those who never compile.
# Compiled code then holds the tables instead of making them anew in every call.
rope_table._dynamo_marked_constant = True  # type: ignore[attr-defined]


def _rope_table(steps: int, rows: int, columns: int, head_dim: int, device: str) -> tuple[Tensor, Tensor]:
    angles = []
    for axis, frequency in enumerate(rope_frequencies(head_dim, device)):
        size = (steps, rows, columns)[axis]
        angle = torch.arange(size, dtype=torch.float64, device=device)[:, None] * frequency
        shape = [1, 1, 1, len(frequency)]
        shape[axis] = size
        angles.append(angle.view(shape).expand(steps, rows, columns, len(frequency)))
    table = torch.cat(angles, dim=-1).reshape(-1, head_dim // 2)
    return table.cos().float(), table.sin().float()


def _rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotate pairs (i, i + D/2) of the last axis of `[..., N, D]`."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1)


def _normalize(x: Tensor, weight: Tensor) -> Tensor:
    """RMS norm over the last axis times `weight`, in float32 or better."""
    wide = x if x.dtype == torch.float64 else x.float()
    scale = torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + EPSILON)
    return wide * scale * weight


def _prepared(x: Tensor, weight: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Queries or keys `[..., N, D]` after norm and rotation, in their own dtype.

    Without gradients half-precision inputs stay in half precision throughout: that is a third of the
    memory traffic, which is what this takes its time for on CPUs. The results differ from the wide ones
    by about two roundings.
    """
    wide = x.dtype not in (torch.bfloat16, torch.float16)
    # torch.compile fuses the plain way by itself, and breaks off at outputs that are parts of tensors.
    if wide or torch.is_grad_enabled() or torch.compiler.is_compiling():
        return _rotate(_normalize(x, weight), cosine, sine).to(x.dtype)
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True).float()
    scale = torch.rsqrt(norm.square() / x.shape[-1] + EPSILON).to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    # The weights go into the tables, which are far smaller than the inputs.
    weight_first, weight_second = weight.float().chunk(2)
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    out_first, out_second = out.chunk(2, dim=-1)
    torch.mul(first, (weight_first * cosine).to(x.dtype), out=out_first)
    out_first.addcmul_(second, (weight_second * sine).to(x.dtype), value=-1)
    torch.mul(second, (weight_second * cosine).to(x.dtype), out=out_second)
    out_second.addcmul_(first, (weight_first * sine).to(x.dtype))
    return out.mul_(scale)


class _Attend(torch.autograd.Function):
    """softmax(q k^T / sqrt(D)) v for `[B, heads, N, D]`.

    On CPUs torch's fused attention takes longer than plain matrix products for windows of a hundred
    positions: half as long again in float32, and twice as long backward.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        ctx.save_for_backward(query, key, value)
        if query.device.type != "cpu" or query.dtype != torch.float32:
            return F.scaled_dot_product_attention(query, key, value)
        scores = torch.matmul(query, key.transpose(-1, -2)).mul_(query.shape[-1] ** -0.5)
        return torch.matmul(scores.softmax(dim=-1), value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = ctx.saved_tensors
        gradient = gradients[0].to(value.dtype)
        scale = query.shape[-1] ** -0.5
        weights = (torch.matmul(query, key.transpose(-1, -2)) * scale).softmax(dim=-1)
        grad_value = torch.matmul(weights.transpose(-1, -2), gradient)
        grad_weights = torch.matmul(gradient, value.transpose(-1, -2))
        inner = (weights * grad_weights).sum(dim=-1, keepdim=True)
        grad_scores = weights * (grad_weights - inner) * scale
        grad_query = torch.matmul(grad_scores, key)
        grad_key = torch.matmul(grad_scores.transpose(-1, -2), query)
        return grad_query, grad_key, grad_value


def _windows(x: Tensor, ys: Run, xs: Run) -> Tensor:
    """Windows `[B * windows, heads, N, D]` of a slice of `[B, T, H, W, heads, D]`."""
    batch, steps, _, _, heads, head_dim = x.shape
    part = x[:, :, ys[0] : ys[0] + ys[1] * ys[2], xs[0] : xs[0] + xs[1] * xs[2]]
    part = part.reshape(batch, steps, ys[1], ys[2], xs[1], xs[2], heads, head_dim)
    part = part.permute(0, 2, 4, 6, 1, 3, 5, 7)
    return part.reshape(batch * ys[1] * xs[1], heads, steps * ys[2] * xs[2], head_dim)


def window_attention_reference(
    qkv: Tensor,
    query_norm: Tensor,
    key_norm: Tensor,
    *,
    window: int,
    shift: int,
    row_shift: int | None = None,
) -> Tensor:
    """`infotok_kernels.window_attention` in torch, on any device and for every float dtype."""
    _, steps, height, width, _, _, head_dim = qkv.shape
    query, key, value = qkv.unbind(dim=4)
    bands: list[Tensor] = []
    for ys in window_runs(height, window, shift if row_shift is None else row_shift):
        parts: list[Tensor] = []
        for xs in window_runs(width, window, shift):
            cosine, sine = rope_table(steps, ys[2], xs[2], head_dim, str(qkv.device))
            q = _prepared(_windows(query, ys, xs), query_norm, cosine, sine)
            k = _prepared(_windows(key, ys, xs), key_norm, cosine, sine)
            out: Tensor = _Attend.apply(q, k, _windows(value, ys, xs))  # type: ignore[no-untyped-call]
            out = out.reshape(-1, ys[1], xs[1], out.shape[1], steps, ys[2], xs[2], head_dim)
            out = out.permute(0, 4, 1, 5, 2, 6, 3, 7)
            parts.append(out.reshape(-1, steps, ys[1] * ys[2], xs[1] * xs[2], *out.shape[-2:]))
        bands.append(torch.cat(parts, dim=3) if len(parts) > 1 else parts[0])
    return torch.cat(bands, dim=2) if len(bands) > 1 else bands[0]
