"""The model: a causal closed loop from video to token ids and back.

A segment is coded one latent step (4 frames) at a time. Its context is what the decoder keeps of the steps
before, moved by the motion that the encoder sends: the last shown picture and the decoder's hidden state.
The compressor sees the source beside that context and says what is new; the decoder turns context and tokens
into the next picture. So tokens depend on the past alone, and encoding runs the decoder too.

predict  video + motion -> log error at full rate, what the router ranks by   (head, outside the loop)
encode   video + keep map + motion -> token ids and shown video   (compressor, quantizer, decoder)
decode   token ids + keep map + motion -> shown video             (decoder)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from operator import itemgetter

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from infotok_cli.blocks import Grid
from infotok_cli.config import PATCH, ModelConfig
from infotok_cli.model.bands import by_bands, pixel_rows, row_bands, step_runs
from infotok_cli.model.grid import (
    AROUND_VALUES,
    CELLS,
    around,
    kept_places,
    pad_video,
    patch_values,
    patchify,
    unpatchify,
)
from infotok_cli.model.layers import Block, RmsNorm, Stack
from infotok_cli.model.motion import REACH, at_positions, compensated, displacements, followed, frame_times
from infotok_cli.model.pixels import to_signal
from infotok_cli.model.refine import refine_codes
from infotok_kernels import codes_to_ids, fsq_encode, ids_to_codes

SHOWN_LIMIT = 1.05
"""Shown pictures are clamped to +-this before they predict the next ones."""


GRADIENT_STEPS = 4
"""Latent steps that gradients go back through in training, of the nine of 32 frames and their lead.

A memory that later steps teach what to keep is worth 0.3 dB over one that none does (docs/LOG.md).
"""


@dataclass(frozen=True)
class Memory:
    """What is kept of a step for the next one."""

    hidden: Tensor
    """`[B, h, w, D]`: of each position the decoder's state and the patch shown there."""
    last: Tensor
    """`[B, 8h, 8w, 3]` float32, the last shown frame, within `SHOWN_LIMIT`."""


class Prediction:
    """What residuals of a step are taken from: the last shown frame, moved; grey at first."""

    def __init__(self, last: Tensor | None, motion: Tensor, step: int, like: Tensor) -> None:
        """last: `[B, 8h, 8w, 3]`, uint8 or in [-1, 1], None for grey. motion: `[B, bh, bw]`.

        like: of the device to be on.
        """
        self._last = last
        self._motion = motion
        self._times = frame_times(step)
        self._grey = like.new_zeros((1, 1, 1, 1, 1), dtype=torch.float32)
        self._kept_rows: tuple[slice, Tensor] | None = None

    def rows(self, rows: slice) -> Tensor:
        """Rows of pixels of it, float32 `[B, 4, rows, 8w, 3]`; for grey, a zero that broadcasts to it."""
        if self._last is None:
            return self._grey
        if self._kept_rows is None or self._kept_rows[0] != rows:
            self._kept_rows = rows, compensated(self._last, self._motion, self._times, rows)
        return self._kept_rows[1]


@dataclass(frozen=True)
class Context:
    """What both sides know of a step before its tokens."""

    prediction: Prediction
    hidden: Tensor
    """`[B, h, w, D]`"""
    gain: Tensor
    """Scale of each code channel, float32 `[B, h, w, C]`."""


