"""Transformer layers over a token grid `[B, t, h, w, D]`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from infotok_cli.config import ModelConfig
from infotok_cli.model.bands import row_bands
from infotok_kernels import window_attention

EPSILON = 1e-6
"""Added to the mean square before its root."""


class RmsNorm(nn.Module):
    """RMS norm over the last axis with a learned weight; in float32 where it is trained.

    Without gradients half precision stays half but for the scale, which halves the time on CPUs.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype == torch.bfloat16 and not torch.is_grad_enabled():
            norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True).float()
            scale = torch.rsqrt(norm.square() / x.shape[-1] + EPSILON).to(x.dtype)
            out: Tensor = (x * self.weight.to(x.dtype)).mul_(scale)
            return out
        wide = x.float()
        normal = wide * torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + EPSILON)
        return (normal * self.weight).to(x.dtype)


class Block(nn.Module):
    """Pre-norm window attention and MLP with residuals; shape `[B, t, h, w, D]` is kept."""

    def __init__(self, config: ModelConfig, shift: int) -> None:
        super().__init__()
        self.heads = config.heads
        self.window = config.window
        self.shift = shift
        width = config.width
        self.attention_norm = RmsNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.query_norm = nn.Parameter(torch.ones(config.head_dim))
        self.key_norm = nn.Parameter(torch.ones(config.head_dim))
        self.out = nn.Linear(width, width, bias=False)
        self.mlp_norm = RmsNorm(width)
        self.up = nn.Linear(width, config.mlp_width)
        self.down = nn.Linear(config.mlp_width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def forward(self, x: Tensor, *, row_shift: int | None = None) -> Tensor:
        """row_shift: that of the windows along y, where it is not the block's, for a band of a grid."""
        qkv = self.qkv(self.attention_norm(x)).unflatten(-1, (3, self.heads, -1))
        mixed = window_attention(
            qkv, self.query_norm, self.key_norm, window=self.window, shift=self.shift, row_shift=row_shift
        )
        x = x + self.out(mixed.flatten(-2))
        out: Tensor = x + self.down(F.gelu(self.up(self.mlp_norm(x))))
        return out


class Stack(nn.Module):
    """A run of blocks whose windows alternate between aligned and shifted by half a window."""

    def __init__(self, config: ModelConfig, blocks: int) -> None:
        super().__init__()
        self.is_compiled = False
        """Whether torch.compile takes the blocks, once for each shape."""
        self.blocks = nn.ModuleList(
            Block(config, shift=(i % 2) * (config.window // 2)) for i in range(blocks)
        )

    def forward(self, x: Tensor) -> Tensor:
        """A large `x` is overwritten where there are no gradients."""
        for block in self.blocks:
            x = self._applied(block, x)
        return x

    def _applied(self, block: nn.Module, x: Tensor) -> Tensor:
        """The block on the grid, in bands of whole windows; compiled ones take it in one."""
        assert isinstance(block, Block)
        size = (x.shape[0], x.shape[1], x.shape[2], x.shape[3])
        bands = row_bands(size, x.device, unit=block.window, first=block.shift)
        if len(bands) == 1 or self.is_compiled:
            whole: Tensor = block(x)
            return whole
        for band in bands:
            x[:, :, band] = block(x[:, :, band], row_shift=block.shift if band.start == 0 else 0)
        return x
