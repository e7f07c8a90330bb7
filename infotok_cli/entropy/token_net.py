"""What each digit of a token is likely to be: a small integer network over tokens already decoded.

A token id is a mixed-radix number of FSQ digits (kernels' FSQ, first channel least). Tokens are coded
in waves: for each latent step, first the kept positions (y, x) with y + x even, then the odd ones; in
a wave, channel after channel for all its positions. The digits that a wave may look at are those of
earlier waves at fixed offsets, and the earlier channels of the token itself.

All arithmetic is on integers, so that both sides agree on every machine. The products are taken in
float32 for speed: sums stay below 2^24, where float32 holds every integer, so no order of summation
and no instruction set can change them. docs/FORMAT.md specifies the whole of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from infotok_cli.blocks import block_grid, spread_rank
from infotok_cli.errors import InputError

OFFSETS: tuple[tuple[int, int, int], ...] = (
    (-1, 0, 0), (-2, 0, 0), (-1, -1, 0), (-1, 1, 0), (-1, 0, -1), (-1, 0, 1),
    (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1),
)  # fmt: skip
"""Where a token looks, (t, y, x) relative to itself; what is not decoded or not kept reads as absent."""

PRESENT = 8
"""Input that says that a token is there, and the value of a chosen class."""

CLASSES = 8 + 8 + 1
"""Inputs besides tokens: tokens in the block (1..8), rank in the block (0..7), second half of the step."""

HIDDEN_SHIFT, HIDDEN_MAX = 4, 255
LOGIT_SHIFT = 5
LOGITS_PER_NAT = 16
TOTAL_BITS = 15
TOTAL = 1 << TOTAL_BITS
"""Sum of the frequencies of a digit."""

DECAY: NDArray[np.int64] = np.array(
    [round(65536 * 2.718281828459045 ** (-k / LOGITS_PER_NAT)) for k in range(256)], np.int64
)
"""Weight of a value whose logit lies k sixteenths of a nat below the largest."""

TENSOR_PREFIX = "token_net."
"""Before the names of the net's arrays in a weights file."""

_MARGIN = 2
"""Steps, rows and columns of absence around a grid."""


def input_count(channels: int) -> int:
    """Inputs of the network for tokens of so many FSQ channels."""
    return len(OFFSETS) * (channels + 1) + CLASSES


