"""Optimizers, learning-rate schedule, and which steps to leave out."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from infotok_cli.model.tokenizer import Tokenizer
from infotok_cli.train.muon import Muon

ADAM_SHARE = 0.3
"""Learning rate of everything outside the blocks, relative to that of the blocks' matrices."""

WARM_UP_STEPS, WARM_UP_SHARE = 100, 0.05

SPIKE = 20.0
"""A gradient norm this many times its running mean is left out."""


def make_optimizers(model: Tokenizer, learning_rate: float, *, half: bool) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside transformer blocks, AdamW for everything else.

    half: whether the device multiplies bfloat16 in hardware.
    """
    stacks = ("head.stack.", "compressor.", "decoder.")
    matrices: list[Tensor] = []
    rest: list[Tensor] = []
    for name, parameter in model.named_parameters():
        (matrices if name.startswith(stacks) and parameter.dim() == 2 else rest).append(parameter)
    muon = Muon(matrices, learning_rate, 0.02, torch.bfloat16 if half else torch.float32)
    adam = torch.optim.AdamW(rest, lr=learning_rate * ADAM_SHARE, betas=(0.9, 0.98), weight_decay=0.0)
    optimizers: list[torch.optim.Optimizer] = [muon, adam]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["base_lr"] = group["lr"]
    return optimizers


def learning_rate_factor(share_done: float, step: int, final_share: float) -> float:
    """Warm-up, constant, then a linear fall to zero over the last `final_share`.

    Warm-up takes 100 steps, or a twentieth of the run where that is sooner.
    """
    fall = min(1.0, (1 - share_done) / final_share) if final_share > 0 else 1.0
    warm = max((step + 1) / WARM_UP_STEPS, share_done / WARM_UP_SHARE)
    return min(1.0, warm) * max(0.0, fall)


class SpikeGuard:
    """Detects steps whose gradient is not finite or far above the usual."""

    def __init__(self) -> None:
        self._usual = math.nan

    def allows(self, norm: float) -> bool:
        """Whether a step with this gradient norm should be taken; also learns from it."""
        if not math.isfinite(norm):
            return False
        usual = norm if math.isnan(self._usual) else self._usual
        # A spike counts, up to the limit, so that a lasting change of scale is followed.
        self._usual = 0.99 * usual + 0.01 * min(norm, SPIKE * usual)
        return norm <= SPIKE * usual
