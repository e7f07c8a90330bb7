"""Better tokens by trial: a step's codes moved along the decoder's gradient until its picture is closer.

The compressor guesses codes in one pass. The decoder that will show them is known, so its error can be
followed back to the codes themselves: descent on continuous codes, of which the nearest levels are what is
decoded (straight-through). The best codes met, the compressor's own among them, are the result.
Source of the idea: content-adaptive optimization of latents, Campos et al. (arXiv 1906.01223).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from infotok_kernels import nearest_codes
from infotok_kernels.constants import constant

STRIDE = 0.2
"""First move of a typical code, in steps between levels; falls linearly to 0."""

MOMENTUM = 0.6
MEMORY = 0.5
"""Share of the gradients' mean square that a move keeps."""

MSE_FLOOR = 2e-4
"""Added to a squared error before its log, [-1, 1] scale: 43 dB, where more is not visible."""


def refine_codes(
    show: Callable[[Tensor], Tensor],
    source: Tensor,
    codes: Tensor,
    keep: Tensor,
    *,
    levels: Sequence[int],
    moves: int,
) -> Tensor:
    """Codes on the quantizer's levels whose picture is, up to rounding, no worse than that of `codes`.

    show: gives the picture `[B, T, H, W, 3]` of codes, without padding. source: what it should show. codes:
    `[B, h, w, C]` on the levels. keep: bool `[B, h, w]`; codes elsewhere do not count. moves: each takes a
    forward and a backward pass of `show`, and all together one forward pass more. Good means the mean over
    frames of log squared error, which is PSNR up to scale.
    """
    sizes = constant(tuple(levels), torch.float32, codes.device) - 1
    place = codes.float()
    best, least = place, torch.full((len(codes),), float("inf"), device=codes.device)
    momentum, square = torch.zeros_like(place), torch.zeros((), device=codes.device)
    for move in range(moves + 1):
        nearest = nearest_codes(place, levels)
        losses, gradient = _errors(show, source, nearest, with_gradient=move < moves)
        better = losses < least
        best = torch.where(better[:, None, None, None], nearest, best)
        least = torch.where(better, losses, least)
        if move == moves:
            break
        momentum = MOMENTUM * momentum + (1 - MOMENTUM) * gradient
        # A position's own scale, but not that of one with hardly any gradient.
        kept = keep.sum(dim=(1, 2)).clamp_min(1) * codes.shape[-1]
        typical = gradient.square().sum(dim=(1, 2, 3)) / kept
        own = gradient.square().mean(dim=-1, keepdim=True) + typical[:, None, None, None]
        square = own if move == 0 else MEMORY * square + (1 - MEMORY) * own
        direction = momentum / (1 - MOMENTUM ** (move + 1)) / (square.sqrt() + 1e-20)
        place = (place - STRIDE * (1 - move / (moves + 1)) * 2 / sizes * direction).clamp(-1, 1)
    return best


@torch.enable_grad()
def _errors(
    show: Callable[[Tensor], Tensor], source: Tensor, codes: Tensor, *, with_gradient: bool
) -> tuple[Tensor, Tensor]:
    """Loss of each sample `[B]`, and its gradient to the codes."""
    # Without gradients the network would round in other places, and errors could not be compared.
    codes = codes.detach().requires_grad_()
    squared = (show(codes) - source).square().mean(dim=(2, 3, 4))
    losses = (squared + MSE_FLOOR).log().mean(dim=1)
    gradient = torch.autograd.grad(losses.sum(), codes)[0] if with_gradient else torch.zeros_like(codes)
    return losses.detach(), gradient
