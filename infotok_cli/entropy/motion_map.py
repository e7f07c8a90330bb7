"""Motion maps as bytes: binary decisions under contexts of decoded neighbours.

docs/FORMAT.md specifies the model exactly. A segment in which nothing moves takes no byte. Every segment
starts from the same initial probabilities, fitted to the motion of training clips
(`python -m infotok_cli.train.motion_chances`), and adapts from there.
"""

from __future__ import annotations

from collections.abc import Callable

from infotok_cli.blocks import LEAD_STEPS, Grid
from infotok_cli.entropy.range_coder import BitDecoder, encode_bits
from infotok_cli.errors import InputError
from infotok_cli.motion import DISPLACEMENTS, STILL, VECTORS, Motion, motion_grid, no_motion

EXPECTED_START: tuple[tuple[int, ...], ...] = ((61, 167, 216, 244), (41, 132, 190, 250))
"""Initial probability (of 256) that a block has the expected vector, by how many of four neighbours have it.

Rows: the expected vector moves, or is still.
"""

OTHER_START: tuple[tuple[int, ...], ...] = ((97, 46), (87, 88))
"""Initial probability that it has the first, or the second, of its neighbours' other vectors.

Rows: that vector moves, or is still.
"""

TREE_START: tuple[tuple[int, ...], ...] = (
    (45, 179, 83, 157, 131, 108, 103, 121, 153, 137, 161, 117, 121, 123, 2),
    (97, 211, 52, 151, 179, 90, 86, 112, 154, 152, 177, 115, 104, 119, 2),
    (165, 200, 71, 125, 198, 122, 80, 102, 138, 134, 203, 152, 108, 108, 2),
    (47, 182, 79, 158, 135, 116, 93, 126, 149, 133, 172, 122, 124, 115, 2),
    (103, 203, 59, 148, 174, 99, 89, 119, 150, 145, 169, 121, 110, 119, 2),
    (159, 185, 81, 113, 194, 132, 91, 88, 140, 138, 209, 155, 114, 119, 2),
)
"""Initial probability of a 1 at each node of the tree of a displacement: the root, then level by level.

Rows: down, where the expected one is negative, 0, positive; then to the right.
"""

SIDE = len(DISPLACEMENTS)
_BITS = 4
_MIDDLE = SIDE // 2
_OTHERS = sum(map(len, EXPECTED_START))
_TREES = _OTHERS + sum(map(len, OTHER_START))

CONTEXTS = tuple(
    256 * chance for table in (EXPECTED_START, OTHER_START, TREE_START) for row in table for chance in row
)

Decide = Callable[[int, int], int]
"""Takes the context of a decision and, of an encoder, its bit; gives the bit."""


def pack_motion(motion: Motion) -> bytes:
    """Code of a motion map `[t, bh, bw]` whose lead is still.

    Raises:
        ValueError: a vector that is not below `VECTORS`, or one of the lead that moves.
    """
    return encode_bits(*motion_decisions(motion), CONTEXTS)


def motion_decisions(motion: Motion) -> tuple[list[int], list[int]]:
    """Bits of a motion map and the context of each, as indices into `CONTEXTS`."""
    if (motion >= VECTORS).any() or (motion[:LEAD_STEPS] != STILL).any():
        raise ValueError(f"vectors of a motion map must be below {VECTORS}, and those of the lead still")
    bits: list[int] = []
    contexts: list[int] = []

    def note(context: int, bit: int) -> int:
        contexts.append(context)
        bits.append(bit)
        return bit

    before = [[STILL] * motion.shape[2]] * motion.shape[1]
    for step in motion[LEAD_STEPS:].tolist():
        up_row = [STILL] * (motion.shape[2] + 1)
        for row, before_row in zip(step, before, strict=True):
            left = STILL
            for x, vector in enumerate(row):
                _code(note, (left, up_row[x], before_row[x], up_row[x + 1]), vector)
                left = vector
            up_row = [*row, STILL]
        before = step
    return bits, contexts


def unpack_motion(data: bytes, grid: Grid) -> Motion:
    """Motion map of `pack_motion`, of a token grid `[t, h, w]`.

    Raises:
        InputError: `data` is not the code of any.
    """
    motion = no_motion(grid)
    if not data:
        return motion
    decoder = BitDecoder(data, CONTEXTS)

    def read(context: int, bit: int) -> int:
        return decoder.decode(context)

    steps, rows, columns = motion_grid(grid)
    before = [[STILL] * columns] * rows
    for step in range(LEAD_STEPS, steps):
        read_rows: list[list[int]] = []
        up_row = [STILL] * (columns + 1)
        for before_row in before:
            left = STILL
            row = []
            for x in range(columns):
                left = _code(read, (left, up_row[x], before_row[x], up_row[x + 1]), 0)
                row.append(left)
            read_rows.append(row)
            up_row = [*row, STILL]
        motion[step] = before = read_rows
    decoder.finish()
    return motion


def _code(decide: Decide, near: tuple[int, int, int, int], vector: int) -> int:
    """Code or read the vector of one block.

    near: vectors to the left, above, in the step before, and above to the right. vector: its own, which says
    nothing to a decoder.
    """
    left, up, before, _ = near
    expected = up if up in (left, before) else left
    if decide(4 * (expected == STILL) + near.count(expected) - 1, vector == expected):
        return expected
    tried = [expected]
    for other in near:
        if other in tried:
            continue
        context = _OTHERS + 2 * (other == STILL) + len(tried) - 1
        if decide(context, vector == other):
            return other
        tried.append(other)
        if len(tried) == 3:
            break
    down, across = divmod(vector, SIDE)
    expected_down, expected_across = divmod(expected, SIDE)
    found = SIDE * _code_displacement(decide, 0, expected_down, down)
    found += _code_displacement(decide, 1, expected_across, across)
    if found in tried:
        raise InputError(
            "a motion map spells out a vector that has a shorter code", way_out="encode the video again"
        )
    return found


def _code_displacement(decide: Decide, axis: int, expected: int, number: int) -> int:
    """Code or read the number of a displacement along one axis, from the highest of its four bits down."""
    sign = (expected > _MIDDLE) - (expected < _MIDDLE)
    first = _TREES + (SIDE * (3 * axis + 1 + sign)) - 1
    node = 1
    for place in reversed(range(_BITS)):
        node = 2 * node + decide(first + node, number >> place & 1)
    found = node - (1 << _BITS)
    if found >= SIDE:
        raise InputError(
            "a motion map has a displacement that does not exist", way_out="encode the video again"
        )
    return found
