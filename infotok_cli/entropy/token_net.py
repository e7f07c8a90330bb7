"""What each digit of a token is likely to be: a small integer network over tokens already decoded.

A token id is a mixed-radix number of FSQ digits (kernels' FSQ, first channel least). Tokens are coded
in waves: for each latent step, first the kept positions (y, x) with y + x even, then the odd ones; in
a wave, channel after channel for all its positions. The digits that a wave may look at are those of
earlier waves at fixed offsets, and the earlier channels of the token itself. What they say is news, so their
magnitudes tell more than their signs: both are inputs. How the block moves is known before any token.

All arithmetic is on integers, so that both sides agree on every machine. For speed they are held in
float32 and float64, and only where every step is exact (`_Layer`, `Wave.chances`): so no order of summation
and no instruction set can change them. docs/FORMAT.md specifies the whole of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from infotok_cli.blocks import block_grid, spread_rank
from infotok_cli.errors import InputError
from infotok_cli.motion import DISPLACEMENTS, MOTION_SIDE, STILL, Motion, motion_grid
from infotok_cli.segment_tokens import Maps

OFFSETS: tuple[tuple[int, int, int], ...] = (
    (-1, 0, 0), (-2, 0, 0), (-1, -1, 0), (-1, 1, 0), (-1, 0, -1), (-1, 0, 1),
    (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1),
)  # fmt: skip
"""Where a token looks, (t, y, x) relative to itself; what is not decoded or not kept reads as absent."""

PRESENT = 8
"""Input that says that a token is there, and the value of a chosen class."""

CLASSES = 8 + 8
"""Inputs of a token's block: tokens in it (1..8), rank in it (0..7)."""

MOTION_INPUTS = 4
"""Inputs of a token's motion block: whether it moves, how far down, how far to the right, and how many of its
neighbours do otherwise."""

SITUATION = CLASSES + 1 + MOTION_INPUTS
"""Inputs besides tokens: those of the block, second half of the step, motion."""

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

_EARLIER = 6
"""The first of `OFFSETS`: those in earlier steps."""

_DECAY = DECAY.astype(np.float64)

_UNITS = np.eye(8, dtype=np.float32)
_CLASS_INPUTS = PRESENT * np.concatenate([np.repeat(_UNITS, 8, axis=1), np.tile(_UNITS, (1, 8))])
"""`[CLASSES, 64]`, by 8 * (tokens in the block - 1) + rank in the block."""


def token_inputs(channels: int) -> int:
    """Inputs that one token of this many FSQ channels gives: each digit, its magnitude, and `PRESENT`."""
    return 2 * channels + 1


def input_count(channels: int) -> int:
    """Inputs of the network for tokens of this many FSQ channels."""
    return len(OFFSETS) * token_inputs(channels) + SITUATION


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
    """`[2C, C, H]`: from digit j of the token itself (2j) and its magnitude (2j + 1) to the hidden units of
    channel c; 0 unless j < c."""
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
            "own": (2 * channels, channels, hidden),
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


@dataclass(frozen=True)
class _Layer:
    """Weights of one channel in float32, scaled so that a floor does what the format does by a shift.

    Sums of `first` are multiples of 1/16 below 2^23 / 16, those of `second` and `before` multiples of 1/32
    below 2^23 / 32, whatever weights and levels the format allows: exact in any order of summation.
    """

    first: NDArray[np.float32]
    """`[H, F + 1 + 2c]`: from the rows of `Wave._known` to hidden units."""
    second: NDArray[np.float32]
    """`[L, H]`: from hidden units to logits."""
    before: NDArray[np.float32]
    """`[L, rows]`: added to the logits by the digit one step before; the bias is in it."""


def _layers(net: TokenNet) -> list[_Layer]:
    """One for each channel."""
    split, end = (places * token_inputs(len(net.levels)) for places in (_EARLIER, len(OFFSETS)))
    base = np.concatenate([net.base[split:end], net.base[:split], net.base[end:]])
    layers = []
    for channel, levels in enumerate(net.levels):
        bias, own = net.base_bias[channel, None], net.own[: 2 * channel, channel]
        first = np.concatenate([base[:, channel], bias, own]).T
        before = (net.before[channel, :, :levels] + net.out_bias[channel, :levels]).T
        second = net.out[channel, :, :levels].T
        layers.append(
            _Layer(_scaled(first, HIDDEN_SHIFT), _scaled(second, LOGIT_SHIFT), _scaled(before, LOGIT_SHIFT))
        )
    return layers