class Tokenizer(nn.Module):
    """The whole network, described by its config."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        width, channels = config.width, len(config.levels)
        self.head = ErrorHead(config)
        self.first = nn.Parameter(torch.zeros(width))
        self.first_gain = nn.Parameter(torch.zeros(channels))
        self.state_norm = RmsNorm(width)
        self.state_in = nn.Linear(width, width, bias=False)
        self.shown_in = nn.Linear(patch_values(), width, bias=False)
        self.around_in = nn.Linear(AROUND_VALUES, width)
        self.motion_in = nn.Linear(2, width, bias=False)
        self.gain = nn.Linear(width, channels)
        self.rank_in = nn.Embedding(CELLS + 1, width)
        self.count_in = nn.Embedding(CELLS + 1, width)
        self.residual_in = nn.Linear(patch_values(), width)
        self.compressor = Stack(config, config.compressor_blocks)
        self.to_code = nn.Linear(width, channels)
        self.mask = nn.Parameter(torch.zeros(width))
        self.code_in = nn.Linear(channels, width)
        self.rank_out = nn.Embedding(CELLS + 1, width)
        self.count_out = nn.Embedding(CELLS + 1, width)
        self.decoder = Stack(config, config.decoder_blocks)
        self.patch_out = nn.Linear(width, patch_values(config.overlap))
        for embedding in (self.rank_in, self.count_in, self.rank_out, self.count_out):
            nn.init.normal_(embedding.weight, std=0.02)
        for vector in (self.mask, self.first):
            nn.init.normal_(vector, std=0.02)
        nn.init.normal_(self.shown_in.weight, std=0.006)
        nn.init.normal_(self.around_in.weight, std=0.01)
        nn.init.zeros_(self.around_in.bias)
        for layer in (self.state_in, self.motion_in, self.gain):
            nn.init.zeros_(layer.weight)
        nn.init.zeros_(self.gain.bias)

    def stacks(self) -> tuple[Stack, Stack, Stack]:
        """The three runs of blocks, the router's head first."""
        return self.head.stack, self.compressor, self.decoder

    def blocks(self) -> Iterator[Block]:
        """All transformer blocks."""
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

    def predict(self, video: Tensor, motion: Tensor) -> Tensor:
        """Log of the error that coding `video` at rate 1 would leave, float32 `[B, t, h, w]`.

        video: `[B, T, H, W, 3]`, uint8 or in [-1, 1], any T, H, W >= 1. motion: uint8 `[B, t, bh, bw]`.
        The error is the mean absolute one of each position's 4x8x8 pixels. Of the source alone, so that a
        whole group can be routed before any is coded.
        """
        log_error: Tensor = self.head(video, motion)
        return log_error

    def encode(self, video: Tensor, keep: Tensor, motion: Tensor, refine: int = 0) -> tuple[Tensor, Tensor]:
        """All ids `[B, t, h, w]` and pictures `[B, 4t, 8h, 8w, 3]` of `encode_steps`."""
        ids, pictures = zip(*self.encode_steps(video, keep, motion, refine), strict=True)
        return torch.stack(ids, dim=1), torch.cat(pictures, dim=1)

    def tokens(self, video: Tensor, keep: Tensor, motion: Tensor, refine: int = 0) -> Tensor:
        """The ids of `encode` alone, without the picture of the last step."""
        steps = self.encode_steps(video, keep, motion, refine, last_picture=False)
        # A loop variable would hold one picture while the next is made.
        return torch.stack(list(map(itemgetter(0), steps)), dim=1)

    def encode_steps(
        self, video: Tensor, keep: Tensor, motion: Tensor, refine: int = 0, *, last_picture: bool = True
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Run the loop: ids and picture of one latent step after the other.

        video: `[B, T, H, W, 3]`, uint8 or in [-1, 1]. keep: bool `[B, t, h, w]`.
        motion: uint8 `[B, t, bh, bw]`.
        refine: moves by which each step's codes are improved, 0 for none; see `refine_codes`.
        last_picture: whether the last step is shown at all; an empty tensor stands for it if not.

        Ids are `[B, h, w]` int64, meaningless where nothing is kept; pictures `[B, 4, 8h, 8w, 3]`, about
        [-1, 1], not clamped, the caller's to overwrite.
        """
        ranks, counts = kept_places(keep)
        memory: Memory | None = None
        for t, source in enumerate(torch.split(video, PATCH[0], dim=1)):
            context = self.context(memory, keep[:, t], motion[:, t], t)
            place = (keep[:, t], ranks[:, t], counts[:, t])
            codes, ids = self.compress(source, context, *place[1:])
            if refine:
                # By what is shown alone: padding does not count.
                real = to_signal(source)
                _, frames, height, width, _ = real.shape
                codes = refine_codes(
                    lambda codes: self.show(codes, context, *place)[0][:, :frames, :height, :width],  # noqa: B023
                    real, codes, keep[:, t], levels=self.config.levels, moves=refine,
                )  # fmt: skip
                ids = codes_to_ids(codes, self.config.levels)
            more = t + 1 < keep.shape[1]
            if not (more or last_picture):
                yield ids, context.hidden.new_empty(0)
                return
            picture, state = self.show(codes, context, *place)
            if more:
                memory = self.remember(state, picture, cut_off=(t + 1) % GRADIENT_STEPS == 0)
            yield ids, picture
            del picture

    def decode(self, ids: Tensor, keep: Tensor, motion: Tensor) -> Tensor:
        """What a segment's tokens show, `[B, 4t, 8h, 8w, 3]`, not clamped; arguments as in `decode_steps`."""
        return torch.cat(list(self.decode_steps(ids, keep, motion)), dim=1)

    def decode_steps(
        self, ids: Tensor, keep: Tensor, motion: Tensor, frames: int | None = None
    ) -> Iterator[Tensor]:
        """Pictures `[B, 4, 8h, 8w, 3]`, one latent step after the other, as in `encode_steps`.

        ids: int64 `[B, t, h, w]`, those of positions without a token do not count. keep: bool `[B, t, h, w]`.
        motion: uint8 `[B, t, bh, bw]`.
        frames: how many to make, for a last picture of fewer than four; None for all.
        """
        steps = keep.shape[1]
        ranks, counts = kept_places(keep)
        memory = None
        for t in range(steps):
            context = self.context(memory, keep[:, t], motion[:, t], t)
            codes = ids_to_codes(ids[:, t], self.config.levels)
            wanted = PATCH[0] if frames is None or t + 1 < steps else frames - t * PATCH[0]
            picture, state = self.show(codes, context, keep[:, t], ranks[:, t], counts[:, t], frames=wanted)
            if t + 1 < steps:
                memory = self.remember(state, picture)
            yield picture
            del picture

    def context(self, memory: Memory | None, like: Tensor, motion: Tensor, step: int) -> Context:
        """Context of latent step `step` after `memory`, None for a segment's first.

        like: any tensor `[B, h, w]`. motion: `[B, bh, bw]`.
        """
        batch, h, w = like.shape
        if memory is None:
            prediction = Prediction(None, motion, step, self.first)
            hidden = self.first.expand(batch, h, w, -1)
            gain = self.first_gain.float().exp().expand(batch, h, w, -1)
            return Context(prediction, hidden, gain)
        prediction = Prediction(memory.last, motion, step, memory.last)

        def told(band: slice) -> Tensor:
            # The last frame of the prediction, with the rows of pixels around this band.
            wide = slice(max(0, band.start - 1), min(h, band.stop + 1))
            moved = prediction.rows(pixel_rows(wide))[:, -1]
            inner = slice(band.start - wide.start, band.stop - wide.start)
            near = around(moved, inner)
            moves = at_positions(displacements(motion) / REACH, h, w)[:, band]
            added: Tensor = (
                followed(memory.hidden, motion, band) + self.around_in(near) + self.motion_in(moves)
            )
            return added

        hidden = by_bands(told, row_bands((batch, 1, h, w), memory.hidden.device), axis=1)
        return Context(prediction, hidden, self.gain(hidden).float().exp())

    def remember(self, state: Tensor, picture: Tensor, *, cut_off: bool = False) -> Memory:
        """What a step leaves to the next: of `state` and `picture`, as `show` gives them.

        cut_off: for a step that is to send no gradient back.
        """
        if cut_off:
            state, picture = state.detach(), picture.detach()

        def recalled(band: slice) -> Tensor:
            shown = picture[:, :, pixel_rows(band)].clamp(-SHOWN_LIMIT, SHOWN_LIMIT)
            hidden = self.state_in(self.state_norm(state[:, band]))
            told: Tensor = hidden + self.shown_in(patchify(shown)[:, 0])
            return told

        batch, h, w, _ = state.shape
        hidden = by_bands(recalled, row_bands((batch, 1, h, w), state.device), axis=1)
        return Memory(hidden, picture[:, -1].clamp(-SHOWN_LIMIT, SHOWN_LIMIT))

    def compress(
        self, source: Tensor, context: Context, ranks: Tensor, counts: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Codes `[B, h, w, C]` in [-1, 1] and ids `[B, h, w]` of one step of at most four frames.

        source: `[B, T, H, W, 3]`, uint8 or in [-1, 1]. ranks, counts: `[B, h, w]`, see `kept_places`.
        """

        def embedded(band: slice) -> Tensor:
            rows = pixel_rows(band)
            residual = pad_video(to_signal(source[:, :, rows]), PATCH) - context.prediction.rows(rows)
            hidden = self.residual_in(patchify(residual)[:, 0])
            told = context.hidden[:, band] + self.rank_in(ranks[:, band]) + self.count_in(counts[:, band])
            # Under autocast a sum with float32 would carry float32 through all blocks.
            added: Tensor = hidden + told.to(hidden.dtype)
            return added

        batch, h, w = ranks.shape
        hidden = by_bands(embedded, row_bands((batch, 1, h, w), ranks.device), axis=1)
        hidden = self.compressor(hidden[:, None])[:, 0]
        return fsq_encode(hidden, self.to_code.weight, self.to_code.bias, self.config.levels, context.gain)

    def show(
        self,
        codes: Tensor,
        context: Context,
        keep: Tensor,
        ranks: Tensor,
        counts: Tensor,
        *,
        frames: int = PATCH[0],
    ) -> tuple[Tensor, Tensor]:
        """Picture `[B, frames, 8h, 8w, 3]` of a step's codes `[B, h, w, C]`, and the state `[B, h, w, D]`."""

        def filled(band: slice) -> Tensor:
            taken = self.code_in(codes[:, band] * context.gain[:, band])
            hidden = torch.where(keep[:, band, :, None], taken, self.mask.to(taken.dtype))
            told = context.hidden[:, band] + self.rank_out(ranks[:, band]) + self.count_out(counts[:, band])
            added: Tensor = hidden + told.to(hidden.dtype)
            return added

        def pictured(band: slice) -> Tensor:
            # The patches next to it reach into it.
            wide = slice(max(0, band.start - 1), min(h, band.stop + 1))
            added = unpatchify(self.patch_out(state[:, None, wide]), self.config.overlap)[:, :frames]
            rows = pixel_rows(slice(band.start - wide.start, band.stop - wide.start))
            base = context.prediction.rows(pixel_rows(band))[:, :frames]
            return base + added[:, :, rows].float()

        batch, h, w = ranks.shape
        bands = row_bands((batch, 1, h, w), ranks.device)
        state = self.decoder(by_bands(filled, bands, axis=1)[:, None])[:, 0]
        return by_bands(pictured, bands, axis=2), state


class ErrorHead(nn.Module):
    """The router's own small network: what is new in a step, judged by the step and the frame before it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.head_width
        self.patch_in = nn.Linear(patch_values(), width)
        self.residual_in = nn.Linear(patch_values(), width, bias=False)
        self.first = nn.Parameter(torch.zeros(width))
        small = replace(config, width=width, head_dim=32, mlp_width=2 * width)
        self.stack = Stack(small, 1)
        self.norm = RmsNorm(width)
        self.out = nn.Linear(width, 1)

    def forward(self, video: Tensor, motion: Tensor) -> Tensor:
        """Log errors `[B, t, h, w]` of `video` `[B, T, H, W, 3]`, uint8 or in [-1, 1], and its motion."""
        t, h, w = (-(-side // patch) for side, patch in zip(video.shape[1:4], PATCH, strict=True))
        grid = (t, h, w)
        runs = step_runs((len(video), *grid), video.device)
        return torch.cat([self._of_steps(video, motion, steps, grid) for steps in runs], dim=1)

    def _of_steps(self, video: Tensor, motion: Tensor, steps: slice, grid: Grid) -> Tensor:
        """Log errors of some of the latent steps."""
        size = (len(video), steps.stop - steps.start, *grid[1:])
        bands = row_bands(size, video.device)
        predictions = [self._prediction(video, motion, step) for step in range(steps.start, steps.stop)]
        first, end = steps.start * PATCH[0], steps.stop * PATCH[0]

        def embedded(band: slice) -> Tensor:
            rows = pixel_rows(band)
            now = pad_video(to_signal(video[:, first:end, rows]), PATCH)
            before = [prediction.rows(rows) for prediction in predictions]
            residual = now - torch.cat(
                [one.expand(len(now), PATCH[0], *now.shape[2:]) for one in before], dim=1
            )
            hidden: Tensor = self.patch_in(patchify(now)) + self.residual_in(patchify(residual))
            if steps.start:
                return hidden
            return torch.cat([hidden[:, :1] + self.first.to(hidden.dtype), hidden[:, 1:]], dim=1)

        hidden = by_bands(embedded, bands, axis=2)
        # Steps do not look at each other: [B, t, h, w, D] to [B t, 1, h, w, D] and back
        mixed = self.stack(hidden.flatten(0, 1)[:, None]).view(hidden.shape)
        log_error: Tensor = self.out(F.gelu(self.norm(mixed))).float()[..., 0]
        return log_error

    @staticmethod
    def _prediction(video: Tensor, motion: Tensor, step: int) -> Prediction:
        """What the step is predicted from, of the source."""
        last = None
        if step:
            before = video[:, PATCH[0] * step - 1 : PATCH[0] * step]
            last = pad_video(before, (1, *PATCH[1:]))[:, 0]
        return Prediction(last, motion[:, step], step, motion)
