"""Coded token ids come back, cost what their frequencies say, and follow the specified coder exactly."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from infotok_cli.blocks import block_capacity, block_grid, keep_from_levels
from infotok_cli.entropy.token_coding import (
    AHEAD,
    decode_first_ids,
    decode_ids,
    encode_ids,
    pack_ids,
    to_digits,
    unpack_first_ids,
    unpack_ids,
)
from infotok_cli.entropy.token_net import TOTAL, TokenNet, Waves, input_count
from infotok_cli.errors import InputError
from infotok_cli.segment_tokens import Maps
from made_motion import made_motion
from made_net import LEVELS, made_net, numbers

GOLDEN_SHA256 = "210866b6a9705d438922f4694fb80fa8b0543321fd8ec4991dbf27daad3304e9"

Ids = NDArray[np.uint16]


def random_net(seed: int, levels: tuple[int, ...] = LEVELS, hidden: int = 12) -> TokenNet:
    random = np.random.default_rng(seed)
    channels, most = len(levels), max(levels)
    own = random.integers(-60, 60, (2 * channels, channels, hidden)).astype(np.int8)
    for channel in range(channels):
        own[2 * channel :, channel] = 0
    return TokenNet(
        levels=levels,
        base=random.integers(-40, 40, (input_count(channels), channels, hidden)).astype(np.int8),
        base_bias=random.integers(-900, 900, (channels, hidden)).astype(np.int32),
        own=own,
        out=random.integers(-30, 30, (channels, hidden, most)).astype(np.int8),
        out_bias=random.integers(-900, 900, (channels, most)).astype(np.int32),
        before=random.integers(-900, 900, (channels, most + 1, most)).astype(np.int16),
    )


def random_segment(seed: int, grid: tuple[int, int, int]) -> tuple[Ids, Maps]:
    random = np.random.default_rng(seed)
    levels = 2 ** random.integers(0, 4, block_grid(grid))
    keep = keep_from_levels(np.minimum(levels, block_capacity(grid)).astype(np.uint8), grid)
    if random.random() < 0.3:
        keep = random.random(grid) < 0.4
        keep[0, 0, 0] = True
    return random.integers(0, 64_000, int(keep.sum())).astype(np.uint16), Maps(keep, made_motion(grid, seed))


@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 6), st.integers(1, 9), st.integers(1, 9)),
    st.sampled_from([LEVELS, (2,), (16, 16, 255), (5, 4)]),
)
@settings(max_examples=60, deadline=None)
def test_round_trip(seed: int, grid: tuple[int, int, int], levels: tuple[int, ...]) -> None:
    ids, maps = random_segment(seed, grid)
    ids = (ids % math.prod(levels)).astype(np.uint16)
    net = random_net(seed, levels)
    assert np.array_equal(decode_ids(encode_ids(ids, maps, net), maps, net), ids)
    payload = pack_ids(1, ids, maps, levels, net)
    assert len(payload) <= 2 * len(ids)
    assert np.array_equal(unpack_ids(1, payload, maps, levels, net), ids)
    assert np.array_equal(unpack_ids(0, pack_ids(0, ids, maps, levels, None), maps, levels, None), ids)
    with pytest.raises(ValueError, match=f"{len(ids) + 1} ids for {len(ids)} kept positions"):
        pack_ids(0, np.append(ids, ids[:1] if len(ids) else np.zeros(1, np.uint16)), maps, levels, None)


@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 5)),
    st.sampled_from([0, 1]),
)
@settings(max_examples=30, deadline=None)
def test_every_start_of_a_code_gives_true_ids_of_whole_steps(
    seed: int, grid: tuple[int, int, int], coding: int
) -> None:
    ids, maps = random_segment(seed, grid)
    net = made_net() if seed % 2 else random_net(seed)
    payload = pack_ids(coding, ids, maps, LEVELS, net)
    ends = [0, *np.cumsum(maps.keep.sum(axis=(1, 2))).tolist()]
    before = 0
    for length in range(len(payload)):
        first = unpack_first_ids(coding, payload[:length], len(payload), maps, LEVELS, net=net)
        assert np.array_equal(first, ids[: len(first)])
        assert before <= len(first)
        assert len(first) in ends
        before = len(first)
    # A code's last words are shared by all that comes at the end, so the steps before the last are there.
    if len(payload) == 2 * len(ids) and len(ids):
        assert before == max(end for end in ends if end < len(ids))


def test_the_start_of_a_code_holds_nearly_all_that_was_paid_for_it() -> None:
    """But for `AHEAD` words and the one that is cut."""
    ids, maps = random_segment(4, (6, 5, 5))
    net = random_net(4)
    ends = np.cumsum(maps.keep.sum(axis=(1, 2)))
    payload = encode_ids(ids, maps, net)
    for steps in range(1, 6):
        alone = Maps(maps.keep.copy(), maps.motion)
        alone.keep[steps:] = False
        # Levels of blocks are among what is known of a token, so a block is not to be cut.
        if steps % 2:
            continue
        taken = len(encode_ids(ids[: ends[steps - 1]], alone, net))
        first = decode_first_ids(payload[: taken + 4 * (AHEAD + 1)], maps, net)
        assert len(first) >= ends[steps - 1]


def told_frequencies(ids: Ids, maps: Maps, net: TokenNet) -> list[tuple[int, list[int]]]:
    """Digit and frequencies of every symbol in coding order."""
    digits = np.zeros((*maps.keep.shape, len(net.levels)), np.int32)
    digits[maps.keep] = to_digits(ids, net.levels)
    told = []
    for wave in Waves(net, maps):
        mine = digits[wave.step][wave.where]
        for channel in range(len(net.levels)):
            rows = wave.chances(channel) * TOTAL
            assert (rows >= 1).all()
            assert (rows.sum(axis=1) == TOTAL).all()
            assert (rows == np.floor(rows)).all()
            told += list(zip(mine[:, channel].tolist(), rows.astype(int).tolist(), strict=True))
            wave.put(channel, mine[:, channel])
    return told


def specified_code(symbols: list[tuple[int, list[int]]]) -> bytes:
    """The range coder of docs/FORMAT.md, in plain integers."""
    mask, words = (1 << 64) - 1, []
    low, span, held, held_word = 0, mask, 0, 0
    for digit, frequencies in symbols:
        count = len(frequencies)

        def edge(index: int, frequencies: list[int] = frequencies, count: int = count) -> int:
            if index == count:
                return 1 << 24
            return sum(frequencies[:index]) * ((1 << 24) - count) // TOTAL + index

        start, width = edge(digit), edge(digit + 1) - edge(digit)
        scale = span >> 24
        span = scale * width
        moved = low + scale * start
        if held and moved + span <= mask:
            # The words held back do not carry after all.
            words += [held_word, *[0xFFFFFFFF] * (held - 1)]
            held = 0
        elif held and moved > mask:
            words += [held_word + 1, *[0] * (held - 1)]
            held = 0
        low = moved & mask
        if span < 1 << 32:
            span <<= 32
            top = low >> 32
            low = (low << 32) & mask
            if held:
                held += 1
            elif low + span <= mask:
                words.append(top)
            else:
                held, held_word = 1, top
    point = low + (1 << 32) - 1
    if held:
        words += (
            [held_word + 1, *[0] * (held - 1)] if point > mask else [held_word, *[0xFFFFFFFF] * (held - 1)]
        )
    if symbols:
        words.append((point & mask) >> 32)
    while words and not words[-1]:
        words.pop()
    return b"".join(word.to_bytes(4, "little") for word in words)


def test_bytes_are_those_of_the_specified_coder() -> None:
    """Many small segments: the ends of codes are where coders differ."""
    for seed in range(250):
        ids, maps = random_segment(seed, (1 + seed % 4, 2, 1 + seed % 3))
        net = random_net(seed)
        code = encode_ids(ids, maps, net)
        assert code == specified_code(told_frequencies(ids, maps, net)), seed
        assert np.array_equal(decode_ids(code, maps, net), ids), seed


def test_size_is_what_the_frequencies_say() -> None:
    ids, maps = random_segment(5, (8, 12, 12))
    net = random_net(5)
    bits = sum(-math.log2(row[digit] / TOTAL) for digit, row in told_frequencies(ids, maps, net))
    assert 8 * len(encode_ids(ids, maps, net)) == pytest.approx(bits, rel=1e-3, abs=48)


def test_golden_bytes() -> None:
    """The bytes of coding 1 must never change: old files would be lost."""
    maps = Maps(numbers((6, 7, 9), 0, 3) > 0, numbers((6, 4, 5), 0, 225).astype(np.uint8))
    ids = numbers((int(maps.keep.sum()),), 0, 64_000).astype(np.uint16)
    code = encode_ids(ids, maps, made_net())
    assert hashlib.sha256(code).hexdigest() == GOLDEN_SHA256
    assert np.array_equal(decode_ids(code, maps, made_net()), ids)


def test_damaged_code_never_passes_for_whole(fresh_seed: int) -> None:
    ids, maps = random_segment(3, (4, 6, 6))
    net = random_net(3)
    code = encode_ids(ids, maps, net)
    random = np.random.default_rng(fresh_seed)
    for _ in range(30):
        changed = bytearray(code)
        changed[int(random.integers(len(code)))] ^= int(random.integers(1, 256))
        try:
            back = decode_ids(bytes(changed), maps, net)
        except InputError:
            continue
        assert not np.array_equal(back, ids)
        assert encode_ids(back, maps, net) == bytes(changed)
    for wrong in (code[:-1], code[:-4], code + bytes(4), code + b"\0\0\0\1", code + bytes(12)):
        with pytest.raises(InputError):
            decode_ids(wrong, maps, net)


def test_wrong_counts_are_refused() -> None:
    ids, maps = random_segment(4, (2, 4, 4))
    with pytest.raises(ValueError, match="do not fit"):
        encode_ids(ids[1:], maps, random_net(4))
    with pytest.raises(ValueError, match="motion map of shape"):
        encode_ids(ids, Maps(maps.keep, maps.motion[:, 1:]), random_net(4))


def test_net_of_the_wrong_shape_is_refused() -> None:
    net = random_net(0)
    arrays = net.arrays()
    assert TokenNet.from_arrays(LEVELS, arrays).arrays().keys() == arrays.keys()
    with pytest.raises(InputError, match="base has shape"):
        TokenNet.from_arrays(LEVELS, arrays | {"base": net.base[1:]})
    with pytest.raises(InputError, match="expected"):
        TokenNet.from_arrays(LEVELS, {"base": net.base})
    with pytest.raises(InputError, match="own is float32"):
        TokenNet.from_arrays(LEVELS, arrays | {"own": net.own.astype(np.float32)})
