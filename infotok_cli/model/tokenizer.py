"""The model: video to token ids and back, in three calls that the codec and training share.

analyze      video -> features, slots, predicted error      (encoder and router head)
compress     analysis + keep map -> token codes and ids     (compressor and FSQ)
reconstruct  token codes + keep map -> video                (decompressor and decoder)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from infotok_cli.blocks import Grid, token_grid
from infotok_cli.config import PATCH, ModelConfig
from infotok_cli.model.grid import CELLS, from_blocks, kept_ranks, pad_video, patchify, to_blocks, unpatchify
from infotok_cli.model.layers import RmsNorm, Stack
from infotok_cli.model.transform import REPORTED, BlockTransform
from infotok_kernels import fsq_encode, ids_to_codes

HINTS = len(REPORTED)
PATCH_SIZE = PATCH[0] * PATCH[1] * PATCH[2] * 3


@dataclass(frozen=True)
class Analysis:
    """What the encoder knows about a batch of segments; enough to compress without the pixels."""

    features: Tensor
    """`[B, t, h, w, D]`"""
    slots: Tensor
    """`[B, bt, bh, bw, S]` float32, linear-path channel values before rounding"""
    log_error: Tensor
    """`[B, t, h, w]` float32, predicted log of the mean absolute error at full rate, pixels in [-1, 1]"""


class Tokenizer(nn.Module):
    """The whole network, described by its config and the number of transform coefficients."""

    def __init__(self, config: ModelConfig, coefficients: int) -> None:
        super().__init__()
        self.config = config
        width, channels = config.width, len(config.levels)
        self.transform = BlockTransform(config, coefficients, PATCH_SIZE)
        self.patch_in = nn.Linear(PATCH_SIZE, width)
        self.encoder = Stack(config, config.encoder_blocks)
        self.head_norm = RmsNorm(width)
        self.head = nn.Sequential(
            nn.Linear(width + HINTS, width // 2), nn.GELU(approximate="tanh"), nn.Linear(width // 2, 1)
        )
        self.slot_in = nn.Linear(2 * channels, width)
        self.rank_in = nn.Embedding(CELLS + 1, width)
        self.count_in = nn.Embedding(CELLS + 1, width)
        self.compressor = Stack(config, config.compressor_blocks)
        self.code_norm = RmsNorm(width)
        self.to_code = nn.Linear(width, channels)
        self.mask = nn.Parameter(torch.zeros(width))
        self.code_in = nn.Linear(channels, width)
        self.block_in = nn.Linear(CELLS * channels, CELLS * width)
        self.rank_out = nn.Embedding(CELLS + 1, width)
        self.count_out = nn.Embedding(CELLS + 1, width)
        self.decompressor = Stack(config, config.decompressor_blocks)
        self.decoder = Stack(config, config.decoder_blocks)
        self.pixel_norm = RmsNorm(width)
        self.patch_out = nn.Linear(width, PATCH_SIZE)
        self._initialize()

    def _initialize(self) -> None:
        """At the start only the linear path speaks: corrections begin at zero."""
        for layer in (self.patch_out, self.to_code):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        for embedding in (self.rank_in, self.count_in, self.rank_out, self.count_out):
            nn.init.normal_(embedding.weight, std=0.3)
        nn.init.normal_(self.mask, std=0.3)

    def analyze(self, video: Tensor) -> Analysis:
        """Encoder and router head on video `[B, T, H, W, 3]` in [-1, 1], any T, H, W >= 1."""
        patches = patchify(pad_video(video, PATCH))
        slots, hints = self.transform.slots(patches)
        features = self.encoder(self.patch_in(patches))
        log_error = self._predict_log_error(features.detach(), hints)
        return Analysis(features=features, slots=slots, log_error=log_error)

    def _predict_log_error(self, features: Tensor, hints: Tensor) -> Tensor:
        """The head corrects the linear path's own full-rate error `hints[..., 3]` of each block."""
        grid: Grid = (features.shape[1], features.shape[2], features.shape[3])
        hints = from_blocks(hints[..., None, :].expand(*hints.shape[:-1], CELLS, HINTS), grid)
        inputs = torch.cat((self.head_norm(features).float(), hints), dim=-1)
        log_error: Tensor = (self.head(inputs).float() + hints[..., -1:])[..., 0]
        return log_error

    def _round_slots(self, slots: Tensor) -> Tensor:
        half = (torch.tensor(self.transform.levels, device=slots.device) - 1) / 2
        return ((slots.clamp(-1, 1) + 1) * half).round() / half - 1

    def compress(self, analysis: Analysis, keep: Tensor) -> tuple[Tensor, Tensor]:
        """Compressor and quantizer for a keep map, bool `[B, t, h, w]`.

        Returns codes `[B, t, h, w, C]` in [-1, 1] (0 where nothing is kept) and ids `[B, t, h, w]`
        int64 (meaningless where nothing is kept).
        """
        grid: Grid = (keep.shape[1], keep.shape[2], keep.shape[3])
        ranks, counts = kept_ranks(keep)
        channels = len(self.config.levels)
        slots = analysis.slots.reshape(*ranks.shape, channels)
        offsets = slots - self._round_slots(analysis.slots).reshape(slots.shape)
        half = (torch.tensor(self.config.levels, device=slots.device) - 1) / 2
        both = torch.cat((slots, (offsets * half).clamp(-1, 1)), dim=-1)
        both = torch.cat((both, torch.zeros_like(both[..., :1, :])), dim=-2)
        own = both.gather(-2, ranks[..., None].expand(*ranks.shape, 2 * channels))
        hidden = analysis.features + from_blocks(
            self.slot_in(own) + self.rank_in(ranks) + self.count_in(counts)[..., None, :], grid
        ).to(analysis.features.dtype)
        hidden = self.compressor(hidden)
        # A channel that a later kept token refines is left to the transform: nudging it would only
        # make the refinement wrong.
        open_channels = torch.cat(
            (self.transform.is_last(counts), torch.zeros_like(both[..., :1, :channels])), dim=-2
        )
        gain = from_blocks(open_channels.gather(-2, ranks[..., None].expand(*ranks.shape, channels)), grid)
        codes, ids = fsq_encode(
            self.code_norm(hidden),
            self.to_code.weight,
            self.to_code.bias,
            self.config.levels,
            gain=gain,
            offset=from_blocks(own[..., :channels], grid),
        )
        return codes * keep[..., None], ids

    def codes_of(self, ids: Tensor, keep: Tensor) -> Tensor:
        """Codes `[B, t, h, w, C]` of ids `[B, t, h, w]`, 0 where nothing is kept."""
        return ids_to_codes(ids, self.config.levels) * keep[..., None]

    def reconstruct(self, codes: Tensor, keep: Tensor) -> Tensor:
        """Decompressor and decoder: video `[B, 4t, 8h, 8w, 3]`, about [-1, 1], not clamped.

        codes: `[B, t, h, w, C]`. keep: bool `[B, t, h, w]`.
        """
        grid: Grid = (keep.shape[1], keep.shape[2], keep.shape[3])
        ranks, counts = kept_ranks(keep)
        channels = len(self.config.levels)
        cells = to_blocks(codes)
        slots = cells.new_zeros(*ranks.shape[:-1], CELLS + 1, channels)
        slots = slots.scatter(-2, ranks[..., None].expand_as(cells), cells)[..., :CELLS, :].flatten(-2)
        hidden = torch.where((ranks < CELLS)[..., None], self.code_in(cells), self.mask)
        hidden = hidden + self.block_in(slots).unflatten(-1, (CELLS, -1))
        hidden = hidden + self.rank_out(ranks) + self.count_out(counts)[..., None, :]
        hidden = self.decoder(self.decompressor(from_blocks(hidden, grid)))
        patches = self.patch_out(self.pixel_norm(hidden)).float()
        return unpatchify(patches + from_blocks(self.transform.synthesize(slots.float()), grid))

    @staticmethod
    def grid_of(frames: int, height: int, width: int) -> Grid:
        return token_grid(frames, height, width)