def _scaled(whole: NDArray[np.integer], shift: int) -> NDArray[np.float32]:
    return whole.astype(np.float32, order="C") * np.float32(2.0**-shift)


class Waves:
    """Walks over the kept tokens of one segment, telling chances and taking in digits."""

    def __init__(self, net: TokenNet, maps: Maps) -> None:
        """Raises ValueError when the maps are of different grids."""
        self.net = net
        self._layers = _layers(net)
        keep = maps.keep
        steps, rows, columns = keep.shape
        if maps.motion.shape != motion_grid((steps, rows, columns)):
            raise ValueError(f"motion map of shape {maps.motion.shape} does not fit a grid {keep.shape}")
        even = np.add.outer(np.arange(rows), np.arange(columns)) % 2 == 0
        self._halves = np.stack([keep & even, keep & ~even], axis=1).reshape(2 * steps, rows, columns)
        half_step, place = np.divmod(np.flatnonzero(self._halves), rows * columns)
        self.places: NDArray[np.int64] = half_step // 2 * (rows * columns) + place
        """Index of each token in the flattened grid, in coding order, `[n]`."""
        self._ends = np.searchsorted(half_step, np.arange(2 * steps), side="right").tolist()
        padded = (steps + _MARGIN, rows + 2 * _MARGIN, columns + 2 * _MARGIN)
        inside = np.arange(math.prod(padded)).reshape(padded)[_MARGIN:, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
        self._at = inside.reshape(-1)[self.places]
        self._offsets = np.array(OFFSETS) @ (padded[1] * padded[2], padded[2], 1)
        self._classes = _classes(keep).reshape(-1)[self.places]
        self._motion = _motion_inputs(maps.motion, (rows, columns)).reshape(-1, MOTION_INPUTS)[self.places]
        channels = len(net.levels)
        self._seen = np.zeros((math.prod(padded), token_inputs(channels)), np.int16)
        self._seen_rows = np.full((math.prod(padded), channels), net.before.shape[2], np.uint8)

    def __iter__(self) -> Iterator[Wave]:
        """The waves that have tokens, in order; each must be finished before the next is asked for."""
        start = 0
        for half_step, end in enumerate(self._ends):
            if end > start:
                yield Wave(self, half_step, slice(start, end))
            start = end


class Wave:
    """Tokens of one half of a latent step."""

    def __init__(self, waves: Waves, half_step: int, tokens: slice) -> None:
        self.step, half = divmod(half_step, 2)
        self.tokens = tokens
        """Which tokens these are in coding order."""
        self.where: NDArray[np.bool_] = waves._halves[half_step]
        """Kept positions of the wave, `[h, w]`; its tokens are in the order of these."""
        self._waves, self._at = waves, waves._at[tokens]
        count, channels = len(self._at), len(waves.net.levels)
        # Rows: places in the same step, where the first half has nothing to see, and in earlier steps,
        # situation, 1, then the token's own digits and their magnitudes as they become known.
        offsets = waves._offsets[_EARLIER:] if half else waves._offsets[:0]
        offsets = np.concatenate([offsets, waves._offsets[:_EARLIER]])
        near = len(offsets) * token_inputs(channels)
        self._own = near + SITUATION + 1
        self._known = np.empty((self._own + 2 * channels, count), np.float32)
        self._known[:near] = waves._seen.take(self._at[:, None] + offsets, axis=0).reshape(count, near).T
        self._known[near : near + CLASSES] = _CLASS_INPUTS.take(waves._classes[tokens], axis=1)
        self._known[near + CLASSES] = PRESENT * half
        self._known[near + CLASSES + 1 : self._own - 1] = waves._motion[tokens].T
        self._known[self._own - 1] = 1
        self._before = waves._seen_rows.take(self._at + waves._offsets[0], axis=0)

    @property
    def inputs(self) -> NDArray[np.float32]:
        """Inputs of the network, `[n, F]`, in the order of `TokenNet.base`."""
        place = token_inputs(len(self._waves.net.levels))
        near = self._own - 1 - SITUATION
        same, earlier = np.split(self._known[:near], [near - _EARLIER * place])
        if not len(same):
            same = np.zeros(((len(OFFSETS) - _EARLIER) * place, same.shape[1]), np.float32)
        return np.concatenate([earlier, same, self._known[near : self._own - 1]]).T

    def chances(self, channel: int) -> NDArray[np.float64]:
        """Frequencies `[n, levels]` of the digits of `channel`, each at least 1, as shares of TOTAL.

        All channels before it must have been put in. Before the last line float64 holds only whole numbers
        below 2^53. The quotient of two of these lies further below the next whole number than it can be
        off by rounding, so its floor is exact.
        """
        layer, levels = self._waves._layers[channel], self._waves.net.levels[channel]
        known = self._known[: self._own + 2 * channel]
        hidden = layer.first[:, -len(known) :] @ known
        np.floor(hidden, out=hidden).clip(0, HIDDEN_MAX, out=hidden)
        logits = layer.second @ hidden
        logits += layer.before.take(self._before[:, channel], axis=1)
        np.floor(logits, out=logits)
        below = (logits.max(axis=0) - logits).astype(np.intp)
        weight = _DECAY.take(below, mode="clip")
        total = weight.sum(axis=0)
        weight *= TOTAL - levels
        weight /= total
        spread = np.floor(weight, out=weight)
        spread += 1
        spread[below.argmin(axis=0), np.arange(len(total))] += TOTAL - spread.sum(axis=0)
        return np.ascontiguousarray(spread.T) / TOTAL

    def put(self, channel: int, digits: NDArray[np.integer]) -> None:
        """Take in the digits `[n]` of `channel`; after the last channel, later waves see these tokens."""
        waves = self._waves
        value, magnitude = self._known[self._own + 2 * channel : self._own + 2 * channel + 2]
        np.subtract(2 * digits, waves.net.levels[channel] - 1, out=value)
        np.abs(value, out=magnitude)
        waves._seen_rows[self._at, channel] = digits
        if channel == len(waves.net.levels) - 1:
            waves._seen[self._at, :-1] = self._known[self._own :].T
            waves._seen[self._at, -1] = PRESENT


def _classes(keep: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Row `[t, h, w]` of `_CLASS_INPUTS` of each position that is kept."""
    steps, rows, columns = keep.shape
    blocks = block_grid((steps, rows, columns))
    counts = np.zeros([2 * n for n in blocks], np.uint8)
    counts[:steps, :rows, :columns] = keep
    counts = counts[::2] + counts[1::2]
    counts = counts[:, ::2] + counts[:, 1::2]
    counts = counts[:, :, ::2] + counts[:, :, 1::2]
    for axis in range(3):
        counts = np.repeat(counts, 2, axis=axis)
    # Where a block is empty this wraps round, but there nothing is kept.
    codes: NDArray[np.uint8] = (counts[:steps, :rows, :columns] - 1) * 8 + spread_rank((steps, rows, columns))
    return codes


def _motion_inputs(motion: Motion, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Whether and how far the block of a position moves, and how many of its neighbours do otherwise.

    `[t, h, w, MOTION_INPUTS]`, h and w being `size`.
    """
    middle = len(DISPLACEMENTS) // 2
    down, right = (
        np.abs(number.astype(np.int8) - middle) for number in np.divmod(motion, len(DISPLACEMENTS))
    )
    around = np.pad(motion, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows, columns = motion.shape[1:]
    others = np.zeros(motion.shape, np.uint8)
    for y, x in ((0, 1), (2, 1), (1, 0), (1, 2)):
        others += around[:, y : y + rows, x : x + columns] != motion
    moves = np.uint8(PRESENT) * (motion != STILL)
    told = np.stack([moves, down, right, PRESENT // 2 * others], axis=-1, dtype=np.uint8, casting="unsafe")
    row, column = (np.arange(side) // MOTION_SIDE for side in size)
    return told[:, row[:, None], column]
