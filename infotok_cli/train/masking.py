"""Keep maps for training, by what a model is trained to miss (`ModelConfig.masking`).

error: rates are drawn, and noisy error maps are allocated by the codec's own rule. elastic: tails of the
token sequence are cut off at lengths drawn evenly, without a look at the content (as in ElasticTok, Yan
et al., arXiv 2410.08368): the baseline that error-driven masks are compared with.
"""

from __future__ import annotations

import torch
from torch import Tensor

from infotok_cli.allocation.allocate import allocate, tokens_at_rate
from infotok_cli.blocks import shortest_prefix
from infotok_cli.config import MIN_RATE
from infotok_cli.routers import AllocationName, MaskingName

POSITION_SHARE = 0.2
"""Share of masked samples that drop single positions instead of choosing block levels."""


def draw_keep(log_error: Tensor, generator: torch.Generator) -> Tensor:
    """Keep maps, bool `[B, t, h, w]`, at rates drawn from [`MIN_RATE`, 1] by noisy predicted error.

    log_error: `[B, t, h, w]`. The noise is small for most samples and large for some, so that the model
    meets good, poor and random allocations.
    """
    maps = []
    for errors in log_error.float().cpu():
        rate = MIN_RATE * (1 / MIN_RATE) ** float(torch.rand((), generator=generator) ** 0.7)
        noise = 0.15 if torch.rand((), generator=generator) < 0.8 else 2.0
        noisy = errors + noise * torch.randn(errors.shape, generator=generator)
        by_position = bool(torch.rand((), generator=generator) < POSITION_SHARE)
        maps.append(_allocated(noisy, "position" if by_position else "block", rate))
    return torch.stack(maps).to(log_error.device)


def draw_tails(log_error: Tensor, generator: torch.Generator) -> Tensor:
    """Keep maps, bool `[B, t, h, w]`: prefixes in grid order, every length from 1/16 to all as likely.

    log_error: `[B, t, h, w]`; only its shape counts.
    """
    positions = log_error[0].numel()
    lengths = torch.randint(shortest_prefix(positions), positions + 1, (len(log_error),), generator=generator)
    return _prefixes(lengths.to(log_error.device), log_error)


def keep_at_rate(log_error: Tensor, rate: float, masking: MaskingName) -> Tensor:
    """Keep maps, bool `[B, t, h, w]`, of `rate` in every sample, as a model of that masking wants them."""
    if masking == "elastic":
        tokens = tokens_at_rate(rate, log_error[0].numel())
        return _prefixes(torch.full((len(log_error),), tokens, device=log_error.device), log_error)
    maps = [_allocated(errors, "block", rate) for errors in log_error.float().cpu()]
    return torch.stack(maps).to(log_error.device)


def _prefixes(lengths: Tensor, like: Tensor) -> Tensor:
    order = torch.arange(like[0].numel(), device=like.device)
    return (order < lengths[:, None]).view(like.shape)


def _allocated(log_error: Tensor, kind: AllocationName, rate: float) -> Tensor:
    """Keep map `[t, h, w]` that an encode makes of one segment with this log error, float32 on the CPU."""
    (allocation,) = allocate([log_error.exp().numpy()], kind, rate)
    return torch.from_numpy(allocation.keep)
