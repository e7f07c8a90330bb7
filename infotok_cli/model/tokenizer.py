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

from infotok_cli.blocks import BLOCK, Grid, token_grid
from infotok_cli.config import PATCH, ModelConfig
from infotok_cli.model.bands import by_bands, row_bands
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

    def stacks(self) -> tuple[Stack, Stack, Stack, Stack]:
        """The four runs of blocks, encoder first."""
        return self.encoder, self.compressor, self.decompressor, self.decoder

    def blocks(self) -> Iterator[Block]:
        """All transformer blocks, encoder first."""
        for stack in self.stacks():
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
        batch, frames, height, width, _ = video.shape
        size = (batch, *token_grid(frames, height, width))
        bands = row_bands(size, video.device)

        def embedded(band: slice) -> Tensor:
            rows = video[:, :, band.start * PATCH[1] : band.stop * PATCH[1]]
            embedding: Tensor = self.patch_in(patchify(pad_video(rows, PATCH)))
            return embedding

        features = self.encoder(by_bands(embedded, bands))

        def predicted(band: slice) -> Tensor:
            error: Tensor = self.head(self.head_norm(features[:, :, band].detach())).float()[..., 0]
            return error

        return Analysis(features=features, log_error=by_bands(predicted, bands))

    def compress(self, analysis: Analysis, keep: Tensor) -> tuple[Tensor, Tensor]:
        """Compressor and quantizer for a keep map, bool `[B, t, h, w]`.

        Returns codes `[B, t, h, w, C]` in [-1, 1] (0 where nothing is kept) and ids `[B, t, h, w]`
        int64 (meaningless where nothing is kept).
        """
        grid: Grid = (keep.shape[1], keep.shape[2], keep.shape[3])
        ranks, counts = kept_ranks(keep)
        features = analysis.features

        def chosen(band: slice) -> Tensor:
            blocks = _blocks_of(band)
            choice = self.rank_in(ranks[:, :, blocks]) + self.count_in(counts[:, :, blocks])[..., None, :]
            # [B, bt, bh, bw, 8, D] to [B, t, h, w, D]
            placed = from_blocks(choice, (grid[0], band.stop - band.start, grid[2]))
            return features[:, :, band] + placed.to(features.dtype)

        bands = row_bands((len(keep), *grid), features.device, unit=BLOCK[1])
        hidden = self.compressor(by_bands(chosen, bands))
        codes, ids = fsq_encode(hidden, self.to_code.weight, self.to_code.bias, self.config.levels)
        return codes * keep[..., None], ids

    def codes_of(self, ids: Tensor, keep: Tensor) -> Tensor:
        """Codes `[B, t, h, w, C]` of ids `[B, t, h, w]`, 0 where nothing is kept."""
        return ids_to_codes(ids, self.config.levels) * keep[..., None]

    def reconstruct(
        self, codes: Tensor, keep: Tensor, *, frames: int | None = None, recompute: bool = False
    ) -> Tensor:
        """Decompressor and decoder: video `[B, 4t, 8h, 8w, 3]`, about [-1, 1], not clamped.

        codes: `[B, t, h, w, C]`. keep: bool `[B, t, h, w]`. frames: how many to make, None: all. recompute:
        see `Stack`.
        """
        grid: Grid = (keep.shape[1], keep.shape[2], keep.shape[3])
        ranks, counts = kept_ranks(keep)
        # [B, bt, bh, bw, 8, C]
        cells = to_blocks(codes)

        def filled(band: slice) -> Tensor:
            blocks = _blocks_of(band)
            hidden = self._filled(cells[:, :, blocks], ranks[:, :, blocks], counts[:, :, blocks])
            return from_blocks(hidden, (grid[0], band.stop - band.start, grid[2]))

        size = (len(keep), *grid)
        hidden = by_bands(filled, row_bands(size, codes.device, unit=BLOCK[1]))
        hidden = self.decompressor(hidden, recompute=recompute)
        hidden = self.decoder(hidden, recompute=recompute)

        def shown(band: slice) -> Tensor:
            # The patches next to it reach into it.
            wide = slice(max(0, band.start - 1), min(grid[1], band.stop + 1))
            video = unpatchify(self.patch_out(hidden[:, :, wide]), self.config.overlap)[:, :frames]
            first = (band.start - wide.start) * PATCH[1]
            return video[:, :, first : first + (band.stop - band.start) * PATCH[1]].float()

        return by_bands(shown, row_bands(size, codes.device))

    def _filled(self, cells: Tensor, ranks: Tensor, counts: Tensor) -> Tensor:
        """What the decompressor starts from, `[B, bt, bh, bw, 8, D]`: codes and what stands for missing ones.

        cells: codes `[B, bt, bh, bw, 8, C]`. ranks, counts: those of `kept_ranks`.
        """
        # A block's codes by rank, without gaps; what is not kept falls into a ninth slot, which is cut off.
        # [B, bt, bh, bw, 8 C]
        slots = cells.new_zeros(*ranks.shape[:-1], CELLS + 1, len(self.config.levels))
        slots = slots.scatter(-2, ranks[..., None].expand_as(cells), cells)[..., :CELLS, :].flatten(-2)
        # [B, bt, bh, bw, 8, D], as all that follows
        taken = self.code_in(cells)
        # Training keeps this stream in float32 under autocast; half of it is as good for decoding.
        dtype = torch.float32 if torch.is_grad_enabled() else taken.dtype
        hidden = torch.where((ranks < CELLS)[..., None], taken, self.mask.to(dtype))
        hidden = hidden + self.block_in(slots).reshape(hidden.shape)
        filled: Tensor = (
            hidden + self.rank_out(ranks).to(dtype) + self.count_out(counts)[..., None, :].to(dtype)
        )
        return filled


def _blocks_of(rows: slice) -> slice:
    """Rows of blocks that hold these rows of positions, which begin with one."""
    return slice(rows.start // BLOCK[1], -(-rows.stop // BLOCK[1]))
