"""One table of cases for the tests and the benchmarks of every kernel: shapes, dtypes, tolerances.

Errors are relative, ||out - wanted|| / ||wanted|| over a whole tensor, against the reference in
float64 on the same inputs. Cases marked `small` also run under Triton's interpreter, which is slow;
those marked `timed` are what the benchmarks time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

LEVELS = (8, 8, 8, 5, 5, 5)


@dataclass(frozen=True)
class Tolerance:
    """Largest relative errors."""

    forward: float
    gradient: float


TOLERANCES = {
    torch.float32: Tolerance(2e-6, 1e-5),
    torch.bfloat16: Tolerance(1.5e-2, 2e-2),
    torch.float16: Tolerance(2e-3, 3e-3),
}
"""Of attention: operands of matrix products are rounded to 24, 8 and 11 bits."""

FSQ_TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 4e-3, torch.float16: 5e-4}
"""Of gradients: computed in float32, rounded to the dtype once."""

ERROR_MAP_TOLERANCE = 1e-6


@dataclass(frozen=True, kw_only=True)
class AttentionCase:
    """One call of window_attention."""

    name: str
    grid: tuple[int, int, int, int]
    """B, T, H, W"""
    heads: int = 1
    head_dim: int = 32
    dtype: torch.dtype = torch.float32
    window: int = 8
    shift: int = 0
    small: bool = True
    timed: bool = False


@dataclass(frozen=True, kw_only=True)
class FsqCase:
    """One call of fsq_encode on `rows` vectors."""

    name: str
    rows: int
    width: int
    dtype: torch.dtype = torch.float32
    levels: tuple[int, ...] = LEVELS
    gain: torch.dtype | None = None
    """Dtype of the gain; None passes none."""
    small: bool = True
    timed: bool = False


@dataclass(frozen=True, kw_only=True)
class ErrorMapCase:
    """One call of error_map."""

    name: str
    video: tuple[int, int, int, int]
    """B, T, H, W in pixels"""
    dtype: torch.dtype = torch.float32
    patch: tuple[int, int, int] = (4, 8, 8)
    cut: bool = False
    """Whether the reconstruction is a cut of a larger one, read in place."""
    small: bool = True
    timed: bool = False


_HALF, _BRAIN = torch.float16, torch.bfloat16

ATTENTION = (
    AttentionCase(name="one-position", grid=(1, 1, 1, 1)),
    AttentionCase(name="one-window-two-heads", grid=(1, 2, 8, 8), heads=2, dtype=_BRAIN),
    AttentionCase(name="one-short-of-a-window", grid=(1, 1, 7, 9), dtype=_HALF),
    AttentionCase(name="head-64-ragged", grid=(2, 1, 9, 10), head_dim=64, dtype=_BRAIN),
    AttentionCase(name="shifted-ragged", grid=(1, 3, 13, 5), shift=4),
    AttentionCase(name="shift-1-narrow", grid=(1, 1, 3, 17), shift=1, dtype=_HALF),
    AttentionCase(name="shift-7", grid=(1, 1, 9, 8), shift=7, head_dim=64),
    AttentionCase(name="small-windows-8-steps", grid=(1, 8, 5, 4), window=4, shift=3, dtype=_BRAIN),
    AttentionCase(name="four-steps", grid=(1, 4, 3, 5)),
    AttentionCase(name="five-steps", grid=(1, 5, 5, 3), head_dim=64, dtype=_HALF),
    AttentionCase(name="six-steps", grid=(1, 6, 3, 3), shift=2, dtype=_BRAIN),
    AttentionCase(name="seven-steps", grid=(1, 7, 2, 9)),
    AttentionCase(name="sixteen-steps", grid=(1, 16, 9, 8), heads=2, head_dim=64, dtype=_BRAIN, small=False),
    AttentionCase(name="1080-rows", grid=(1, 1, 135, 240), heads=4, head_dim=64, dtype=_BRAIN, small=False),
    # As our model calls it: one latent step of 8 segments, and all steps of a segment in the router's head.
    AttentionCase(
        name="256p", grid=(8, 1, 32, 57), heads=3, head_dim=64, dtype=_BRAIN, small=False, timed=True
    ),
    AttentionCase(
        name="256p-shifted", grid=(8, 1, 32, 57), heads=3, head_dim=64, dtype=_BRAIN, shift=4,
        small=False, timed=True,
    ),
    AttentionCase(
        name="256p-router", grid=(64, 1, 32, 57), heads=4, head_dim=32, dtype=_BRAIN, small=False, timed=True
    ),
    AttentionCase(
        name="training", grid=(64, 1, 16, 16), heads=3, head_dim=64, dtype=_BRAIN, small=False, timed=True
    ),
)  # fmt: skip

FSQ = (
    FsqCase(name="one-row", rows=1, width=16),
    FsqCase(name="65-rows-odd-width", rows=65, width=97),
    FsqCase(name="brain", rows=130, width=64, dtype=_BRAIN),
    FsqCase(name="half", rows=63, width=64, dtype=_HALF),
    FsqCase(name="one-channel", rows=17, width=32, levels=(16,)),
    FsqCase(name="sixteen-channels", rows=17, width=32, levels=(2,) * 16),
    FsqCase(name="gain-one-row", rows=1, width=16, gain=torch.float32),
    FsqCase(name="gain", rows=65, width=97, gain=torch.float32),
    FsqCase(name="gain-brain", rows=130, width=64, dtype=_BRAIN, gain=torch.float32),
    FsqCase(name="gain-all-half", rows=63, width=64, dtype=_HALF, gain=_HALF),
    FsqCase(name="gain-sixteen-channels", rows=17, width=32, levels=(2,) * 16, gain=torch.float32),
    FsqCase(
        name="256p", rows=8 * 32 * 57, width=192, dtype=_BRAIN, gain=torch.float32, small=False, timed=True
    ),
)

ERROR_MAP = (
    ErrorMapCase(name="one-pixel", video=(1, 1, 1, 1)),
    ErrorMapCase(name="one-patch", video=(1, 4, 8, 8), dtype=_BRAIN),
    ErrorMapCase(name="odd", video=(2, 5, 7, 9)),
    ErrorMapCase(name="odd-half", video=(1, 3, 17, 75), dtype=_HALF),
    ErrorMapCase(name="cut", video=(1, 6, 10, 23), cut=True),
    ErrorMapCase(name="other-patch", video=(1, 4, 9, 13), patch=(2, 3, 5)),
    ErrorMapCase(name="256p", video=(8, 32, 256, 456), small=False, timed=True),
)
