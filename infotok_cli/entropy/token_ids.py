"""Token ids as bytes, token coding 0: unsigned 16-bit integers, little-endian, in grid order."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from infotok_cli.errors import InputError


def codebook_size(levels: Sequence[int]) -> int:
    """Number of token ids of a quantizer with these FSQ levels, e.g. 64,000 for (8, 8, 8, 5, 5, 5).

    Raises:
        ValueError: the ids do not fit in 16 bits.
    """
    size = math.prod(levels)
    if not 1 <= size <= 1 << 16:
        raise ValueError(f"quantizer levels {tuple(levels)} give {size} ids: at most 65,536 fit in 16 bits")
    return size


def packed_bytes(tokens: int, levels: Sequence[int]) -> int:
    """Bytes that `pack_raw` gives for this many tokens."""
    codebook_size(levels)
    return 2 * tokens


def pack_raw(ids: NDArray[np.integer], levels: Sequence[int]) -> bytes:
    """Bytes of token ids `[n]`, two for each; the ids must lie in 0..codebook_size(levels)-1.

    Raises:
        ValueError: not a list of integers, or an id is outside that range.
    """
    size = codebook_size(levels)
    if ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(f"token ids are {ids.dtype} of shape {ids.shape}: give a list of integers")
    if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < size:
        raise ValueError(f"token ids span {ids.min()}..{ids.max()}: they must lie in 0..{size - 1}")
    return ids.astype("<u2").tobytes()


def unpack_raw(data: bytes, count: int, levels: Sequence[int]) -> NDArray[np.uint16]:
    """Token ids `[count]` of `pack_raw`.

    Raises:
        InputError: `data` is not 2 * `count` bytes, or an id is not below codebook_size(levels).
    """
    size = codebook_size(levels)
    if len(data) != 2 * count:
        raise InputError(
            f"token ids take {len(data)} bytes, {count} tokens need {2 * count}",
            way_out="encode the video again",
        )
    ids = np.frombuffer(data, "<u2").astype(np.uint16)
    if ids.size and int(ids.max()) >= size:
        at = int(np.argmax(ids >= size))
        raise InputError(
            f"token {at} has id {ids[at]}, the quantizer has {size} ids", way_out="encode the video again"
        )
    return ids


def unpack_first(data: bytes, levels: Sequence[int]) -> NDArray[np.uint16]:
    """As many ids as the start of the bytes of `pack_raw` holds, up to the first that is none."""
    ids = np.frombuffer(data[: len(data) // 2 * 2], "<u2").astype(np.uint16)
    wrong = np.flatnonzero(ids >= codebook_size(levels))
    return ids[: wrong[0]] if len(wrong) else ids
