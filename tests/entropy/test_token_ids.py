from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infotok_cli.entropy.token_ids import codebook_size, pack_raw, unpack_raw
from infotok_cli.errors import InputError

LEVELS = (8, 8, 8, 5, 5, 5)


@given(st.lists(st.integers(0, 63_999)))
def test_round_trip(ids: list[int]) -> None:
    data = pack_raw(np.array(ids, np.int64), LEVELS)
    back = unpack_raw(data, len(ids), LEVELS)
    assert back.dtype == np.uint16
    assert back.tolist() == ids


def test_bytes_are_little_endian() -> None:
    assert pack_raw(np.array([1, 0x1234, 63_999], np.uint16), LEVELS) == bytes.fromhex("0100 3412 fff9")
    assert codebook_size(LEVELS) == 64_000
    assert unpack_raw(b"\xff\xff", 1, (256, 16, 16)).tolist() == [65_535]


@pytest.mark.parametrize("ids", [[64_000], [-1], [0, 70_000], [[1]], [0.5]])
def test_ids_out_of_range_are_not_packed(ids: list[int]) -> None:
    with pytest.raises(ValueError, match="token ids"):
        pack_raw(np.array(ids), LEVELS)


def test_ids_out_of_range_are_not_unpacked() -> None:
    with pytest.raises(InputError, match="token 1 has id 64000, the quantizer has 64000 ids"):
        unpack_raw(bytes.fromhex("0000 00fa"), 2, LEVELS)


@pytest.mark.parametrize("count", [0, 2, 1 << 40])
def test_a_wrong_length_is_refused(count: int) -> None:
    with pytest.raises(InputError, match="2 bytes"):
        unpack_raw(b"\0\0", count, LEVELS)


def test_levels_beyond_16_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="65,536"):
        codebook_size((256, 257))
