"""Muon in whatever precision the device multiplies fast; torch's own takes bfloat16 everywhere.

Processors without bfloat16 in hardware emulate it at a fifth of the speed of float32, which made the
optimizer take longer than the gradient (docs/LOG.md). Matrices of one shape are orthogonalized together.
Source: Jordan et al., Muon (kellerjordan.github.io/posts/muon); the scale of a step is that of Liu et al.,
Muon is Scalable for LLM Training (arXiv 2502.16982), which matches AdamW's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic that pulls singular values towards 1."""

ITERATIONS = 5
MOMENTUM = 0.95


class Muon(torch.optim.Optimizer):
    """Momentum whose steps are orthogonalized; for matrices `[rows, columns]` only."""

    def __init__(
        self, matrices: Iterable[Tensor], lr: float, weight_decay: float, dtype: torch.dtype = torch.bfloat16
    ) -> None:
        """dtype: of the orthogonalization's matrix products, float32 or bfloat16."""
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay})
        self._dtype = dtype

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            alike: defaultdict[torch.Size, list[Tensor]] = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    alike[matrix.shape].append(matrix)
            for shape, matrices in alike.items():
                steps = orthogonalized(torch.stack([self._direction(m) for m in matrices]).to(self._dtype))
                rate = group["lr"] * 0.2 * max(shape) ** 0.5
                for matrix, step in zip(matrices, steps, strict=True):
                    matrix.mul_(1 - group["lr"] * group["weight_decay"]).add_(step, alpha=-rate)

    def _direction(self, matrix: Tensor) -> Tensor:
        """Nesterov's momentum."""
        assert matrix.grad is not None
        state = self.state[matrix]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        momentum: Tensor = state["momentum_buffer"].lerp_(matrix.grad, 1 - MOMENTUM)
        return matrix.grad.lerp(momentum, MOMENTUM)


def orthogonalized(matrices: Tensor) -> Tensor:
    """About U V^T for each U S V^T of `matrices` `[N, rows, columns]`, by Newton-Schulz iteration.

    In float32 by way of the Gram matrices, which takes fewer products; in half precision that would be too
    coarse.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    wide = matrices.mT if tall else matrices
    wide = wide / wide.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)
    wide = _iterated_by_gram(wide) if wide.dtype == torch.float32 else _iterated(wide)
    return wide.mT if tall else wide


def _iterated(x: Tensor) -> Tensor:
    """X becomes (a + b G + c G^2) X with G = X X^T, `ITERATIONS` times."""
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def _iterated_by_gram(x: Tensor) -> Tensor:
    """The same numbers from small matrices alone.

    P = a + b G + c G^2 is symmetric and commutes with G, so an iteration turns G into P G P; X is multiplied
    by the product of all P at the end.
    """
    a, b, c = COEFFICIENTS
    gram = x @ x.mT
    factor: Tensor | None = None
    for iteration in range(ITERATIONS):
        power = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        power.diagonal(dim1=1, dim2=2).add_(a)
        factor = power if factor is None else power @ factor
        if iteration < ITERATIONS - 1:
            gram = power @ gram @ power
    assert factor is not None
    return factor @ x
