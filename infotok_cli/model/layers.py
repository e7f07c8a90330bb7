"""Transformer layers over a token grid `[B, t, h, w, D]`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from infotok_cli.config import ModelConfig
from infotok_kernels import window_attention


class RmsNorm(nn.Module):
    """RMS norm over the last axis with a learned weight, in float32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        normal = wide * torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + 1e-6)
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

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(self.attention_norm(x)).unflatten(-1, (3, self.heads, -1))
        mixed = window_attention(qkv, self.query_norm, self.key_norm, window=self.window, shift=self.shift)
        x = x + self.out(mixed.flatten(-2))
        hidden = nn.functional.gelu(self.up(self.mlp_norm(x)), approximate="tanh")
        out: Tensor = x + self.down(hidden)
        return out


class Stack(nn.Module):
    """A run of blocks whose windows alternate between aligned and shifted by half a window."""

    def __init__(self, config: ModelConfig, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            Block(config, shift=(i % 2) * (config.window // 2)) for i in range(blocks)
        )

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x
