"""Window attention: the public function, its checks, and the choice of backend."""

from __future__ import annotations

from torch import Tensor

from infotok_kernels.backend import TRITON_DTYPES, Backend, resolve_backend
from infotok_kernels.window_attention.reference import window_attention_reference

TRITON_HEAD_SIZES = (32, 64)


def window_attention(
    qkv: Tensor,
    query_norm: Tensor,
    key_norm: Tensor,
    *,
    window: int = 8,
    shift: int = 0,
    row_shift: int | None = None,
    backend: Backend | None = None,
) -> Tensor:
    """Attention inside windows of `(T, window, window)` positions, with QK-norm and RoPE.

    qkv: `[B, T, H, W, 3, heads, head_dim]`, straight from the fused projection; float dtypes.
    query_norm, key_norm: `[head_dim]` weights of the RMS norm of queries and keys.
    window: side of a window in positions. shift: 0..window-1, size of the first window of each
    spatial axis (0: aligned windows). row_shift: that of rows, if it is another than that of columns; only
    the reference takes it.
    backend: None takes the selected one. Triton takes float32 (multiplied as such), bfloat16 and
    float16, head sizes 32 and 64; the reference any float dtype and multiples of 8.

    Returns `[B, T, H, W, heads, head_dim]` in the dtype of `qkv`; differentiable in the first three.
    Raises ValueError naming the shape, dtype, device, head size, window or shift it cannot take.
    """
    for one in (shift, shift if row_shift is None else row_shift):
        _check(qkv, query_norm, key_norm, window, one)
    if resolve_backend(backend, qkv.device) == "reference":
        return window_attention_reference(
            qkv, query_norm, key_norm, window=window, shift=shift, row_shift=row_shift
        )
    if row_shift not in (None, shift):
        raise ValueError(f"row_shift {row_shift} with shift {shift}: the triton backend takes one shift")
    if qkv.dtype not in TRITON_DTYPES:
        raise ValueError(f"qkv is {qkv.dtype}; the triton backend takes float32, bfloat16 and float16")
    if qkv.shape[-1] not in TRITON_HEAD_SIZES:
        raise ValueError(f"head size {qkv.shape[-1]}: the triton backend takes 32 and 64")
    from infotok_kernels.window_attention.fused import window_attention_fused

    return window_attention_fused(qkv, query_norm, key_norm, window, shift)


def _check(qkv: Tensor, query_norm: Tensor, key_norm: Tensor, window: int, shift: int) -> None:
    if qkv.dim() != 7 or qkv.shape[4] != 3:
        raise ValueError(f"qkv has shape {tuple(qkv.shape)}, expected [B, T, H, W, 3, heads, head_dim]")
    head_dim = qkv.shape[-1]
    if head_dim % 8:
        raise ValueError(f"head size {head_dim} is not a multiple of 8")
    if not qkv.dtype.is_floating_point:
        raise ValueError(f"qkv is {qkv.dtype}, expected a float dtype")
    if window < 1 or not 0 <= shift < window:
        raise ValueError(f"shift {shift} is not in 0..window-1 for window {window}")
    for name, norm in (("query_norm", query_norm), ("key_norm", key_norm)):
        if norm.shape != (head_dim,) or norm.device != qkv.device:
            raise ValueError(
                f"{name} has shape {tuple(norm.shape)} on {norm.device}, "
                f"expected ({head_dim},) on {qkv.device}"
            )
