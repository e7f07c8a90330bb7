"""Fits the integer network of the token coder on the tokens of training clips."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from infotok_cli.allocation.allocate import allocate, tokens_at_rate
from infotok_cli.blocks import keep_from_prefix, token_grid
from infotok_cli.entropy.token_coding import to_digits
from infotok_cli.entropy.token_net import (
    HIDDEN_MAX,
    HIDDEN_SHIFT,
    LOGIT_SHIFT,
    LOGITS_PER_NAT,
    PRESENT,
    TokenNet,
    Waves,
    input_count,
    token_inputs,
)
from infotok_cli.model.engine import Engine
from infotok_cli.segment_tokens import Tokens

HIDDEN = 32
WEIGHT_SCALE = 32
"""Integer weight per unit of real weight, in both layers."""

INPUT_SCALE = WEIGHT_SCALE * PRESENT
"""Integer pre-activation per real one: inputs count in eighths."""

LOGIT_SCALE = LOGITS_PER_NAT << LOGIT_SHIFT
LEARNING_RATE = 4e-3
POSITION_SHARE = 0.15
"""Share of clips whose tokens are chosen position by position."""


@dataclass(frozen=True)
class TokenSamples:
    """Tokens with what the coder knows before each."""

    inputs: NDArray[np.int16]
    """`[N, F]`"""
    digits: NDArray[np.uint8]
    """`[N, C]`"""


def collect_tokens(
    engine: Engine, clips: Iterable[NDArray[np.uint8]], random: np.random.Generator
) -> TokenSamples:
    """Encode clips `[T, H, W, 3]` at rate 1, at one of 0.5 to 1, and at one of 1/8 to 0.5."""
    levels = engine.loaded.config.levels
    inputs, digits = [], []
    for clip in clips:
        footage = engine.footage(clip)
        (error,) = engine.predicted_errors([footage])
        by_position = random.random() < POSITION_SHARE
        for rate in (1.0, random.uniform(0.5, 1.0), random.uniform(0.125, 0.5)):
            if engine.loaded.config.masking == "elastic":
                tokens = max(1, tokens_at_rate(rate, error.size))
                keep = keep_from_prefix(tokens, token_grid(*clip.shape[:3]))
            else:
                keep = allocate([error], "position" if by_position else "block", rate)[0].keep
            for more_inputs, more_digits in _samples(engine.encode(footage, keep).tokens, levels):
                inputs.append(more_inputs)
                digits.append(more_digits)
    return TokenSamples(np.concatenate(inputs), np.concatenate(digits))


def _samples(
    tokens: Tokens, levels: tuple[int, ...]
) -> Iterable[tuple[NDArray[np.int16], NDArray[np.uint8]]]:
    whole = np.zeros((*tokens.keep.shape, len(levels)), np.int32)
    whole[tokens.keep] = to_digits(tokens.ids, levels)
    for wave in Waves(_empty_net(levels), tokens.maps):
        mine = whole[wave.step][wave.where]
        for channel in range(len(levels)):
            wave.put(channel, mine[:, channel])
        yield wave.inputs.astype(np.int16), mine.astype(np.uint8)


def fit_token_net(
    samples: TokenSamples,
    levels: tuple[int, ...],
    *,
    steps: int,
    start: TokenNet | None = None,
    batch: int = 2048,
    seed: int = 0,
) -> tuple[TokenNet, float]:
    """Train the network; returns it and the mean bits of a token over the last tenth of the steps.

    start: a network for the same levels to begin with, at a quarter of the learning rate; from little footage
    it then learns what is particular to that footage and keeps the rest.
    The rounding of weights and activations is part of the forward pass, with gradients passed straight
    through, so what is trained is the integer network itself.
    """
    torch.manual_seed(seed)
    model, peak = _RoundedNet(levels), LEARNING_RATE
    if start is not None:
        model, peak = _RoundedNet.of(start), LEARNING_RATE / 4
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.0, weight_decay=1e-4)
    generator = torch.Generator().manual_seed(seed)
    inputs, digits = torch.from_numpy(samples.inputs), torch.from_numpy(samples.digits)
    bits = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = peak * min(1.0, (step + 1) / 50) * (1 - step / steps)
        rows = torch.randint(len(inputs), (min(batch, len(inputs)),), generator=generator)
        loss = model(inputs[rows].float(), digits[rows].long()) / np.log(2)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        bits.append(float(loss.detach()))
    return model.integers(), float(np.mean(bits[-max(1, steps // 10) :]))


_LIMITS = {
    "base": 127, "own": 127, "out": 127, "base_bias": 1 << 20, "out_bias": 1 << 20, "before": 32767
}  # fmt: skip
_SCALES = {"base_bias": INPUT_SCALE, "out_bias": LOGIT_SCALE, "before": LOGIT_SCALE}


class _RoundedNet(nn.Module):
    """`TokenNet` with real parameters behind its integers."""

    def __init__(self, levels: tuple[int, ...], hidden: int = HIDDEN) -> None:
        super().__init__()
        self.levels = levels
        channels, most = len(levels), max(levels)
        inputs = input_count(channels)
        self.base = nn.Parameter(torch.randn(inputs, channels, hidden) * inputs**-0.5)
        self.base_bias = nn.Parameter(torch.zeros(channels, hidden))
        self.own = nn.Parameter(torch.randn(2 * channels, channels, hidden) * 0.2)
        self.out = nn.Parameter(torch.randn(channels, hidden, most) * 0.1)
        self.out_bias = nn.Parameter(torch.zeros(channels, most))
        self.before = nn.Parameter(torch.zeros(channels, most + 1, most))

    def _rounded(self) -> dict[str, Tensor]:
        rounded = {}
        for name, limit in _LIMITS.items():
            scaled = getattr(self, name) * _SCALES.get(name, WEIGHT_SCALE)
            rounded[name] = _straight(scaled.clamp(-limit, limit), torch.round)
        return rounded

    @classmethod
    @torch.no_grad()
    def of(cls, net: TokenNet) -> _RoundedNet:
        """A network whose integers are those of `net`."""
        model = cls(net.levels, net.base_bias.shape[1])
        for name, array in net.arrays().items():
            getattr(model, name).copy_(torch.from_numpy(array) / _SCALES.get(name, WEIGHT_SCALE))
        return model

    def forward(self, inputs: Tensor, digits: Tensor) -> Tensor:
        """Mean nats of a token: inputs `[N, F]` and digits `[N, C]`, both whole numbers."""
        w = self._rounded()
        steps = torch.tensor(self.levels) - 1
        signed = (2 * digits - steps).float()
        values = torch.stack([signed, signed.abs()], dim=-1).flatten(1)
        base = (inputs @ w["base"].flatten(1)).view(len(inputs), *self.base_bias.shape) + w["base_bias"]
        present = inputs[:, token_inputs(len(self.levels)) - 1] > 0
        total = inputs.new_zeros(())
        for channel, levels in enumerate(self.levels):
            hidden = base[:, channel] + values[:, : 2 * channel] @ w["own"][: 2 * channel, channel]
            hidden = hidden.clamp(0, (HIDDEN_MAX + 1) * 16 - 1) / (1 << HIDDEN_SHIFT)
            hidden = _straight(hidden, torch.floor)
            digit = (inputs[:, 2 * channel].long() + levels - 1) >> 1
            row = torch.where(present, digit, self.before.shape[1] - 1)
            logits = hidden @ w["out"][channel] + w["out_bias"][channel] + w["before"][channel][row]
            total = total + F.cross_entropy(logits[:, :levels] / LOGIT_SCALE, digits[:, channel])
        return total

    @torch.no_grad()
    def integers(self) -> TokenNet:
        kinds = {"base": np.int8, "own": np.int8, "out": np.int8, "before": np.int16}
        arrays = {
            name: tensor.numpy().astype(kinds.get(name, np.int32)) for name, tensor in self._rounded().items()
        }
        # Digits not yet known when a channel is coded, and values its digits do not have.
        for channel, levels in enumerate(self.levels):
            arrays["own"][2 * channel :, channel] = 0
            arrays["out"][channel, :, levels:] = 0
            arrays["out_bias"][channel, levels:] = 0
            arrays["before"][channel, :, levels:] = 0
        return TokenNet.from_arrays(self.levels, arrays)


def _straight(values: Tensor, rounding: object) -> Tensor:
    """Round, passing the gradient straight through."""
    assert callable(rounding)
    rounded: Tensor = values + (rounding(values) - values).detach()
    return rounded


def _empty_net(levels: tuple[int, ...]) -> TokenNet:
    channels, most = len(levels), max(levels)
    return TokenNet(
        levels=levels,
        base=np.zeros((input_count(channels), channels, 1), np.int8),
        base_bias=np.zeros((channels, 1), np.int32),
        own=np.zeros((2 * channels, channels, 1), np.int8),
        out=np.zeros((channels, 1, most), np.int8),
        out_bias=np.zeros((channels, most), np.int32),
        before=np.zeros((channels, most + 1, most), np.int16),
    )
