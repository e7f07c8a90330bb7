"""Fit the linear path: KLT of video blocks, and which slot channel refines which coefficient."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from infotok_cli.model.grid import CELLS, patchify, to_blocks
from infotok_cli.model.tokenizer import Tokenizer

SUBSPACE = 160
"""Coefficients kept by subspace iteration; far more than the slots can use."""


def block_vectors(blocks: Tensor) -> Tensor:
    """Blocks uint8 `[N, 8, 16, 16, 3]` as model-ordered vectors `[N, 6144]` in [-1, 1]."""
    return to_blocks(patchify(blocks.float() / 127.5 - 1)).reshape(len(blocks), -1)


def principal_axes(vectors: Tensor, count: int, sweeps: int = 30) -> tuple[Tensor, Tensor, Tensor]:
    """Mean `[D]`, leading eigenvectors `[count, D]` of the covariance, and eigenvalues `[count]`."""
    mean = vectors.mean(dim=0)
    size = vectors.shape[1]
    covariance = torch.zeros(size, size)
    for part in torch.split(vectors, 8192):
        centred = part - mean
        covariance += centred.T @ centred
    covariance /= len(vectors)
    basis = torch.linalg.qr(torch.randn(size, count, generator=torch.Generator().manual_seed(0)))[0]
    for _ in range(sweeps):
        basis = torch.linalg.qr(covariance @ basis)[0]
    values, rotation = torch.linalg.eigh(basis.T @ covariance @ basis)
    order = values.argsort(descending=True)
    return mean, (basis @ rotation[:, order]).T.contiguous(), values[order]


def plan_slots(coefficients: Tensor, levels: Sequence[int]) -> tuple[list[int], list[float]]:
    """Assign a coefficient and a scale to each slot channel, greedily.

    Each channel in turn takes the coefficient `[N, K]` column with most energy left and the uniform
    quantizer range with the least squared error for it.
    """
    left = coefficients.clone()
    energy = left.square().mean(dim=0)
    source: list[int] = []
    scale: list[float] = []
    for level in levels:
        index = int(energy.argmax())
        column = left[:, index]
        half = (level - 1) / 2
        best: tuple[float, float, Tensor] | None = None
        for factor in torch.linspace(0.5, 4, 36).tolist():
            size = factor * float(column.std())
            code = (((column / size).clamp(-1, 1) + 1) * half).round() / half - 1
            rest = column - code * size
            error = float(rest.square().mean())
            if best is None or error < best[0]:
                best = (error, size, rest)
        assert best is not None
        source.append(index)
        scale.append(best[1])
        left[:, index] = best[2]
        energy[index] = best[0]
    return source, scale


@torch.no_grad()
def fit_transform(blocks: Tensor, levels: Sequence[int]) -> dict[str, Tensor]:
    """State of a `BlockTransform` for sample blocks uint8 `[N, 8, 16, 16, 3]`, N >= a few thousand."""
    vectors = block_vectors(blocks)
    mean, axes, _ = principal_axes(vectors, SUBSPACE)
    coefficients = (vectors[:16384] - mean) @ axes.T
    source, scale = plan_slots(coefficients, list(levels) * CELLS)
    used = sorted(set(source))
    scales = torch.tensor(scale)
    return {
        "mean": mean,
        "analysis": axes[used].contiguous(),
        "source": torch.tensor([used.index(index) for index in source]),
        "scale": scales,
        "synthesis": axes[source] * scales[:, None],
    }


@torch.no_grad()
def start_from_blocks(model: Tokenizer, blocks: Tensor) -> None:
    """Set the patch embedding to whitened principal axes of the patches in the sample blocks."""
    patches = block_vectors(blocks[:8192]).reshape(-1, model.patch_in.in_features)
    mean, axes, values = principal_axes(patches, model.config.width)
    whitened = axes / (values + 0.01 * values.mean()).sqrt()[:, None]
    model.patch_in.weight.copy_(whitened)
    model.patch_in.bias.copy_(-whitened @ mean)