@dataclass(frozen=True)
class TokenNet:
    """Integer weights; F = input_count(C) inputs, C channels, H hidden units a channel, L the most levels."""

    levels: tuple[int, ...]
    """FSQ levels of the C channels."""
    base: NDArray[np.int8]
    """`[F, C, H]`"""
    base_bias: NDArray[np.int32]
    """`[C, H]`"""
    own: NDArray[np.int8]
    """`[C, C, H]`: from digit j of the token itself to the hidden units of channel c; 0 unless j < c."""
    out: NDArray[np.int8]
    """`[C, H, L]`"""
    out_bias: NDArray[np.int32]
    """`[C, L]`"""
    before: NDArray[np.int16]
    """`[C, L + 1, L]`: added to the logits for the digit one step before; row L where that is absent."""

    def __post_init__(self) -> None:
        channels, hidden, most = len(self.levels), self.base.shape[-1], max(self.levels)
        shapes = {
            "base": (input_count(channels), channels, hidden),
            "base_bias": (channels, hidden),
            "own": (channels, channels, hidden),
            "out": (channels, hidden, most),
            "out_bias": (channels, most),
            "before": (channels, most + 1, most),
        }
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise InputError(
                    f"token net's {name} has shape {getattr(self, name).shape}, expected {shape}"
                )
        for name, limit in (("base_bias", 1 << 20), ("out_bias", 1 << 20)):
            if np.abs(getattr(self, name)).max(initial=0) > limit:
                raise InputError(f"token net's {name} has values beyond {limit}")
        if not 1 <= hidden <= 128:
            raise InputError(f"token net has {hidden} hidden units a channel, 1 to 128 are allowed")

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """All weights by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "levels"}

    @classmethod
    def from_arrays(cls, levels: tuple[int, ...], arrays: Mapping[str, NDArray[np.generic]]) -> TokenNet:
        """Rebuild from `arrays`; raises InputError when a name or a shape is wrong."""
        kinds = {"base": np.int8, "own": np.int8, "out": np.int8, "before": np.int16}
        names = {f.name for f in fields(cls)} - {"levels"}
        if set(arrays) != names:
            raise InputError(f"token net has arrays {sorted(arrays)}, expected {sorted(names)}")
        for name, array in arrays.items():
            if array.dtype != kinds.get(name, np.int32):
                raise InputError(f"token net's {name} is {array.dtype}")
        return cls(levels=levels, **{name: np.ascontiguousarray(a) for name, a in arrays.items()})


class Waves:
    """Walks over the kept tokens of one segment, telling frequencies and taking in digits."""

    def __init__(self, net: TokenNet, keep: NDArray[np.bool_]) -> None:
        """keep: `[t, h, w]`."""
        self.net = net
        channels = len(net.levels)
        inputs = input_count(channels)
        self._base = net.base.reshape(inputs, -1).astype(np.float32)
        self._base_bias = net.base_bias.astype(np.float32)
        self._own = net.own.astype(np.float32)
        self._out = [
            np.ascontiguousarray(net.out[c, :, :levels]).astype(np.float32)
            for c, levels in enumerate(net.levels)
        ]
        steps, rows, columns = keep.shape
        padded = (steps + _MARGIN, rows + 2 * _MARGIN, columns + 2 * _MARGIN)
        self._stride = (padded[1] * padded[2], padded[2], 1)
        self._offsets = np.array([np.dot(offset, self._stride) for offset in OFFSETS])
        self._seen = np.zeros((int(np.prod(padded)), channels + 1), np.float32)
        self._keep = keep
        self._classes = _classes(keep)
        self._place = np.arange(len(self._seen)).reshape(padded)[_MARGIN:, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
        parity = np.add.outer(np.arange(rows), np.arange(columns)) % 2
        self._parities = [parity == 0, parity == 1]

    def __iter__(self) -> Iterator[Wave]:
        """The waves that have tokens, in order; each must be finished before the next is asked for."""
        for step in range(self._keep.shape[0]):
            for half, parity in enumerate(self._parities):
                where = self._keep[step] & parity
                if where.any():
                    yield self._wave(step, half, where)

    def _wave(self, step: int, half: int, where: NDArray[np.bool_]) -> Wave:
        at = self._place[step][where]
        near = self._seen[at[:, None] + self._offsets]
        classes = self._classes[step][where]
        classes[:, -1] = PRESENT * half
        inputs = np.concatenate([near.reshape(len(at), -1), classes], axis=1)
        hidden = (inputs @ self._base).reshape(len(at), *self._base_bias.shape) + self._base_bias
        return Wave(self, step=step, where=where, at=at, inputs=inputs, hidden=hidden)


class Wave:
    """Tokens of one half of a latent step."""

    def __init__(
        self,
        waves: Waves,
        *,
        step: int,
        where: NDArray[np.bool_],
        at: NDArray[np.int64],
        inputs: NDArray[np.float32],
        hidden: NDArray[np.float32],
    ) -> None:
        self.step = step
        self.where = where
        """Kept positions of the wave, `[h, w]`; its tokens are in the order of these."""
        self.inputs = inputs
        """Inputs of the network, `[n, F]`; the first C + 1 are the token one step before."""
        self._waves, self._at, self._hidden = waves, at, hidden
        self._values = np.zeros((len(at), len(waves.net.levels) + 1), np.float32)
        self._values[:, -1] = PRESENT

    def frequencies(self, channel: int) -> NDArray[np.int64]:
        """Frequencies `[n, levels]`, each at least 1, summing to TOTAL, of the digits of `channel`.

        All channels before it must have been put in.
        """
        waves, net = self._waves, self._waves.net
        levels = net.levels[channel]
        total = self._hidden[:, channel] + self._values[:, :channel] @ waves._own[:channel, channel]
        active = np.floor(np.clip(total, 0, (HIDDEN_MAX + 1) * 16 - 1) / (1 << HIDDEN_SHIFT))
        logits = (active @ waves._out[channel]).astype(np.int64) + net.out_bias[channel, :levels]
        present = self.inputs[:, len(net.levels)] > 0
        digit = (self.inputs[:, channel].astype(np.int64) + levels - 1) >> 1
        row = np.where(present, digit, net.before.shape[2])
        logits = (logits + net.before[channel, row, :levels]) >> LOGIT_SHIFT
        below = np.minimum(logits.max(axis=1, keepdims=True) - logits, len(DECAY) - 1)
        weight = DECAY[below]
        spread: NDArray[np.int64] = 1 + weight * (TOTAL - levels) // weight.sum(axis=1, keepdims=True)
        best = below.argmin(axis=1)
        spread[np.arange(len(spread)), best] += TOTAL - spread.sum(axis=1)
        return spread

    def put(self, channel: int, digits: NDArray[np.integer]) -> None:
        """Take in the digits `[n]` of `channel`; after the last channel, later waves see these tokens."""
        net = self._waves.net
        self._values[:, channel] = 2 * digits - (net.levels[channel] - 1)
        if channel == len(net.levels) - 1:
            self._waves._seen[self._at] = self._values


def _classes(keep: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Inputs `[t, h, w, CLASSES]` that the keep map alone gives."""
    steps, rows, columns = keep.shape
    bt, bh, bw = block_grid((steps, rows, columns))
    whole = np.zeros((2 * bt, 2 * bh, 2 * bw), np.int64)
    whole[:steps, :rows, :columns] = keep
    counts = whole.reshape(bt, 2, bh, 2, bw, 2).sum(axis=(1, 3, 5))
    for axis in range(3):
        counts = np.repeat(counts, 2, axis=axis)
    rank = spread_rank((steps, rows, columns))
    classes = np.zeros((*keep.shape, CLASSES), np.float32)
    classes[..., :8] = PRESENT * (counts[:steps, :rows, :columns, None] == np.arange(1, 9))
    classes[..., 8:16] = PRESENT * (rank[..., None] == np.arange(8))
    return classes
