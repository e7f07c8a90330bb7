"""Window attention over a token grid, in torch: whole in time, local in space.

The grid `[T, H, W]` is cut into windows of `(T, window, window)` positions whose borders lie at
multiples of `window`, moved back by `shift`. Windows at the edges are simply smaller: nothing is
padded, and no mask is built, so a position attends exactly to the real positions of its window.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

ROPE_BASE = 100.0
"""Base of the rotary frequencies; windows are short, so it is far below the 10,000 of text models."""

_EPSILON = 1e-6


def window_runs(length: int, window: int, shift: int) -> list[tuple[int, int, int]]:
    """Cut an axis of `length` positions into runs `(start, count, size)` of equal windows.

    `shift` in 0..window-1 is the length of the first, partial window (0: none). At most three runs.
    """
    runs: list[tuple[int, int, int]] = []
    head = min(shift, length)
    if head:
        runs.append((0, 1, head))
    count = (length - head) // window
    if count:
        runs.append((head, count, window))
    tail = length - head - count * window
    if tail:
        runs.append((length - tail, 1, tail))
    return runs


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def rope_table(steps: int, rows: int, columns: int, head_dim: int, device: str) -> tuple[Tensor, Tensor]:
    """Cosine and sine `[T * rows * columns, head_dim / 2]` in float32 of rotary angles over (t, y, x).

    A quarter of the pairs turn with t; the rest is shared evenly by y and x. Positions count from
    the window's corner, which is as good as absolute ones: scores depend on differences only.
    Source: Su et al., RoFormer (arXiv 2104.09864), one axis per group of pairs.
    """
    pairs = head_dim // 2
    pairs_t = pairs // 4
    pairs_y = (pairs - pairs_t) // 2
    pairs_x = pairs - pairs_t - pairs_y
    angles = []
    for axis, (size, count) in enumerate(((steps, pairs_t), (rows, pairs_y), (columns, pairs_x))):
        frequency = ROPE_BASE ** (-torch.arange(count, dtype=torch.float64, device=device) / count)
        angle = torch.arange(size, dtype=torch.float64, device=device)[:, None] * frequency
        shape = [1, 1, 1, count]
        shape[axis] = size
        angles.append(angle.view(shape).expand(steps, rows, columns, count))
    table = torch.cat(angles, dim=-1).reshape(-1, pairs)
    return table.cos().float(), table.sin().float()


def _rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotate pairs (i, i + D/2) of the last axis of `[..., N, D]`."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1)


def _normalize(x: Tensor, weight: Tensor) -> Tensor:
    """RMS norm over the last axis times `weight`, in float32 or better."""
    wide = x if x.dtype == torch.float64 else x.float()
    scale = torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + _EPSILON)
    return wide * scale * weight


class _Attend(torch.autograd.Function):
    """softmax(q k^T / sqrt(D)) v for `[B, heads, N, D]`.

    Forward is torch's fused attention; backward recomputes the scores with plain matrix products,
    because on CPUs torch's own fused backward is about twice as slow as that.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        ctx.save_for_backward(query, key, value)
        return F.scaled_dot_product_attention(query, key, value)

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


def _windows(x: Tensor, ys: tuple[int, int, int], xs: tuple[int, int, int]) -> Tensor:
    """Windows `[B * windows, heads, N, D]` of a slice of `[B, T, H, W, heads, D]`."""
    batch, steps, _, _, heads, head_dim = x.shape
    part = x[:, :, ys[0] : ys[0] + ys[1] * ys[2], xs[0] : xs[0] + xs[1] * xs[2]]
    part = part.reshape(batch, steps, ys[1], ys[2], xs[1], xs[2], heads, head_dim)
    part = part.permute(0, 2, 4, 6, 1, 3, 5, 7)
    return part.reshape(batch * ys[1] * xs[1], heads, steps * ys[2] * xs[2], head_dim)


def window_attention(
    qkv: Tensor, query_norm: Tensor, key_norm: Tensor, *, window: int = 8, shift: int = 0
) -> Tensor:
    """Attention inside windows of `(T, window, window)` positions, with QK-norm and RoPE.

    qkv: `[B, T, H, W, 3, heads, head_dim]`, straight from the fused projection; float dtypes.
    query_norm, key_norm: `[head_dim]` weights of the RMS norm of queries and keys.
    window: side of a window in positions. shift: 0..window-1, size of the first window of each
    spatial axis (0: aligned windows).
    Returns `[B, T, H, W, heads, head_dim]` in the dtype of `qkv`.
    Raises ValueError on a shape, head size, window or shift that it cannot take.
    """
    if qkv.dim() != 7 or qkv.shape[4] != 3:
        raise ValueError(f"qkv has shape {tuple(qkv.shape)}, expected [B, T, H, W, 3, heads, head_dim]")
    _, steps, height, width, _, _, head_dim = qkv.shape
    if head_dim % 8:
        raise ValueError(f"head size {head_dim} is not a multiple of 8")
    if window < 1 or not 0 <= shift < window:
        raise ValueError(f"shift {shift} is not in 0..window-1 for window {window}")
    query, key, value = qkv.unbind(dim=4)
    bands: list[Tensor] = []
    for ys in window_runs(height, window, shift):
        parts: list[Tensor] = []
        for xs in window_runs(width, window, shift):
            cosine, sine = rope_table(steps, ys[2], xs[2], head_dim, str(qkv.device))
            q = _rotate(_normalize(_windows(query, ys, xs), query_norm), cosine, sine).to(qkv.dtype)
            k = _rotate(_normalize(_windows(key, ys, xs), key_norm), cosine, sine).to(qkv.dtype)
            out: Tensor = _Attend.apply(q, k, _windows(value, ys, xs))  # type: ignore[no-untyped-call]
            out = out.reshape(-1, ys[1], xs[1], out.shape[1], steps, ys[2], xs[2], head_dim)
            out = out.permute(0, 4, 1, 5, 2, 6, 3, 7)
            parts.append(out.reshape(-1, steps, ys[1] * ys[2], xs[1] * xs[2], *out.shape[-2:]))
        bands.append(torch.cat(parts, dim=3) if len(parts) > 1 else parts[0])
    return torch.cat(bands, dim=2) if len(bands) > 1 else bands[0]
