"""The model: video to token ids and back, in three calls that the codec and training share.

analyze      video -> features, predicted error             (encoder and router head)
compress     features + keep map -> token codes and ids     (compressor and FSQ)
reconstruct  token codes + keep map -> video                (decompressor and decoder)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from infotok_cli.blocks import Grid
from infotok_cli.config import PATCH, ModelConfig
from infotok_cli.model.grid import (
    CELLS,
    from_blocks,
    kept_ranks,
    pad_video,
    patch_values,
    patchify,
    to_blocks,
    unpatchify,
)
from infotok_cli.model.layers import Block, RmsNorm, Stack
from infotok_kernels import fsq_encode, ids_to_codes


@dataclass(frozen=True)
class Analysis:
    """What the encoder knows about a batch of segments; enough to compress without the pixels."""

    features: Tensor
    """`[B, t, h, w, D]`"""
    log_error: Tensor
    """`[B, t, h, w]` float32, predicted log of the mean absolute error at full rate, pixels in [-1, 1]"""


class Tokenizer(nn.Module):
    """The whole network, described by its config."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        width, channels = config.width, len(config.levels)
        self.patch_in = nn.Linear(patch_values(), width)
        self.encoder = Stack(config, config.encoder_blocks)
        self.head_norm = RmsNorm(width)
        self.head = nn.Sequential(
            nn.Linear(width, width // 2), nn.GELU(approximate="tanh"), nn.Linear(width // 2, 1)
        )
        self.rank_in = nn.Embedding(CELLS + 1, width)
        self.count_in = nn.Embedding(CELLS + 1, width)
        self.compressor = Stack(config, config.compressor_blocks)
        self.to_code = nn.Linear(width, channels)
        self.mask = nn.Parameter(torch.zeros(width))
        self.code_in = nn.Linear(channels, width)
        self.block_in = nn.Linear(CELLS * channels, CELLS * width)
        self.rank_out = nn.Embedding(CELLS + 1, width)
        self.count_out = nn.Embedding(CELLS + 1, width)
        self.decompressor = Stack(config, config.decompressor_blocks)
        self.decoder = Stack(config, config.decoder_blocks)
        self.patch_out = nn.Linear(width, patch_values(config.overlap))
        for embedding in (self.rank_in, self.count_in, self.rank_out, self.count_out):
            nn.init.normal_(embedding.weight, std=0.02)
        nn.init.normal_(self.mask, std=0.02)
        nn.init.zeros_(self.block_in.weight)
        nn.init.zeros_(self.block_in.bias)

    def blocks(self) -> Iterator[Block]:
        """All transformer blocks, encoder first."""
        for stack in (self.encoder, self.compressor, self.decompressor, self.decoder):
            for block in stack.blocks:
                assert isinstance(block, Block)
                yield block

    def halve_blocks(self) -> None:
        """Keep the matrices of the blocks in bfloat16, which autocast would convert anew in every call."""
        for block in self.blocks():
            for layer in block.modules():
                if isinstance(layer, nn.Linear):
                    layer.to(torch.bfloat16)

    def analyze(self, video: Tensor) -> Analysis:
        """Encoder and router head on video `[B, T, H, W, 3]` in [-1, 1], any T, H, W >= 1."""
        patches = patchify(pad_video(video, PATCH))
        features = self.encoder(self.patch_in(patches))
        log_error = self.head(self.head_norm(features.detach())).float()[..., 0]
        return Analysis(features=features, log_error=log_error)

    def compress(self, analysis: Analysis, keep: Tensor) -> tuple[Tensor, Tensor]:
        """Compressor and quantizer for a keep map, bool `[B, t, h, w]`.

        Returns codes `[B, t, h, w, C]` in [-1, 1] (0 where nothing is kept) and ids `[B, t, h, w]`
        int64 (meaningless where nothing is kept).
        """
        grid: Grid = (keep.shape[1], keep.shape[2], keep.shape[3])
        ranks, counts = kept_ranks(keep)
        # [B, bt, bh, bw, 8, D] to [B, t, h, w, D]
        choice = from_blocks(self.rank_in(ranks) + self.count_in(counts)[..., None, :], grid)
        hidden = self.compressor(analysis.features + choice.to(analysis.features.dtype))
        codes, ids = fsq_encode(hidden, self.to_code.weight, self.to_code.bias, self.config.levels)
        return codes * keep[..., None], ids

    def codes_of(self, ids: Tensor, keep: Tensor) -> Tensor:
        """Codes `[B, t, h, w, C]` of ids `[B, t, h, w]`, 0 where nothing is kept."""
        return ids_to_codes(ids, self.config.levels) * keep[..., None]

    def reconstruct(self, codes: Tensor, keep: Tensor, *, recompute: bool = False) -> Tensor:
        """Decompressor and decoder: video `[B, 4t, 8h, 8w, 3]`, about [-1, 1], not clamped.

        codes: `[B, t, h, w, C]`. keep: bool `[B, t, h, w]`. recompute: see `Stack`.
        """
        grid: Grid = (keep.shape[1], keep.shape[2], keep.shape[3])
        ranks, counts = kept_ranks(keep)
        channels = len(self.config.levels)
        # [B, bt, bh, bw, 8, C]
        cells = to_blocks(codes)
        # A block's codes by rank, without gaps; what is not kept falls into a ninth slot, which is cut off.
        # [B, bt, bh, bw, 8 C]
        slots = cells.new_zeros(*ranks.shape[:-1], CELLS + 1, channels)
        slots = slots.scatter(-2, ranks[..., None].expand_as(cells), cells)[..., :CELLS, :].flatten(-2)
        # [B, bt, bh, bw, 8, D], as all that follows up to the decompressor
        taken = self.code_in(cells)
        # Training keeps this stream in float32 under autocast; half of it is as good for decoding.
        dtype = torch.float32 if torch.is_grad_enabled() else taken.dtype
        hidden = torch.where((ranks < CELLS)[..., None], taken, self.mask.to(dtype))
        hidden = hidden + self.block_in(slots).reshape(hidden.shape)
        hidden = hidden + self.rank_out(ranks).to(dtype) + self.count_out(counts)[..., None, :].to(dtype)
        hidden = self.decompressor(from_blocks(hidden, grid), recompute=recompute)
        hidden = self.decoder(hidden, recompute=recompute)
        return unpatchify(self.patch_out(hidden), self.config.overlap).float()
