"""A small network with random weights: bad pictures, real bytes."""

from __future__ import annotations

from pathlib import Path

import torch

from infotok_cli.config import ModelConfig
from infotok_cli.model.tokenizer import Tokenizer
from infotok_cli.model.weights import save_model
from infotok_cli.routers import MaskingName
from made_net import made_net


def write_tiny_model(path: Path, masking: MaskingName = "error", *, coded: bool = False) -> str:
    """Write its weights file, `coded` with a token net; returns the sha256, the same every time."""
    config = ModelConfig(
        name="tiny", width=64, head_width=32, compressor_blocks=1, decoder_blocks=1, mlp_width=64,
        masking=masking,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Tokenizer(config)
    net = made_net() if coded else None
    return save_model(path, model, model.state_dict(), "{}", token_net=net)
