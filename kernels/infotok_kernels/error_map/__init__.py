"""The error map: the public function, its checks, and the choice of backend."""

from __future__ import annotations

import torch
from torch import Tensor

from infotok_kernels.backend import TRITON_DTYPES, Backend, resolve_backend
from infotok_kernels.error_map.reference import error_map_reference


def error_map(
    video: Tensor,
    reconstruction: Tensor,
    patch: tuple[int, int, int] = (4, 8, 8),
    *,
    backend: Backend | None = None,
) -> Tensor:
    """Mean |video - reconstruction| over RGB and each `patch` of pixels.

    video, reconstruction: `[B, T, H, W, 3]`, same range; any T, H, W >= 1, real pixels only: cut
    padding off first (views are read in place). Returns float32 `[B, ceil(T/4), ceil(H/8), ceil(W/8)]`
    in that range (float64 of float64); a patch cut by an edge is the mean of what it has.
    Both backends agree to float32 rounding; a gradient is the reference's alone, so where one is wanted
    the reference runs.
    Raises ValueError when the shapes or devices differ, or the backend cannot take the dtype.
    """
    if video.shape != reconstruction.shape or video.dim() != 5 or video.shape[-1] != 3:
        raise ValueError(
            f"video {tuple(video.shape)} and reconstruction {tuple(reconstruction.shape)} differ "
            "or are not [B, T, H, W, 3]"
        )
    if video.device != reconstruction.device:
        raise ValueError(f"video is on {video.device} and reconstruction on {reconstruction.device}")
    if min(patch) < 1:
        raise ValueError(f"patch {patch} has an empty side")
    gradient = torch.is_grad_enabled() and (video.requires_grad or reconstruction.requires_grad)
    if resolve_backend(backend, video.device) == "reference" or (backend is None and gradient):
        return error_map_reference(video, reconstruction, patch)
    if gradient:
        raise ValueError("the triton backend has no gradient of the error map; call it under torch.no_grad()")
    for tensor in (video, reconstruction):
        if tensor.dtype not in TRITON_DTYPES:
            raise ValueError(f"{tensor.dtype}: the triton backend takes float32, bfloat16 and float16")
    from infotok_kernels.error_map.fused import error_map_fused

    return error_map_fused(video, reconstruction, patch)
