"""One training step as a function of model, batch and random numbers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from infotok_cli.model.tokenizer import Tokenizer
from infotok_cli.train.masking import draw_keep
from infotok_kernels import error_map

MSE_FLOOR = 2e-4
"""Added to a sample's squared error before the log, [-1, 1] scale; 43 dB, where more is not visible."""

HEAD_WEIGHT = 0.05


@dataclass(frozen=True)
class StepLosses:
    """Scalars of one step; `total` carries the gradient."""

    total: Tensor
    mse_full: Tensor
    mse_masked: Tensor
    head: Tensor


def training_losses(model: Tokenizer, video: Tensor, generator: torch.Generator) -> StepLosses:
    """Losses of one batch `[B, T, H, W, 3]` in [-1, 1]: the first half at rate 1, the rest masked.

    The reconstruction loss is the mean log of each sample's squared error, which is PSNR up to
    scale. The head learns the log error of the samples at rate 1.
    """
    analysis = model.analyze(video)
    full = (len(video) + 1) // 2
    keep = torch.ones(analysis.log_error.shape, dtype=torch.bool, device=video.device)
    if full < len(video):
        keep[full:] = draw_keep(analysis.log_error[full:].detach(), generator)
    codes, _ = model.compress(analysis, keep)
    reconstruction = model.reconstruct(codes, keep)
    mse = (reconstruction - video).square().mean(dim=(1, 2, 3, 4))
    with torch.no_grad():
        target = (error_map(video[:full], reconstruction[:full]) + 1e-3).log()
    head = (analysis.log_error[:full] - target).abs().mean()
    total = (mse + MSE_FLOOR).log().mean() + HEAD_WEIGHT * head
    return StepLosses(
        total=total,
        mse_full=mse[:full].mean().detach(),
        mse_masked=mse[full:].mean().detach(),
        head=head.detach(),
    )
