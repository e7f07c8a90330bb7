"""Flat sequences: one for each segment, one segment for each, and everything else refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from infotok_cli.blocks import token_grid
from infotok_cli.entropy import flat_ids
from infotok_cli.entropy.flat_ids import FlatSegment, flatten, flatten_bytes, split_file, unflatten
from infotok_cli.errors import InputError
from infotok_cli.motion import STILL, VECTORS, motion_grid, no_motion
from infotok_cli.segment_tokens import Tokens

SIZE = st.integers(1, 70)


@st.composite
def cases(draw: st.DrawFn) -> tuple[int, int, FlatSegment]:
    """Height, width and a segment."""
    height, width, frames = draw(SIZE), draw(SIZE), draw(st.integers(1, 64))
    trim_start = draw(st.integers(0, frames - 1))
    trim_end = draw(st.integers(0, frames - 1 - trim_start))
    if draw(st.booleans()) and draw(st.booleans()):
        return height, width, FlatSegment(frames, trim_start, trim_end, None)
    grid = token_grid(frames, height, width)
    keep = draw(hnp.arrays(np.bool_, grid))
    vectors = st.just(STILL) | st.integers(0, VECTORS - 1)
    motion = draw(hnp.arrays(np.uint8, motion_grid(grid), elements=vectors))
    motion[0] = STILL
    count = int(keep.sum())
    ids = draw(hnp.arrays(np.uint16, count, elements=st.integers(0, flat_ids.MAX_TOKEN_IDS - 1)))
    return height, width, FlatSegment(frames, trim_start, trim_end, Tokens(keep, motion, ids))


def same(one: FlatSegment, other: FlatSegment) -> bool:
    if (one.frames, one.trim_start, one.trim_end) != (other.frames, other.trim_start, other.trim_end):
        return False
    if one.tokens is None or other.tokens is None:
        return one.tokens is other.tokens
    return all(np.array_equal(a, b) for a, b in zip(one.tokens, other.tokens, strict=True))


@given(cases())
@settings(max_examples=150, deadline=None)
def test_round_trip(case: tuple[int, int, FlatSegment]) -> None:
    height, width, segment = case
    flat = flatten(segment)
    assert flat.dtype == np.uint16
    assert flat[0] == flat_ids.SEGMENT
    assert np.count_nonzero(flat == flat_ids.SEGMENT) == 1
    assert same(unflatten(flat, height, width), segment)


@given(cases(), st.data())
@settings(max_examples=150, deadline=None)
def test_a_changed_sequence_is_another_segment_or_none(
    case: tuple[int, int, FlatSegment], data: st.DataObject
) -> None:
    """So no two sequences stand for the same segment."""
    height, width, segment = case
    flat = flatten(segment)
    at = data.draw(st.integers(0, len(flat) - 1))
    near = st.integers(63_990, 64_002) | st.integers(64_500, 65_535)
    new = data.draw(st.lists(near | st.integers(63_990, 65_535), max_size=3))
    gone = data.draw(st.integers(0, 3))
    changed = np.concatenate([flat[:at], np.array(new, np.uint16), flat[at + gone :]])
    if np.array_equal(changed, flat):
        return
    try:
        other = unflatten(changed, height, width)
    except InputError:
        return
    assert not same(other, segment)
    assert np.array_equal(flatten(other), changed)


@pytest.mark.parametrize("gap", [0, 1, 511, 512, 513, 1024, 5000])
def test_runs_of_any_length(gap: int) -> None:
    keep = np.zeros((1, 1, gap + 2), np.bool_)
    keep[0, 0, [0, -1]] = True
    ids = np.array([7, 8], np.uint16)
    flat = flatten(FlatSegment(4, 0, 0, Tokens(keep, no_motion(keep.shape), ids)))
    runs = [64_511 + 512] * (gap // 512) + ([64_511 + gap % 512] if gap % 512 else [])
    assert flat.tolist() == [64_000, 64_067, 64_001, 7, *runs, 8]


@pytest.mark.parametrize("gap", [0, 1, 255, 256, 257, 512, 1000])
def test_still_runs_of_any_length(gap: int) -> None:
    """Blocks behind the last one that moves are not told."""
    keep = np.zeros((2, 1, 2 * (gap + 5)), np.bool_)
    motion = no_motion(keep.shape)
    motion[1, 0, [0, gap + 1]] = (0, 224)
    flat = flatten(FlatSegment(4, 0, 0, Tokens(keep, motion, np.zeros(0, np.uint16)))).tolist()
    runs = [65_279 + 256] * (gap // 256) + ([65_279 + gap % 256] if gap % 256 else [])
    step = flat[flat.index(64_001, 3) + 1 :]
    assert step[: len(runs) + 2] == [65_024, *runs, 65_248]
    assert all(64_512 <= item <= 65_023 for item in step[len(runs) + 2 :])


def test_motion_comes_before_tokens() -> None:
    """A grid of [2, 3, 3], so of four blocks a step."""
    keep = np.zeros((2, 3, 3), np.bool_)
    keep[:, 1, 1] = True
    motion = no_motion(keep.shape)
    motion[1] = [[112, 97], [112, 113]]
    segment = FlatSegment(4, 0, 0, Tokens(keep, motion, np.array([5, 6], np.uint16)))
    flat = flatten(segment)
    step = [64_515, 6, 64_515]
    assert flat.tolist() == [
        64_000, 64_067, 64_001, 64_515, 5, 64_515,
        64_001, 65_280, 65_024 + 97, 65_280, 65_024 + 113, *step,
    ]  # fmt: skip
    assert same(unflatten(flat, 24, 24), segment)


@pytest.mark.parametrize(
    ("flat", "message"),
    [
        ([], "must start with SEGMENT"),
        ([1, 2, 3], "must start with SEGMENT"),
        ([64_000, 64_000, 64_001], "frames"),
        ([64_000, 64_067, 64_128 + 4, 64_001, 1], "leave none to show"),
        ([64_000, 64_067, 64_192, 64_001, 1], "latent steps"),
        ([64_000, 64_067, 64_193, 64_129, 64_001, 1], "latent steps"),
        ([64_000, 64_067, 64_002, 1], "1 ids after LOST"),
        ([64_000, 64_067, 1], "latent steps"),
        ([64_000, 64_067, 64_001, 64_001, 1], "0 positions instead of 1"),
        ([64_000, 64_067, 64_001, 1, 2, 64_001, 1], "2 positions instead of 1"),
        ([64_000, 64_067, 64_001, 65_023, 64_001, 1], "512 positions instead of 1"),
        ([64_000, 64_067, 64_001, 64_300, 64_001, 1], "id 64300 is neither"),
        ([64_000, 64_068, 64_001, 1], "1 latent steps, 5 frames have 3"),
        ([64_000, 64_067, 64_001, 65_024, 1, 64_001, 1], "the lead of a segment cannot move"),
        ([64_000, 64_067, 64_001, 65_280, 1, 64_001, 1], "the lead of a segment cannot move"),
        ([64_000, 64_067, 64_001, 1, 64_001, 65_136, 1], "does not exist, or not at all"),
        ([64_000, 64_067, 64_001, 1, 64_001, 65_249, 1], "does not exist, or not at all"),
        ([64_000, 64_067, 64_001, 1, 64_001, 65_279, 1], "does not exist, or not at all"),
        ([64_000, 64_067, 64_001, 1, 64_001, 65_280, 1], "ends with blocks that do not move"),
        ([64_000, 64_067, 64_001, 1, 64_001, 65_024, 65_024, 1], "is of 2 blocks, and it has 1"),
        ([64_000, 64_067, 64_001, 1, 64_001, 65_280, 65_024, 1], "is of 2 blocks, and it has 1"),
        ([64_000, 64_067, 64_001, 1, 64_001, 1, 65_024], "id 65024 is neither"),
    ],
)
def test_what_breaks_the_grammar_is_refused(flat: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        unflatten(np.array(flat, np.uint16), 8, 8)


def test_runs_must_be_as_long_as_they_can() -> None:
    with pytest.raises(InputError, match="dropped positions follows one that is shorter than 512"):
        unflatten(np.array([64_000, 64_067, 64_001, 64_512, 64_512, 64_001, 1, 1], np.uint16), 8, 16)
    moving = [65_280, 65_280, 65_024]
    with pytest.raises(InputError, match="blocks that do not move follows one that is shorter than 256"):
        unflatten(np.array([64_000, 64_067, 64_001, 64_517, 64_001, *moving, 64_517], np.uint16), 8, 48)


def test_ids_must_fit() -> None:
    keep = np.ones((1, 1, 1), np.bool_)
    for ids in ([64_000], [], [1, 2]):
        tokens = Tokens(keep, no_motion(keep.shape), np.array(ids, np.uint16))
        with pytest.raises(ValueError, match="ids"):
            flatten(FlatSegment(1, 0, 0, tokens))


@pytest.mark.parametrize(
    ("place", "vector", "message"), [((0, 0, 0), 0, "cannot move"), ((1, 0, 0), 225, "or its vectors")]
)
def test_motion_must_fit(place: tuple[int, int, int], vector: int, message: str) -> None:
    keep = np.zeros((2, 2, 2), np.bool_)
    ids = np.zeros(0, np.uint16)
    motion = no_motion(keep.shape)
    motion[place] = vector
    with pytest.raises(ValueError, match=message):
        flatten(FlatSegment(4, 0, 0, Tokens(keep, motion, ids)))
    with pytest.raises(ValueError, match="shape"):
        flatten(FlatSegment(4, 0, 0, Tokens(keep, no_motion((2, 2, 4)), ids)))


@given(st.binary(max_size=200))
def test_bytes_of_a_header(data: bytes) -> None:
    segment = np.array([64_000, 64_064, 64_002], np.uint16)
    head, sequences = split_file(np.concatenate([flatten_bytes(data), segment, segment]))
    assert head == data
    assert [sequence.tolist() for sequence in sequences] == [segment.tolist()] * 2


@pytest.mark.parametrize("flat", [[], [64_003], [64_003, 5, 64_000], [64_000, 64_064, 64_002]])
def test_a_file_needs_header_and_segment(flat: list[int]) -> None:
    with pytest.raises(InputError, match="does not start with FILE"):
        split_file(np.array(flat, np.uint16))
