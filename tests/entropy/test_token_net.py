"""The token net against docs/FORMAT.md section 4 in plain integers, with the largest weights there can be."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from infotok_cli.blocks import spread_rank
from infotok_cli.entropy.token_coding import to_digits
from infotok_cli.entropy.token_net import DECAY, OFFSETS, TOTAL, TokenNet, Waves, input_count
from infotok_cli.motion import no_motion
from infotok_cli.segment_tokens import Maps
from made_motion import made_motion

Place = tuple[int, int, int]

GRID: Place = (3, 5, 6)
"""3x3 motion blocks in a step, so that one has four neighbours."""


def extreme_net(seed: int, levels: tuple[int, ...], hidden: int, *, one_sign: bool = False) -> TokenNet:
    """Every weight at one end of its range; with `one_sign` sums are as large as they can get."""
    random = np.random.default_rng(seed)
    channels, most = len(levels), max(levels)

    def ends(shape: tuple[int, ...], low: int, high: int) -> NDArray[np.int64]:
        picked = np.ones(shape, bool) if one_sign else random.random(shape) < 0.5
        return np.where(picked, high, low)

    return TokenNet(
        levels=levels,
        base=ends((input_count(channels), channels, hidden), -128, 127).astype(np.int8),
        base_bias=ends((channels, hidden), -(1 << 20), 1 << 20).astype(np.int32),
        own=ends((2 * channels, channels, hidden), -128, 127).astype(np.int8),
        out=ends((channels, hidden, most), -128, 127).astype(np.int8),
        out_bias=ends((channels, most), -(1 << 20), 1 << 20).astype(np.int32),
        before=ends((channels, most + 1, most), -(1 << 15), (1 << 15) - 1).astype(np.int16),
    )


def gentle_net(seed: int, levels: tuple[int, ...], hidden: int) -> TokenNet:
    """Weights that leave hidden units and frequencies between their limits."""
    random = np.random.default_rng(seed)
    whole = extreme_net(seed, levels, hidden)
    arrays = {
        name: (array * random.random(array.shape) / (1000 if "bias" in name else 8)).astype(array.dtype)
        for name, array in whole.arrays().items()
    }
    return TokenNet.from_arrays(levels, arrays)


def specified_digits(net: TokenNet, digits: list[int]) -> list[int]:
    """What is known of a token by the digits of its first channels."""
    values = [2 * d - (n - 1) for d, n in zip(digits, net.levels, strict=False)]
    return [told for value in values for told in (value, abs(value))]


def specified_inputs(net: TokenNet, place: Place, seen: dict[Place, list[int]], maps: Maps) -> list[int]:
    """Inputs of a position; `seen`: digits of the tokens that may be looked at."""
    inputs: list[int] = []
    for offset in OFFSETS:
        there = (place[0] + offset[0], place[1] + offset[1], place[2] + offset[2])
        if there in seen:
            inputs += [*specified_digits(net, seen[there]), 8]
        else:
            inputs += [0] * (2 * len(net.levels) + 1)
    block = tuple(slice(at // 2 * 2, at // 2 * 2 + 2) for at in place)
    kept, rank = int(maps.keep[block].sum()), int(spread_rank(GRID)[place])
    inputs += [8 * (k == kept - 1) for k in range(8)] + [8 * (r == rank) for r in range(8)]
    inputs.append(8 * ((place[1] + place[2]) % 2))
    t, y, x = (place[0], place[1] // 2, place[2] // 2)
    vectors = maps.motion[t]
    moved, last = int(vectors[y, x]), (vectors.shape[0] - 1, vectors.shape[1] - 1)
    beside = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
    parted = sum(
        int(vectors[at] != moved) for at in beside if 0 <= at[0] <= last[0] and 0 <= at[1] <= last[1]
    )
    return [*inputs, 8 * (moved != 112), abs(moved // 15 - 7), abs(moved % 15 - 7), 4 * parted]


def specified_frequencies(
    net: TokenNet, inputs: list[int], channel: int, before: list[int] | None, own: list[int]
) -> list[int]:
    """Frequencies of one digit; `before`: digits one step before, `own`: those of the token itself so far."""
    values = np.array(specified_digits(net, own), np.int64)
    active = net.base_bias[channel] + np.array(inputs) @ net.base[:, channel].astype(np.int64)
    active += values @ net.own[: len(values), channel].astype(np.int64)
    gates = np.minimum(255, np.maximum(0, active) >> 4)
    row = net.before.shape[1] - 1 if before is None else before[channel]
    count = net.levels[channel]
    logits = gates @ net.out[channel, :, :count].astype(np.int64) + net.out_bias[channel, :count]
    heights = ((logits + net.before[channel, row, :count]) >> 5).tolist()
    weights = [int(DECAY[min(255, max(heights) - z)]) for z in heights]
    told = [1 + w * (TOTAL - count) // sum(weights) for w in weights]
    told[heights.index(max(heights))] += TOTAL - sum(told)
    return told


@pytest.mark.parametrize(
    ("levels", "hidden"), [((255, 255), 128), ((2,) * 16, 128), ((8, 8, 8, 5, 5, 5), 32), ((2,), 1)]
)
@pytest.mark.parametrize("kind", ["both signs", "one sign", "gentle"])
def test_chances_are_the_specified_frequencies(levels: tuple[int, ...], hidden: int, kind: str) -> None:
    seed = len(levels)
    if kind == "gentle":
        net = gentle_net(seed, levels, hidden)
    else:
        net = extreme_net(seed, levels, hidden, one_sign=kind == "one sign")
    random = np.random.default_rng(seed)
    keep = random.random(GRID) < 0.8
    keep[0, 0, 0] = True
    ids = random.integers(0, math.prod(levels), int(keep.sum())).astype(np.uint16)
    if kind == "one sign":  # inputs at the end of their range too
        ids[:] = math.prod(levels) - 1
    places: list[Place] = [(t, y, x) for t, y, x in np.argwhere(keep).tolist()]
    digits = dict(zip(places, to_digits(ids, levels).tolist(), strict=True))
    seen: dict[Place, list[int]] = {}
    motion = made_motion(GRID, seed)
    motion[1, 1] = motion[1, 0, 0]  # neighbours with one vector
    maps = Maps(keep, motion)
    for wave in Waves(net, maps):
        here: list[Place] = [(wave.step, y, x) for y, x in np.argwhere(wave.where).tolist()]
        inputs = [specified_inputs(net, place, seen, maps) for place in here]
        assert wave.inputs.tolist() == inputs
        for channel in range(len(levels)):
            rows = (wave.chances(channel) * TOTAL).tolist()
            for place, row, known in zip(here, rows, inputs, strict=True):
                before = seen.get((place[0] - 1, place[1], place[2]))
                assert row == specified_frequencies(net, known, channel, before, digits[place][:channel])
            wave.put(channel, np.array([digits[place][channel] for place in here]))
        seen |= {place: digits[place] for place in here}
    assert seen == digits


def test_tokens_come_in_coding_order() -> None:
    keep = np.random.default_rng(0).random((4, 5, 3)) < 0.5
    order = [
        (t * 5 + y) * 3 + x
        for t, half, y, x in itertools.product(range(4), range(2), range(5), range(3))
        if keep[t, y, x] and (y + x) % 2 == half
    ]
    waves = Waves(extreme_net(0, (4, 4), 2), Maps(keep, no_motion((4, 5, 3))))
    assert waves.places.tolist() == order
    assert np.concatenate([np.arange(60)[w.tokens] for w in waves]).tolist() == list(range(len(order)))
