"""Where training from scratch begins: principal axes of patches as a linear codec inside the network."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from infotok_cli.config import ModelConfig
from infotok_cli.errors import UsageError
from infotok_cli.model.grid import patch_values, patchify, widened
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
    """Make the untrained `model` a linear codec of 4x8x8 patches.

    clips: uint8 `[N, T, H, W, 3]`, T a multiple of 4, H and W of 8. The residual stream holds the
    patch's leading principal components, partly whitened; the quantizer takes the first C of them, two
    standard deviations at the outer levels; patch embedding and un-embedding are inverse to each other.
    """
    patches = patchify(to_signal(clips)).reshape(-1, model.patch_in.in_features)
    mean = patches.mean(dim=0)
    centred = patches - mean
    values, axes = torch.linalg.eigh(centred.T @ centred / len(patches))
    width = model.config.width
    values, axes = values.flip(0)[:width].clamp_min(1e-6), axes.flip(1)[:, :width]
    scale = values**-0.35
    scale = scale / (values * scale.square()).mean().sqrt()
    model.patch_in.weight.copy_(axes.T * scale[:, None])
    model.patch_in.bias.copy_(-(axes.T @ mean) * scale)
    model.patch_out.weight.copy_(widened(axes / scale, model.config.overlap))
    model.patch_out.bias.copy_(widened(mean, model.config.overlap))
    channels = len(model.config.levels)
    reach = 2.0 * values[:channels].sqrt() * scale[:channels]
    for tensor in (model.to_code.weight, model.to_code.bias, model.code_in.weight, model.code_in.bias):
        tensor.zero_()
    for channel in range(channels):
        model.to_code.weight[channel, channel] = 1 / reach[channel]
        model.code_in.weight[channel, channel] = reach[channel]
