"""Better tokens by trial: codes moved along the decoder's gradient until its picture is closer to the video.

The encoder guesses codes in one pass. The decoder that will show them is known, so its error can be
followed back to the codes themselves: descent on continuous codes, of which the nearest levels are what is
decoded (straight-through). The best codes met, the encoder's own among them, are the result.
Source of the idea: content-adaptive optimization of latents, Campos et al. (arXiv 1906.01223).
"""

from __future__ import annotations

import torch
from torch import Tensor

from infotok_cli.model.tokenizer import Tokenizer
from infotok_kernels import nearest_codes

STRIDE = 0.2
"""First move of a typical code, in steps between levels; falls linearly to 0."""

MOMENTUM = 0.6
MEMORY = 0.5
"""Share of the gradients' mean square that a step keeps."""

KEPT_POSITIONS = 1 << 14
"""Larger token grids do not keep what the gradient needs (some 85 KB a position), but compute it twice."""

FRAME_FLOOR = 2e-4
"""Added to a frame's squared error before the log, [-1, 1] scale, as in training."""


def refine_codes(model: Tokenizer, video: Tensor, codes: Tensor, keep: Tensor, steps: int) -> Tensor:
    """Codes on the quantizer's levels whose reconstruction is, up to rounding, no worse than that of `codes`.

    video: `[1, T, H, W, 3]` in [-1, 1]. codes: `[1, t, h, w, C]` on the levels, 0 where nothing is kept.
    keep: bool `[1, t, h, w]`. steps: moves; costs one more forward and backward pass of the decoder than
    that. Good means the mean over frames of log squared error, which is PSNR up to scale.
    """
    sizes = torch.tensor(model.config.levels, dtype=torch.float32, device=codes.device) - 1
    kept = keep[..., None]
    place = codes.float()
    best, least = place, float("inf")
    momentum, square = torch.zeros_like(place), torch.zeros(())
    for step in range(steps + 1):
        nearest = nearest_codes(place, model.config.levels) * kept
        loss, gradient = _error(model, video, nearest, keep, with_gradient=step < steps)
        if loss < least:
            best, least = nearest, loss
        momentum = MOMENTUM * momentum + (1 - MOMENTUM) * gradient
        # A position's own scale, but not that of one with hardly any gradient.
        own = gradient.square().mean(dim=-1, keepdim=True) + gradient[keep].square().mean()
        square = own if step == 0 else MEMORY * square + (1 - MEMORY) * own
        direction = momentum / (1 - MOMENTUM ** (step + 1)) / (square.sqrt() + 1e-20)
        place = (place - STRIDE * (1 - step / (steps + 1)) * 2 / sizes * direction).clamp(-1, 1)
    return best


@torch.enable_grad()
def _error(
    model: Tokenizer, video: Tensor, codes: Tensor, keep: Tensor, *, with_gradient: bool
) -> tuple[float, Tensor]:
    frames, height, width = video.shape[1:4]
    # Without gradients the network would round in other places, and errors could not be compared.
    codes = codes.detach().requires_grad_()
    shown = model.reconstruct(codes, keep, recompute=keep.numel() > KEPT_POSITIONS)
    squared = (shown[:, :frames, :height, :width] - video).square().mean(dim=(2, 3, 4))
    loss = (squared + FRAME_FLOOR).log().mean()
    gradient = torch.autograd.grad(loss, codes)[0] if with_gradient else torch.zeros_like(codes)
    return float(loss.detach()), gradient
