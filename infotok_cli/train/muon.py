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

    An iteration multiplies X by a polynomial P of its Gram matrix G = X X^T, which makes that P G P: in
    float32 only the small G is iterated, and X multiplied by all the Ps at the end.
    """
    wide = matrices.mT if matrices.shape[1] > matrices.shape[2] else matrices
    wide = wide / wide.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)
    a, b, c = COEFFICIENTS
    factor = torch.eye(wide.shape[1], dtype=wide.dtype, device=wide.device).expand(len(wide), -1, -1)
    gram = wide @ wide.mT
    for iteration in range(ITERATIONS):
        power = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        power.diagonal(dim1=1, dim2=2).add_(a)
        factor = power @ factor
        if iteration < ITERATIONS - 1:
            gram = power @ gram @ power
    wide = factor @ wide
    return wide.mT if matrices.shape[1] > matrices.shape[2] else wide
