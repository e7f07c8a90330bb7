"""The linear path beside the network: a block transform with embedded scalar quantization.

A block of 2x2x2 positions is 8 frames of 16x16 pixels. Its leading KLT coefficients are quantized
in successive refinement over 8 slots of C channels: the slot of rank r is carried by the block's
r-th kept token, so any number of kept tokens yields the best picture that many slots can give.
The network adds corrections to the channels before rounding and to the pixels after synthesis.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from infotok_cli.config import ModelConfig
from infotok_cli.model.grid import CELLS, to_blocks

REPORTED = [0, 1, 3, 7]
"""Slots, counted from 0, after which `slots` reports the remaining error: 1, 2, 4, 8 tokens."""


class BlockTransform(nn.Module):
    """Analysis to slots and synthesis from slots; fitted by `infotok_cli.train.transform_fit`.

    Buffers: `analysis` `[K, 6144]` orthonormal rows, `mean` `[6144]`, `source` `[S]` the coefficient
    each of the S = 8 * C slot channels refines, `scale` `[S]` the value of a code of 1.
    """

    analysis: Tensor
    mean: Tensor
    source: Tensor
    scale: Tensor

    def __init__(self, config: ModelConfig, coefficients: int, patch_size: int = 768) -> None:
        super().__init__()
        channels = len(config.levels) * CELLS
        self.levels: Sequence[int] = config.levels * CELLS
        self.register_buffer("analysis", torch.zeros(coefficients, CELLS * patch_size))
        self.register_buffer("mean", torch.zeros(CELLS * patch_size))
        self.register_buffer("source", torch.zeros(channels, dtype=torch.int64))
        self.register_buffer("scale", torch.ones(channels))
        self.synthesis = nn.Parameter(torch.zeros(channels, CELLS * patch_size))

    def slots(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Channel values before rounding, and what they leave over.

        patches: `[B, t, h, w, 768]`. Returns values `[B, bt, bh, bw, S]`, codes lie in [-1, 1], and
        the log RMS error `[B, bt, bh, bw, 4]` of the linear path alone at 1, 2, 4 and 8 tokens.
        Runs in float32 whatever autocast says: a refined channel amplifies rounding.
        """
        with torch.autocast(patches.device.type, enabled=False):
            cells = to_blocks(patches.float(), repeat_edges=True).flatten(4) - self.mean
            coefficients = cells @ self.analysis.T
            outside = cells.square().sum(dim=-1) - coefficients.square().sum(dim=-1)
            values, left = refine(coefficients, self.source, self.scale, self.levels)
        energy = left[..., REPORTED] + outside[..., None].clamp_min(0)
        return values, 0.5 * (energy / cells.shape[-1] + 1e-6).log()

    def is_last(self, counts: Tensor) -> Tensor:
        """Whether no later kept slot refines a channel's coefficient: float 0 or 1 `[..., 8, C]`.

        counts: kept tokens of each block, `[...]` int64.
        """
        same = self.source[:, None] == self.source[None, :]
        order = torch.arange(len(self.source), device=same.device)
        later = torch.where(same & (order[None, :] > order[:, None]), order[None, :], len(order))
        next_slot = later.min(dim=1).values // (len(order) // CELLS)
        return (next_slot >= counts[..., None]).float().reshape(*counts.shape, CELLS, -1)

    def synthesize(self, slot_codes: Tensor) -> Tensor:
        """Patches `[B, bt, bh, bw, 8, 768]` float32 of slot codes `[B, bt, bh, bw, S]`, else 0."""
        with torch.autocast(slot_codes.device.type, enabled=False):
            flat = slot_codes.float() @ self.synthesis + self.mean
        return flat.reshape(*flat.shape[:-1], CELLS, -1)


def refine(
    coefficients: Tensor, source: Tensor, scale: Tensor, levels: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Successive refinement of coefficients `[..., K]` over slot channels.

    source, scale, levels: `[S]`; a channel sees what earlier channels of its coefficient left over
    after rounding. Returns values `[..., S]`, whose rounded codes times `scale` sum to the
    coefficients, and the energy `[..., 8]` that remains after each eighth of the channels.
    """
    remaining = list(coefficients.unbind(dim=-1))
    values, left = [], []
    for channel, (index, size) in enumerate(zip(source.tolist(), scale.tolist(), strict=True)):
        value = remaining[index] / size
        half = (levels[channel] - 1) / 2
        code = ((value.clamp(-1, 1) + 1) * half).round() / half - 1
        remaining[index] = remaining[index] - code * size
        values.append(value)
        if (channel + 1) * CELLS % len(levels) == 0:
            left.append(torch.stack(remaining, dim=-1).square().sum(dim=-1))
    return torch.stack(values, dim=-1), torch.stack(left, dim=-1)
