from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from infotok_cli.blocks import Grid, block_capacity, block_grid
from infotok_cli.entropy.keep_map import decode_levels, decode_positions, encode_levels, encode_positions
from infotok_cli.errors import InputError

GRIDS = st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9))


def smooth_field(shape: Grid, seed: int) -> NDArray[np.float64]:
    """Noise blurred over about three places, unit variance: a stand-in for an error map `[t, h, w]`."""
    field = np.random.default_rng(seed).normal(size=shape)
    for axis, rounds in ((0, 2), (1, 4), (2, 4)):
        for _ in range(rounds):
            field = field + (np.roll(field, 1, axis) + np.roll(field, -1, axis)) / 2
    normal: NDArray[np.float64] = (field - field.mean()) / field.std()
    return normal


def levels_of(field: NDArray[np.float64], grid: Grid) -> NDArray[np.uint8]:
    exponents = np.digitize(field, (-0.7, 0.0, 0.7))
    return np.minimum(2**exponents, block_capacity(grid)).astype(np.uint8)


@given(GRIDS, st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_levels_round_trip(grid: Grid, seed: int) -> None:
    rng = np.random.default_rng(seed)
    levels = np.minimum(2 ** rng.integers(0, 4, block_grid(grid)), block_capacity(grid)).astype(np.uint8)
    back = decode_levels(encode_levels(levels, grid), grid)
    assert back.dtype == np.uint8
    assert np.array_equal(back, levels)


@given(GRIDS, st.integers(0, 2**32 - 1), st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_positions_round_trip(grid: Grid, seed: int, share: float) -> None:
    keep = np.random.default_rng(seed).random(grid) < share
    back = decode_positions(encode_positions(keep), grid)
    assert back.dtype == np.bool_
    assert np.array_equal(back, keep)


def test_literal_bytes() -> None:
    """Files of version 1 hold such bytes for ever."""
    grid = (3, 7, 9)
    levels = np.array(
        [
            8,
            4,
            4,
            8,
            4,
            2,
            1,
            1,
            2,
            4,
            1,
            1,
            1,
            2,
            4,
            4,
            1,
            2,
            4,
            2,
            4,
            4,
            4,
            4,
            2,
            2,
            1,
            1,
            2,
            2,
            1,
            1,
            1,
            2,
            2,
            2,
            1,
            2,
            2,
            1,
        ],
        np.uint8,
    )
    levels = levels.reshape(block_grid(grid))
    assert encode_levels(levels, grid).hex() == "083abbbff2f7b9"
    keep = np.array([bit == "1" for bit in "110011101000110111001110"]).reshape(2, 3, 4)
    assert encode_positions(keep).hex() == "056a3af9fe"


@pytest.mark.parametrize("seed", range(4))
def test_smooth_maps_cost_well_below_raw(seed: int) -> None:
    grid = (4, 32, 56)
    levels = levels_of(smooth_field(block_grid(grid), seed), grid)
    assert len(encode_levels(levels, grid)) < 0.6 * (2 * levels.size / 8)
    keep = smooth_field((4, 32, 57), seed) > 0.2
    assert len(encode_positions(keep)) < 0.5 * (keep.size / 8)


@pytest.mark.parametrize("level", [1, 2, 4, 8])
@pytest.mark.parametrize("grid", [(4, 32, 56), (4, 31, 55), (4, 33, 57), (1, 32, 32)])
def test_uniform_levels_cost_a_few_bytes(level: int, grid: Grid) -> None:
    levels = np.minimum(level, block_capacity(grid))
    assert len(encode_levels(levels.astype(np.uint8), grid)) <= 16


@pytest.mark.parametrize("kept", [False, True])
def test_uniform_positions_cost_a_few_bytes(kept: bool) -> None:
    assert len(encode_positions(np.full((4, 32, 57), kept))) <= 4


def test_blocks_of_one_position_cost_nothing() -> None:
    assert encode_levels(np.ones((1, 1, 1), np.uint8), (1, 1, 1)) == b""
    assert decode_levels(b"", (1, 1, 1)).tolist() == [[[1]]]


def test_random_maps_cost_little_more_than_raw() -> None:
    rng = np.random.default_rng(0)
    levels = (2 ** rng.integers(0, 4, (2, 16, 28))).astype(np.uint8)
    assert len(encode_levels(levels, (4, 32, 56))) < 1.35 * levels.size / 4
    assert len(encode_positions(rng.random((4, 32, 57)) < 0.5)) < 1.1 * 4 * 32 * 57 / 8


@given(st.binary(max_size=200), GRIDS)
@settings(max_examples=150, deadline=None)
def test_garbage_gives_a_map_or_an_input_error(data: bytes, grid: Grid) -> None:
    try:
        levels = decode_levels(data, grid)
    except InputError:
        pass
    else:
        assert encode_levels(levels, grid) == data
    try:
        keep = decode_positions(data, grid)
    except InputError:
        pass
    else:
        assert encode_positions(keep) == data


def test_left_over_and_missing_bytes_are_refused() -> None:
    grid = (4, 16, 16)
    field = smooth_field(block_grid(grid), 1)
    data = encode_levels(levels_of(field, grid), grid)
    keep_data = encode_positions(smooth_field(grid, 1) > 0)
    for wrong in (data + b"\0", data + b"\x07", data[:-1], data[:3]):
        with pytest.raises(InputError):
            decode_levels(wrong, grid)
    for wrong in (keep_data + b"\0", keep_data + b"\x07", keep_data[:-1], keep_data[:3]):
        with pytest.raises(InputError):
            decode_positions(wrong, grid)


@pytest.mark.parametrize(
    ("levels", "grid"),
    [
        ([[[3]]], (2, 2, 2)),
        ([[[0]]], (2, 2, 2)),
        ([[[8]]], (2, 2, 1)),
        ([[[9]]], (2, 2, 2)),
        ([[[1]]], (2, 2, 3)),
    ],
)
def test_impossible_levels_are_refused(levels: list[list[list[int]]], grid: Grid) -> None:
    with pytest.raises(ValueError, match="levels"):
        encode_levels(np.array(levels, np.uint8), grid)


@pytest.mark.parametrize(
    "keep", [np.ones((2, 2), bool), np.ones((1, 2, 2), np.uint8), np.ones((0, 1, 1), bool)]
)
def test_what_is_no_keep_map_is_refused(keep: NDArray[np.bool_]) -> None:
    with pytest.raises(ValueError, match="keep map"):
        encode_positions(keep)


def test_speed() -> None:
    """Generous bounds, as the machine may be busy; about 1 ms and 3 ms when it is not."""
    rng = np.random.default_rng(0)
    grid = (4, 32, 56)
    levels = (2 ** rng.integers(0, 4, block_grid(grid))).astype(np.uint8)
    keep = rng.random((4, 32, 57)) < 0.5

    def best_seconds(keep_map: bool) -> float:
        times = []
        for _ in range(5):
            start = time.perf_counter()
            if keep_map:
                decode_positions(encode_positions(keep), keep.shape)
            else:
                decode_levels(encode_levels(levels, grid), grid)
            times.append(time.perf_counter() - start)
        return min(times)

    assert best_seconds(keep_map=False) < 0.016
    assert best_seconds(keep_map=True) < 0.080
