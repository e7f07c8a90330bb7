"""Keep maps as bytes, keep-map coding 0: binary decisions under contexts of decoded neighbours.

docs/FORMAT.md specifies both models exactly. Every segment starts from the same initial probabilities,
fitted to error maps of real clips under a linear (PCA) patch code, and adapts from there.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from infotok_cli.blocks import Grid, block_capacity, block_grid, block_levels, keep_from_levels
from infotok_cli.entropy.range_coder import BitDecoder, encode_bits
from infotok_cli.errors import InputError
from infotok_cli.routers import AllocationName

LEVEL_DECISIONS = 3
"""Decisions of a block: is the exponent >= 2; is it odd, below 2; is it odd, from 2 on."""

LEVEL_START: tuple[tuple[tuple[int, int, int], ...], ...] = (
    ((7, 19, 55), (29, 110, 37), (97, 107, 46), (140, 94, 167)),
    ((25, 94, 36), (46, 197, 51), (137, 197, 34), (183, 209, 171)),
    ((81, 89, 48), (113, 201, 40), (191, 192, 51), (229, 188, 168)),
    ((122, 81, 150), (162, 211, 166), (224, 197, 143), (247, 193, 233)),
    ((1, 4, 33), (3, 31, 24), (13, 29, 26), (19, 36, 48)),
    ((3, 28, 29), (8, 70, 18), (42, 83, 24), (61, 104, 49)),
    ((6, 27, 25), (28, 88, 24), (63, 63, 25), (102, 95, 91)),
    ((18, 41, 45), (48, 101, 50), (104, 106, 63), (135, 80, 161)),
    ((7, 163, 27), (11, 214, 14), (38, 216, 27), (53, 226, 45)),
    ((10, 202, 11), (14, 241, 18), (56, 241, 18), (54, 241, 71)),
    ((38, 206, 22), (40, 238, 14), (84, 243, 21), (119, 236, 79)),
    ((51, 207, 39), (49, 245, 68), (105, 240, 73), (118, 239, 167)),
    ((138, 99, 13), (158, 171, 10), (208, 191, 11), (210, 188, 45)),
    ((149, 167, 10), (163, 223, 10), (213, 227, 8), (224, 221, 44)),
    ((202, 177, 9), (198, 223, 11), (235, 235, 15), (246, 219, 62)),
    ((203, 192, 41), (220, 216, 53), (244, 217, 47), (248, 214, 99)),
    ((155, 116, 157), (163, 182, 140), (209, 177, 160), (242, 181, 220)),
    ((158, 185, 126), (193, 217, 193), (224, 209, 157), (246, 218, 229)),
    ((200, 175, 156), (216, 224, 165), (244, 220, 176), (252, 213, 228)),
    ((228, 168, 208), (243, 213, 229), (250, 222, 216), (255, 221, 249)),
)
"""Initial probability (of 256) of a 1, by decision in the inner triple; columns are the left exponent 0..3.

Rows are up exponent 0..3 where nothing lies before, then where exponent 0, 1, 2, 3 lies before.
"""

POSITION_START: tuple[tuple[int, ...], ...] = (
    (10, 57, 44, 81, 159, 166, 106, 105, 175, 190, 103, 157, 187, 224, 207, 243),
    (2, 13, 8, 18, 41, 42, 21, 24, 49, 65, 24, 36, 63, 106, 82, 129),
    (136, 184, 170, 190, 239, 235, 213, 205, 239, 238, 215, 229, 241, 247, 243, 252),
)
"""Initial probability (of 256) that a position is kept, by left * 8 + up * 4 + up_left * 2 + up_right.

