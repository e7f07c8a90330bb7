"""Losses of one batch as a function of model, batch and random numbers, and gradients of several."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from infotok_cli.config import PATCH
from infotok_cli.model.engine import Runtime
from infotok_cli.model.grid import with_lead
from infotok_cli.model.motion import estimate_motion
from infotok_cli.model.pixels import to_signal
from infotok_cli.model.refine import MSE_FLOOR
from infotok_cli.model.tokenizer import Tokenizer
from infotok_cli.train.masking import draw_keep, draw_tails
from infotok_kernels import error_map

HEAD_WEIGHT = 0.05

FULL_SHARE = 0.25
"""Share of a batch that keeps every token; the rest is masked, at rates up to 1."""

FIRST_WEIGHT = 2.0
"""Of a clip's lead, in its squared error; 1 for the other steps, which all build on it. Without it the first
step is learned last and lies 1.9 dB below them (docs/LOG.md)."""

ERROR_FLOOR = 1e-3
"""Added to errors before their log, which the head learns; an eighth of a level of 0..255."""


@dataclass(frozen=True)
class StepLosses:
    """Scalars of one step; `total` carries the gradient."""

    total: Tensor
    mse_full: Tensor
    mse_masked: Tensor
    head: Tensor


def training_losses(model: Tokenizer, video: Tensor, generator: torch.Generator) -> StepLosses:
    """Losses of one batch `[B, T, H, W, 3]` in [-1, 1]: the first quarter at rate 1, the rest masked.

    The reconstruction loss is the mean log of each sample's squared error, which is PSNR up to
    scale; their leads count as what is shown. The head learns the log error of the samples at rate 1.
    """
    video = with_lead(video)
    with torch.no_grad():
        motion = estimate_motion(video)
    log_error = model.predict(video, motion)
    full = max(1, round(FULL_SHARE * len(video)))
    keep = torch.ones(log_error.shape, dtype=torch.bool, device=video.device)
    if full < len(video):
        draw = draw_tails if model.config.masking == "elastic" else draw_keep
        keep[full:] = draw(log_error[full:].detach(), generator)
    _, shown = model.encode(video, keep, motion)
    frames = (shown - video).square().mean(dim=(2, 3, 4))
    mse = frames.view(len(video), -1, PATCH[0]).mean(dim=2)
    weights = torch.ones(mse.shape[1], device=mse.device)
    weights[0] = FIRST_WEIGHT
    mse = (mse * weights).sum(dim=1) / weights.sum()
    with torch.no_grad():
        target = (error_map(video[:full], shown[:full]) + ERROR_FLOOR).log()
    head = (log_error[:full] - target).abs().mean()
    total = (mse + MSE_FLOOR).log().mean() + HEAD_WEIGHT * head
    return StepLosses(
        total=total,
        mse_full=mse[:full].mean().detach(),
        mse_masked=mse[full:].mean().detach(),
        head=head.detach(),
    )


class TrainingModule(nn.Module):
    """The losses as a module's forward pass, the form in which gradients can be averaged over processes."""

    def __init__(self, model: Tokenizer, generator: torch.Generator) -> None:
        super().__init__()
        self.model = model
        self.generator = generator

    def forward(self, video: Tensor) -> StepLosses:
        return training_losses(self.model, video, self.generator)


def accumulate_gradients(
    module: nn.Module, next_batch: Callable[[], Tensor], count: int, runtime: Runtime
) -> StepLosses:
    """Add the mean gradient over `count` batches to the parameters; returns the mean losses, detached.

    module: a TrainingModule, or one that averages gradients over processes, which happens once, with
    the last batch. next_batch: gives uint8 `[B, T, H, W, 3]` on any device. For batches of equal
    size, a multiple of 4, the result is that of one batch with all their clips.
    """
    sums = torch.zeros(4, device=runtime.device)
    for number in range(count):
        video = to_signal(next_batch().to(runtime.device, non_blocking=True))
        exchange: AbstractContextManager[object] = nullcontext()
        if isinstance(module, DistributedDataParallel) and number < count - 1:
            exchange = module.no_sync()
        with exchange:
            with runtime.autocast():
                losses: StepLosses = module(video)
            (losses.total / count).backward()  # type: ignore[no-untyped-call]
        parts = (losses.total.detach(), losses.mse_full, losses.mse_masked, losses.head)
        sums += torch.stack([part.float() for part in parts]) / count
    total, full, masked, head = sums.unbind()
    return StepLosses(total=total, mse_full=full, mse_masked=masked, head=head)
