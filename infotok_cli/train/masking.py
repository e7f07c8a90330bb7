"""Keep maps for training, by what a model is trained to miss (`ModelConfig.masking`).

error: rates are drawn, and noisy priorities choose blocks or positions. elastic: tails of the token
sequence are cut off at lengths drawn evenly, without a look at the content (as in ElasticTok, Yan et
al., arXiv 2410.08368): the baseline that error-driven masks are compared with.
"""

from __future__ import annotations

import torch
from torch import Tensor

from infotok_cli.blocks import shortest_prefix
from infotok_cli.model.grid import CELLS, from_blocks, to_blocks
from infotok_cli.routers import MaskingName

POSITION_SHARE = 0.2
"""Share of masked samples that drop single positions instead of choosing block levels."""


def draw_keep(log_error: Tensor, generator: torch.Generator, *, lowest: float = 0.125) -> Tensor:
    """Keep maps, bool `[B, t, h, w]`, at rates drawn from [lowest, 1] by noisy predicted error.

    log_error: `[B, t, h, w]`, even sizes. The noise is small for most samples and large for some,
    so that the model meets good, poor and random allocations.
    """
    maps = []
    for errors in log_error.float():
        rate = lowest * (1 / lowest) ** float(torch.rand((), generator=generator) ** 0.7)
        noise = 0.15 if torch.rand((), generator=generator) < 0.8 else 2.0
        noisy = errors + noise * torch.randn(errors.shape, generator=generator).to(errors.device)
        if torch.rand((), generator=generator) < POSITION_SHARE:
            maps.append(_positions(noisy, rate))
        else:
            maps.append(blocks_by_error(noisy, rate))
    return torch.stack(maps)


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
        tokens = round(rate * log_error[0].numel())
        return _prefixes(torch.full((len(log_error),), tokens, device=log_error.device), log_error)
    return torch.stack([blocks_by_error(errors, rate) for errors in log_error])


def _prefixes(lengths: Tensor, like: Tensor) -> Tensor:
    order = torch.arange(like[0].numel(), device=like.device)
    return (order < lengths[:, None]).view(like.shape)


def _positions(priority: Tensor, rate: float) -> Tensor:
    count = max(1, round(rate * priority.numel()))
    keep = torch.zeros(priority.numel(), dtype=torch.bool, device=priority.device)
    keep[priority.flatten().topk(count).indices] = True
    return keep.view(priority.shape)


def blocks_by_error(log_error: Tensor, rate: float) -> Tensor:
    """Keep map `[t, h, w]`: block levels by error per token, greedily, until the rate is spent."""
    cells = to_blocks(log_error[None, ..., None])[0, ..., 0]
    error = cells.exp().mean(dim=-1).flatten().log()
    costs = torch.tensor([1, 2, 4], device=error.device)
    priority = (error[:, None] - costs.log()).flatten()
    order = priority.argsort(descending=True, stable=True)
    spent = costs.repeat(len(error))[order].cumsum(0)
    budget = rate * log_error.numel() - len(error)
    steps = torch.zeros(len(priority), dtype=torch.int64, device=error.device)
    steps[order] = (spent <= budget).long()
    levels = 2 ** steps.view(-1, 3).sum(dim=-1)
    kept = torch.arange(CELLS, device=error.device) < levels[:, None]
    grid = (log_error.shape[0], log_error.shape[1], log_error.shape[2])
    return from_blocks(kept.view(1, *cells.shape, 1), grid)[0, ..., 0]