Rows: nothing lies before, a dropped position lies before, a kept one does.
"""

DEFAULT_EXPONENT = 1
"""Stands for the left and upper neighbour of the first block of a segment."""


_LEVEL_CONTEXTS = tuple(256 * chance for row in LEVEL_START for triple in row for chance in triple)
_POSITION_CONTEXTS = tuple(256 * chance for row in POSITION_START for chance in row)


def pack_keep(keep: NDArray[np.bool_], kind: AllocationName) -> bytes:
    """Coded keep map of `keep` `[t, h, w]`; InputError when no levels of blocks make it."""
    if kind == "position":
        return encode_positions(keep)
    levels = block_levels(keep)
    if levels is None:
        raise InputError("keep map does not match any block levels")
    t, h, w = keep.shape
    return encode_levels(levels, (t, h, w))


def unpack_keep(
    data: bytes, kind: AllocationName, grid: Grid, tokens: int | None = None
) -> NDArray[np.bool_]:
    """Keep map `[t, h, w]` of coded bytes; InputError when they are no map, or none of `tokens` tokens."""
    if kind == "block":
        return keep_from_levels(decode_levels(data, grid, tokens), grid)
    return decode_positions(data, grid, tokens)


def encode_levels(levels: NDArray[np.uint8], grid: Grid) -> bytes:
    """Code block levels `[bt, bh, bw]` (tokens per block: 1, 2, 4 or 8) of a token grid `[t, h, w]`.

    Raises:
        ValueError: a wrong shape, a level that is no power of two, or one above its block's positions.
    """
    if levels.shape != block_grid(grid):
        raise ValueError(f"levels have shape {levels.shape}, grid {grid} has blocks {block_grid(grid)}")
    capacity = block_capacity(grid)
    if not np.isin(levels, (1, 2, 4, 8)).all() or (levels > capacity).any():
        raise ValueError("levels must be 1, 2, 4 or 8 and at most the positions of their block")
    exponent = _exponent(levels)
    before = np.full_like(exponent, -1)
    before[1:] = exponent[:-1]
    left = np.full_like(exponent, -1)
    left[:, :, 1:] = exponent[:, :, :-1]
    up = np.full_like(exponent, -1)
    up[:, 1:] = exponent[:, :-1]
    corner = np.where(before >= 0, before, DEFAULT_EXPONENT)
    filled_left = np.where(left >= 0, left, np.where(up >= 0, up, corner))
    filled_up = np.where(up >= 0, up, filled_left)
    context = ((before + 1) * 16 + filled_up * 4 + filled_left) * LEVEL_DECISIONS
    high, odd = exponent >> 1, exponent & 1
    bits = np.stack([high, odd], -1)
    contexts = np.stack([context, context + 1 + high], -1)
    coded = np.stack([capacity >= 4, (capacity == 8) | ((capacity > 1) & (high == 0))], -1)
    return encode_bits(bits[coded].tolist(), contexts[coded].tolist(), _LEVEL_CONTEXTS)


def decode_levels(data: bytes, grid: Grid, tokens: int | None = None) -> NDArray[np.uint8]:
    """Block levels `[bt, bh, bw]` of `encode_levels`; with `tokens` they must add up to it.

    Raises:
        InputError: `data` is not the code of any levels of this grid, or of none with this many tokens;
            decoding stops as soon as that is clear.
    """
    decoder = BitDecoder(data, _LEVEL_CONTEXTS)
    decode = decoder.decode
    blocks = math.prod(block_grid(grid))
    if tokens is not None and tokens < blocks:
        raise InputError(f"{tokens} tokens for {blocks} blocks")
    spare = None if tokens is None else tokens - blocks
    capacity = block_capacity(grid)
    exponents = np.zeros(capacity.shape, np.int64)
    before_step: list[list[int]] | None = None
    for step in range(capacity.shape[0]):
        rows: list[list[int]] = []
        up_row: list[int] | None = None
        for y, capacity_row in enumerate(capacity[step].tolist()):
            before_row = before_step[y] if before_step is not None else None
            row: list[int] = []
            left = -1
            for x, positions in enumerate(capacity_row):
                before = before_row[x] if before_row is not None else -1
                if left < 0:
                    left = up_row[x] if up_row is not None else before if before >= 0 else DEFAULT_EXPONENT
                up = up_row[x] if up_row is not None else left
                context = ((before + 1) * 16 + up * 4 + left) * 3
                high = decode(context) if positions >= 4 else 0
                left = high << 1
                if positions == 8 or (positions > 1 and not high):
                    left += decode(context + 1 + high)
                row.append(left)
            rows.append(row)
            up_row = row
            if spare is not None:
                spare -= sum((1 << exponent) - 1 for exponent in row)
                if spare < 0:
                    raise InputError(f"keep map has more than {tokens} tokens")
        exponents[step] = rows
        before_step = rows
    decoder.finish()
    if spare:
        raise InputError(f"keep map has fewer than {tokens} tokens")
    return np.left_shift(1, exponents).astype(np.uint8)


def encode_positions(keep: NDArray[np.bool_]) -> bytes:
    """Code a keep map `[t, h, w]`: True where a position has a token.

    Raises:
        ValueError: not three axes of booleans, or an empty one.
    """
    if keep.ndim != 3 or keep.dtype != np.bool_ or not keep.size:
        raise ValueError(f"keep map is {keep.dtype} of shape {keep.shape}: give booleans [t, h, w]")
    bits = keep.astype(np.int64)
    context = np.zeros_like(bits)
    context[1:] = (bits[:-1] + 1) * 16
    context[:, :, 1:] += bits[:, :, :-1] * 8
    context[:, 1:] += bits[:, :-1] * 4
    context[:, 1:, 1:] += bits[:, :-1, :-1] * 2
    context[:, 1:, :-1] += bits[:, :-1, 1:]
    return encode_bits(bits.ravel().tolist(), context.ravel().tolist(), _POSITION_CONTEXTS)


def decode_positions(data: bytes, grid: Grid, tokens: int | None = None) -> NDArray[np.bool_]:
    """Keep map `[t, h, w]` of `encode_positions`; with `tokens` it must keep this many positions.

    Raises:
        InputError: `data` is not the code of any map of this grid, or of none with this many tokens;
            decoding stops as soon as that is clear.
    """
    decoder = BitDecoder(data, _POSITION_CONTEXTS)
    spare = tokens
    decode = decoder.decode
    steps, height, width = grid
    keep = np.zeros(grid, np.int8)
    for step in range(steps):
        for y in range(height):
            base = np.zeros(width, np.int64)
            if step:
                base += (keep[step - 1, y] + 1) * 16
            if y:
                up = keep[step, y - 1]
                base += up * 4
                base[1:] += up[:-1] * 2
                base[:-1] += up[1:]
            left = 0
            row = []
            for context in base.tolist():
                left = decode(context + left * 8)
                row.append(left)
            keep[step, y] = row
            if spare is not None:
                spare -= sum(row)
                if spare < 0:
                    raise InputError(f"keep map has more than {tokens} tokens")
    decoder.finish()
    if spare:
        raise InputError(f"keep map has fewer than {tokens} tokens")
    return keep.astype(np.bool_)


def _exponent(levels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Exponent 0..3 of each level."""
    table = np.zeros(9, np.int64)
    table[[1, 2, 4, 8]] = (0, 1, 2, 3)
    return table[levels]
