from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infotok_cli.entropy.range_coder import BitDecoder, encode_bits
from infotok_cli.errors import InputError

STARTS = (32768, 256, 65280, 6400)
DECISIONS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, len(STARTS) - 1)), max_size=600)


def encode_by_the_book(decisions: list[tuple[int, int]]) -> bytes:
    """The encoder as docs/FORMAT.md states it: one number without bound, nothing clever."""
    probability, seen = list(STARTS), [0] * len(STARTS)
    low, span, shifts = 0, 2**32 - 1, 0
    for bit, context in decisions:
        p = probability[context]
        bound = (span * p) >> 16
        rate = 65536 // min(12 + seen[context], 60)
        seen[context] += 1
        if bit:
            span = bound
            probability[context] = p + (((65536 - p) * rate) >> 16)
        else:
            low, span = low + bound, span - bound
            probability[context] = p - ((p * rate) >> 16)
        while span < 2**24:
            low, span, shifts = low * 256, span * 256, shifts + 1
    rounded = -(-low // 2**24) * 2**24
    return rounded.to_bytes(4 + shifts, "big").rstrip(b"\0")


def decode(data: bytes, contexts: list[int]) -> list[int]:
    decoder = BitDecoder(data, STARTS)
    bits = [decoder.decode(context) for context in contexts]
    decoder.finish()
    return bits


@given(DECISIONS)
@settings(max_examples=150, deadline=None)
def test_round_trip_and_the_stated_encoder(decisions: list[tuple[int, int]]) -> None:
    bits = [bit for bit, _ in decisions]
    contexts = [context for _, context in decisions]
    data = encode_bits(bits, contexts, STARTS)
    assert data == encode_by_the_book(decisions)
    assert decode(data, contexts) == bits


def test_literal_bytes() -> None:
    bits = [int(bit) for bit in "0010100000010100001000000101000110000000100100000000100010000001"]
    assert encode_bits(bits, [at % 4 for at in range(64)], STARTS).hex() == "c16bff6b51510b5ef21b"
    assert encode_bits([], [], STARTS) == b""


def test_carries_run_through_whole_stretches() -> None:
    """Unlikely zeros after likely ones push `low` to the top of its range, where carries are born."""
    for ones in range(0, 400, 7):
        decisions = [(1, 1)] * 3 + [(1, 2)] * ones + [(0, 2)] * 5 + [(1, 0)] * 9
        data = encode_bits([bit for bit, _ in decisions], [context for _, context in decisions], STARTS)
        assert data == encode_by_the_book(decisions)
    rng = random.Random(1)
    for _ in range(300):
        decisions = [(0, rng.randrange(4)) for _ in range(rng.randrange(60))]
        data = encode_bits([0] * len(decisions), [context for _, context in decisions], STARTS)
        assert data == encode_by_the_book(decisions)


def test_likely_bits_cost_little() -> None:
    assert len(encode_bits([1] * 10_000, [0] * 10_000, STARTS)) <= 8
    rng = random.Random(2)
    fair = [rng.randrange(2) for _ in range(8000)]
    assert 1000 <= len(encode_bits(fair, [0] * 8000, STARTS)) <= 1030


@given(DECISIONS.filter(bool), st.data())
@settings(max_examples=150, deadline=None)
def test_only_the_code_of_the_decoded_bits_is_accepted(
    decisions: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Random bytes either are refused or are the very code of what they decode to."""
    contexts = [context for _, context in decisions]
    garbage = data.draw(st.binary(max_size=90))
    decoder = BitDecoder(garbage, STARTS)
    bits = [decoder.decode(context) for context in contexts]
    code = encode_bits(bits, contexts, STARTS)
    if garbage == code:
        decoder.finish()
    else:
        with pytest.raises(InputError):
            decoder.finish()


def test_left_over_bytes_are_refused_and_missing_ones_never_pass_as_the_same_bits() -> None:
    rng = random.Random(3)
    contexts = [rng.randrange(4) for _ in range(300)]
    bits = [rng.randrange(2) for _ in contexts]
    data = encode_bits(bits, contexts, STARTS)
    for longer in (data + b"\0", data + b"\x01", data + bytes(50)):
        with pytest.raises(InputError, match="left over"):
            decode(longer, contexts)
    for length in range(len(data)):
        try:
            assert decode(data[:length], contexts) != bits
        except InputError:
            continue
