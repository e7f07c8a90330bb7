"""Where training from scratch begins: principal axes of patches as a linear codec inside the network."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from infotok_cli.config import PATCH, ModelConfig
from infotok_cli.errors import UsageError
from infotok_cli.model.grid import patch_values, patchify, widened
from infotok_cli.model.motion import compensated, estimate_motion, frame_times
from infotok_cli.model.pixels import to_signal
from infotok_cli.model.tokenizer import Tokenizer


def check_overlap(config: ModelConfig, overlap: int) -> None:
    """UsageError when a model of `config` has margins other than `overlap` pixels already."""
    if config.overlap not in (0, overlap):
        raise UsageError(
            f"`overlap` {overlap} does not fit the model to start from, which has {config.overlap}",
            way_out="leave `overlap` out",
        )


@torch.no_grad()
def with_overlap(model: Tokenizer, overlap: int) -> Tokenizer:
    """A model that does the same, whose patches have margins of `overlap` pixels to learn.

    Raises UsageError when it has other margins already.
    """
    check_overlap(model.config, overlap)
    if model.config.overlap == overlap:
        return model
    out = nn.Linear(model.config.width, patch_values(overlap))
    out.weight.copy_(widened(model.patch_out.weight, overlap))
    out.bias.copy_(widened(model.patch_out.bias, overlap))
    model.config, model.patch_out = replace(model.config, overlap=overlap), out
    return model


@torch.no_grad()
def start_from_principal_axes(model: Tokenizer, clips: Tensor) -> None:
    """Make the untrained `model` a linear closed loop (DPCM) over 4x8x8 patches.

    clips: uint8 `[N, T, H, W, 3]`, T a multiple of 4 and at least 8, H and W of 8, as a rule with leads. The
    residual stream holds the leading principal components of residuals (from the last frame of the step
    before, moved; of first steps, from grey), partly whitened; the quantizer takes the first C of them, two
    standard deviations at the outer levels; patch embedding and un-embedding are inverse to each other.
    """
    video, motion = to_signal(clips), estimate_motion(clips)
    rows = slice(0, video.shape[2])
    predicted = [
        compensated(video[:, PATCH[0] * step - 1], motion[:, step], frame_times(step), rows)
        for step in range(1, motion.shape[1])
    ]
    patches = patchify(video)
    residuals = (patches[:, 1:] - patchify(torch.cat(predicted, dim=1))).flatten(0, -2)
    starts = patches[:, 0].flatten(0, -2)
    mixed = torch.cat([residuals, starts])
    width, channels = model.config.width, len(model.config.levels)
    powers, axes = torch.linalg.eigh(mixed.T @ mixed / len(mixed))
    powers, axes = powers.flip(0)[:width].clamp_min(1e-6), axes.flip(1)[:, :width]
    scale = powers**-0.35
    scale = scale / (powers * scale.square()).mean().sqrt()
    model.residual_in.weight.copy_(axes.T * scale[:, None])
    model.patch_out.weight.copy_(widened(axes / scale, model.config.overlap))
    # Clips of stills have no residuals.
    spread, at_first = ((part @ axes[:, :channels]).std(0).clamp_min(1e-3) for part in (residuals, starts))
    model.first_gain.copy_((at_first / spread).log())
    reach = 2.0 * spread * scale[:channels]
    for tensor in (
        model.residual_in.bias, model.patch_out.bias,
        model.to_code.weight, model.to_code.bias, model.code_in.weight, model.code_in.bias,
    ):  # fmt: skip
        tensor.zero_()
    for channel in range(channels):
        model.to_code.weight[channel, channel] = 1 / reach[channel]
        model.code_in.weight[channel, channel] = reach[channel]
