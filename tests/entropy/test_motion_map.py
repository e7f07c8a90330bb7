"""Motion maps: round trips, the code that docs/FORMAT.md states, and every other code refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infotok_cli.blocks import Grid
from infotok_cli.container.layout import max_coded_bytes
from infotok_cli.entropy.motion_map import CONTEXTS, motion_decisions, pack_motion, unpack_motion
from infotok_cli.entropy.range_coder import encode_bits
from infotok_cli.errors import InputError
from infotok_cli.motion import STILL, VECTORS, Motion, motion_grid, no_motion

TEXT = (Path(__file__).parents[2] / "docs" / "FORMAT.md").read_text(encoding="utf-8")

GRIDS = st.tuples(st.integers(1, 5), st.integers(1, 13), st.integers(1, 13))
SEEDS = st.integers(0, 2**32 - 1)


def random_map(grid: Grid, seed: int) -> Motion:
    """Any vectors."""
    motion = np.random.default_rng(seed).integers(0, VECTORS, motion_grid(grid)).astype(np.uint8)
    motion[:1] = STILL
    return motion


def smooth_map(grid: Grid, seed: int) -> Motion:
    """A few things that move before a background that does too, each with a speed that seldom changes."""
    random = np.random.default_rng(seed)
    motion = no_motion(grid)
    steps, rows, columns = motion.shape
    for _ in range(4):
        top, left = random.integers(0, rows), random.integers(0, columns)
        height, width = random.integers(1, rows + 1), random.integers(1, columns + 1)
        vector = random.integers(0, VECTORS)
        for step in range(1, steps):
            if random.random() < 0.1:
                vector = random.integers(0, VECTORS)
            motion[step, top : top + height, left : left + width] = vector
    return motion


def extreme_map(grid: Grid, seed: int) -> Motion:
    """The longest vectors and the shortest, with nothing between."""
    vectors = np.array([0, 14, 210, 224, STILL - 1, STILL, STILL + 1], np.uint8)
    motion = np.random.default_rng(seed).choice(vectors, motion_grid(grid))
    motion[:1] = STILL
    return motion


def sparse_map(grid: Grid, seed: int) -> Motion:
    """One block in ten moves."""
    moving = np.random.default_rng(seed).random(motion_grid(grid)) < 0.1
    return np.where(moving, random_map(grid, seed), no_motion(grid))


MAPS: list[Callable[[Grid, int], Motion]] = [random_map, smooth_map, extreme_map, sparse_map]

maps = st.builds(lambda make, grid, seed: (grid, make(grid, seed)), st.sampled_from(MAPS), GRIDS, SEEDS)
"""A token grid and a motion map of it."""


@given(maps)
@settings(max_examples=200, deadline=None)
def test_round_trip(case: tuple[Grid, Motion]) -> None:
    grid, motion = case
    data = pack_motion(motion)
    back = unpack_motion(data, grid)
    assert back.dtype == np.uint8
    assert np.array_equal(back, motion)
    assert (data == b"") == (motion == STILL).all()
    assert len(data) <= max_coded_bytes(grid[0] * grid[1] * grid[2])


def test_large_maps_round_trip(fresh_seed: int) -> None:
    grid = (17, 33, 57)
    for number, make in enumerate(MAPS):
        motion = make(grid, fresh_seed + number)
        assert np.array_equal(unpack_motion(pack_motion(motion), grid), motion)


# The coder of docs/FORMAT.md, sections 5 and 7, from that text and its tables alone.

Context = tuple[object, ...]


def rows_of_table(*columns: str) -> list[list[str]]:
    """Rows of cells of the one table of the text with these columns."""
    _, part = TEXT.split("| " + " | ".join(columns) + " |\n")
    lines = part.split("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def stated_probabilities() -> dict[Context, int]:
    """Initial `p` of every context."""
    start: dict[Context, int] = {}
    for vector, *chances in rows_of_table("expected vector", "n = 1", "n = 2", "n = 3", "n = 4"):
        start |= {("expected", vector, n): 256 * int(p) for n, p in enumerate(chances, 1)}
    for vector, *chances in rows_of_table("tried vector", "first", "second"):
        start |= {("tried", vector, n): 256 * int(p) for n, p in enumerate(chances, 1)}
    for axis, sign, *chances in rows_of_table("axis", "expected", *map(str, range(1, 16))):
        start |= {(axis, sign, node): 256 * int(p) for node, p in enumerate(chances, 1)}
    return start


STATED = stated_probabilities()

((_, *stated_pixels),) = rows_of_table("number", *map(str, range(15)))
PIXELS = [int(pixels) for pixels in stated_pixels]


class Contexts:
    """Probabilities of a 1, which adapt."""

    def __init__(self) -> None:
        self.p = dict(STATED)
        self.n = dict.fromkeys(STATED, 0)

    def see(self, context: Context, bit: int) -> None:
        rate = 65536 // min(12 + self.n[context], 60)
        p = self.p[context]
        self.p[context] = p + (((65536 - p) * rate) >> 16) if bit else p - ((p * rate) >> 16)
        self.n[context] += 1


class StatedEncoder:
    """One number without bound."""

    def __init__(self) -> None:
        self.contexts = Contexts()
        self.low, self.span, self.k = 0, 2**32 - 1, 0

    def __call__(self, context: Context, bit: int | None) -> int:
        assert bit is not None
        bound = (self.span * self.contexts.p[context]) >> 16
        if bit:
            self.span = bound
        else:
            self.low, self.span = self.low + bound, self.span - bound
        self.contexts.see(context, bit)
        while self.span < 2**24:
            self.low, self.span, self.k = self.low * 256, self.span * 256, self.k + 1
        return bit

    def code(self) -> bytes:
        rounded = -(-self.low // 2**24) * 2**24
        return rounded.to_bytes(4 + self.k, "big").rstrip(b"\0")


class StatedDecoder:
    """Reads zeros without end behind the code."""

    def __init__(self, data: bytes) -> None:
        self.contexts = Contexts()
        self.data, self.at = data.ljust(4, b"\0"), 4
        self.offset, self.span = int.from_bytes(self.data[:4], "big"), 2**32 - 1

    def __call__(self, context: Context, _: int | None) -> int:
        bound = (self.span * self.contexts.p[context]) >> 16
        bit = int(self.offset < bound)
        if bit:
            self.span = bound
        else:
            self.offset, self.span = self.offset - bound, self.span - bound
        self.contexts.see(context, bit)
        while self.span < 2**24:
            byte = self.data[self.at] if self.at < len(self.data) else 0
            self.offset, self.span, self.at = self.offset * 256 + byte, self.span * 256, self.at + 1
        return bit


Decide = Callable[[Context, int | None], int]


def code_map(decide: Decide, shape: Grid, motion: Motion | None) -> dict[Grid, int] | None:
    """Vectors by place, coded as `motion` has them, or decoded where it is None; None for a refused one."""
    vectors: dict[Grid, int] = {place: 112 for place in np.ndindex(shape) if place[0] == 0}
    for place in np.ndindex(shape):
        if place[0] == 0:
            continue
        wanted = None if motion is None else int(motion[place])
        found = code_block(decide, vectors, place, wanted)
        if found is None:
            return None
        vectors[place] = found
    return vectors


def code_block(decide: Decide, vectors: dict[Grid, int], place: Grid, wanted: int | None) -> int | None:
    step, y, x = place
    neighbours = [(step, y, x - 1), (step, y - 1, x), (step - 1, y, x), (step, y - 1, x + 1)]
    left, up, before, up_right = (vectors.get(neighbour, 112) for neighbour in neighbours)
    expected = up if up in (left, before) else left
    count = [left, up, before, up_right].count(expected)

    def is_it(context: Context, vector: int) -> int:
        return decide(context, None if wanted is None else int(vector == wanted))

    def moves(vector: int) -> str:
        return "still" if vector == 112 else "moves"

    if is_it(("expected", moves(expected), count), expected):
        return expected
    tried: list[int] = []
    for vector in (left, up, before, up_right):
        if vector == expected or vector in tried or len(tried) == 2:
            continue
        tried.append(vector)
        if is_it(("tried", moves(vector), len(tried)), vector):
            return vector
    numbers = []
    for axis, along, own in (
        ("down", expected // 15, None if wanted is None else wanted // 15),
        ("right", expected % 15, None if wanted is None else wanted % 15),
    ):
        pixels = PIXELS[along]
        sign = "negative" if pixels < 0 else "positive" if pixels > 0 else "0"
        node = 1
        for digit in range(4):
            bit = None if own is None else int(f"{own:04b}"[digit])
            node = 2 * node + decide((axis, sign, node), bit)
        numbers.append(node - 16)
    found = 15 * numbers[0] + numbers[1]
    return None if max(numbers) > 14 or found in (expected, *tried) else found


def stated_code(motion: Motion) -> bytes:
    encoder = StatedEncoder()
    t, h, w = motion.shape
    code_map(encoder, (t, h, w), motion)
    return encoder.code()


def stated_map(data: bytes, grid: Grid) -> Motion | None:
    """The map of a code; None for bytes that the text has refused."""
    shape = motion_grid(grid)
    vectors = code_map(StatedDecoder(data), shape, None)
    if vectors is None:
        return None
    motion = np.zeros(shape, np.uint8)
    for place, vector in vectors.items():
        motion[place] = vector
    return motion if stated_code(motion) == data else None


@given(maps)
@settings(max_examples=150, deadline=None)
def test_the_stated_code(case: tuple[Grid, Motion]) -> None:
    grid, motion = case
    data = pack_motion(motion)
    assert data == stated_code(motion)
    back = stated_map(data, grid)
    assert back is not None
    assert np.array_equal(back, motion)


def check_refused_or_the_code(data: bytes, grid: Grid) -> None:
    """Bytes are the code of one map, or refused; the text says the same of them."""
    stated = stated_map(data, grid)
    try:
        motion = unpack_motion(data, grid)
    except InputError:
        assert stated is None
        return
    assert pack_motion(motion) == data
    assert stated is not None
    assert np.array_equal(motion, stated)


@given(st.binary(max_size=60), GRIDS)
@settings(max_examples=150, deadline=None)
def test_garbage_gives_a_map_or_an_input_error(data: bytes, grid: Grid) -> None:
    check_refused_or_the_code(data, grid)


@given(maps, st.data())
@settings(max_examples=150, deadline=None)
def test_a_changed_code_gives_another_map_or_an_input_error(
    case: tuple[Grid, Motion], data: st.DataObject
) -> None:
    grid, motion = case
    code = pack_motion(motion)
    at = data.draw(st.integers(0, len(code)))
    changed = code[:at] + data.draw(st.binary(max_size=2)) + code[at + data.draw(st.integers(0, 2)) :]
    check_refused_or_the_code(changed, grid)
    if changed != code:
        try:
            assert not np.array_equal(unpack_motion(changed, grid), motion)
        except InputError:
            return


def test_left_over_and_missing_bytes_are_refused() -> None:
    grid = (4, 17, 16)
    data = pack_motion(random_map(grid, 1))
    for wrong in (data + b"\0", data + b"\x07", data[:-1], data[:3], data[1:]):
        with pytest.raises(InputError):
            unpack_motion(wrong, grid)
    for wrong in (b"\0", bytes(9), b"\xff" * 9):
        with pytest.raises(InputError):
            unpack_motion(wrong, grid)


def in_full(encoder: StatedEncoder, bits: str) -> None:
    """Decision 3 of a block whose expected vector is still: 4 bits down, 4 to the right."""
    for axis, digits in (("down", bits[:4]), ("right", bits[4:])):
        node = 1
        for digit in digits:
            node = 2 * node + encoder((axis, "0", node), int(digit))


def test_vectors_that_a_shorter_code_says_are_refused_in_full() -> None:
    """The expected vector, and one that was tried; any other one in the same place is none of them."""
    for bits in ("01110111", "00110101"):
        encoder = StatedEncoder()
        encoder(("expected", "still", 4), 0)
        in_full(encoder, bits)
        if bits == "00110101":
            assert unpack_motion(encoder.code(), (2, 1, 1)).tolist() == [[[112]], [[50]]]
            continue
        with pytest.raises(InputError, match="spells out a vector that has a shorter code"):
            unpack_motion(encoder.code(), (2, 1, 1))
    for bits in ("00110101", "00110110"):
        encoder = StatedEncoder()
        encoder(("expected", "still", 4), 0)
        in_full(encoder, "00110101")
        encoder(("expected", "still", 3), 0)
        encoder(("tried", "moves", 1), 0)
        in_full(encoder, bits)
        if bits == "00110110":
            assert unpack_motion(encoder.code(), (2, 1, 4)).tolist() == [[[112, 112]], [[50, 51]]]
            continue
        with pytest.raises(InputError, match="spells out a vector that has a shorter code"):
            unpack_motion(encoder.code(), (2, 1, 4))


@pytest.mark.parametrize("bits", ["11110111", "01111111", "11111111"])
def test_displacements_that_do_not_exist_are_refused(bits: str) -> None:
    encoder = StatedEncoder()
    encoder(("expected", "still", 4), 0)
    in_full(encoder, bits)
    with pytest.raises(InputError, match="a displacement that does not exist"):
        unpack_motion(encoder.code(), (2, 1, 1))


def test_literal_bytes() -> None:
    """Files of version 1 hold such bytes for ever."""
    grid = (3, 5, 9)
    motion = no_motion(grid)
    motion[1] = [[97, 97, 112, 112, 0], [97, 97, 96, 112, 224], [112, 97, 128, 128, 210]]
    motion[2] = [[97, 97, 97, 112, 0], [112, 97, 96, 96, 14], [112, 112, 128, 128, 1]]
    data = pack_motion(motion)
    assert data.hex() == "fe23525e019ba5a21f0614b7b3ba81fd4c"
    assert np.array_equal(unpack_motion(data, grid), motion)


@pytest.mark.parametrize("grid", [(1, 4, 4), (2, 1, 1), (17, 64, 112), (5, 33, 1)])
def test_where_nothing_moves_there_is_no_byte(grid: Grid) -> None:
    assert pack_motion(no_motion(grid)) == b""
    assert np.array_equal(unpack_motion(b"", grid), no_motion(grid))


@pytest.mark.parametrize("seed", range(4))
def test_smooth_maps_cost_far_less_than_a_byte_a_block(seed: int) -> None:
    motion = smooth_map((16, 32, 56), seed)
    assert len(pack_motion(motion)) < 0.03 * motion.size


def test_a_pan_costs_a_few_bytes() -> None:
    motion = no_motion((16, 32, 56))
    motion[1:] = 97
    assert len(pack_motion(motion)) < 20


def test_random_maps_cost_little_more_than_raw() -> None:
    motion = random_map((16, 32, 56), 0)
    assert len(pack_motion(motion)) < 1.05 * motion.size


@given(st.tuples(st.integers(2, 17), st.integers(1, 3), st.integers(1, 3)), SEEDS)
@settings(max_examples=100, deadline=None)
def test_every_map_fits_its_limit(grid: Grid, seed: int) -> None:
    """Also where no block has a fourth position, and always the least likely vector of a few comes next."""
    random = np.random.default_rng(seed)
    motion = no_motion(grid)
    for place in np.ndindex(motion.shape):
        if place[0] == 0:
            continue
        tries = []
        for vector in random.integers(0, VECTORS, 6).tolist():
            motion[place] = vector
            tries.append((len(pack_motion(motion[: place[0] + 1])), vector))
        motion[place] = max(tries)[1]
    assert len(pack_motion(motion)) <= max_coded_bytes(grid[0] * grid[1] * grid[2])


@pytest.mark.parametrize("vector", [225, 255])
def test_vectors_that_do_not_exist_are_refused(vector: int) -> None:
    motion = no_motion((3, 4, 4))
    motion[2, 1, 1] = vector
    with pytest.raises(ValueError, match="below 225"):
        pack_motion(motion)


def test_a_lead_that_moves_is_refused() -> None:
    motion = no_motion((3, 4, 4))
    motion[0, 1, 1] = 0
    with pytest.raises(ValueError, match="those of the lead still"):
        pack_motion(motion)


def test_decisions_are_those_that_are_coded() -> None:
    motion = smooth_map((5, 9, 9), 3)
    assert encode_bits(*motion_decisions(motion), CONTEXTS) == pack_motion(motion)
    assert motion_decisions(no_motion((3, 2, 2)))[0] == [1, 1]


def test_speed() -> None:
    """A generous bound, as the machine may be busy; about 70 ms when it is not."""
    grid = (4, 64, 112)
    motion = random_map(grid, 0)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        unpack_motion(pack_motion(motion), grid)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.4
