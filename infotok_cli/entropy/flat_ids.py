"""The token layer as one sequence of uint16 per segment: token ids, motion, runs of dropped positions, marks.

docs/FORMAT.md has the grammar. Every segment has exactly one such sequence and every sequence that the
grammar allows gives back exactly one segment, so nothing is lost either way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infotok_cli.blocks import LEAD_STEPS, token_grid
from infotok_cli.errors import InputError
from infotok_cli.motion import STILL, VECTORS, motion_grid, no_motion
from infotok_cli.segment_tokens import Tokens

Flat = NDArray[np.uint16]

MAX_TOKEN_IDS = 64_000
"""Token ids are below this, whatever the quantizer; the 1,536 above are spare in 16 bits."""
SEGMENT = 64_000
STEP = 64_001
LOST = 64_002
FILE = 64_003
FRAMES = 64_064
"""FRAMES + n - 1: the segment has n coded frames, 1..64."""
TRIM_START = 64_128
"""TRIM_START + n: n coded frames at the start are not shown, 1..63."""
TRIM_END = 64_192
"""TRIM_END + n: n coded frames at the end are not shown, 1..63."""
BYTE = 64_256
"""BYTE + b: one byte of a file's header."""
SKIP = 64_512
"""SKIP + n - 1: n positions without a token, 1..512."""
LONGEST_SKIP = 512
VECTOR = 65_024
"""VECTOR + v: a block that moves by vector v, 0..224."""
STILL_RUN = 65_280
"""STILL_RUN + n - 1: n blocks that do not move before one that does, 1..256."""
LONGEST_STILL_RUN = 256
LONGEST_SEGMENT = 64


@dataclass(frozen=True)
class FlatSegment:
    """What a flat sequence says about a segment."""

    frames: int
    """Coded frames, 1..64."""
    trim_start: int
    trim_end: int
    tokens: Tokens | None
    """None for a lost segment."""


def flatten(segment: FlatSegment) -> Flat:
    """The sequence of a segment, starting with SEGMENT.

    Raises:
        ValueError: ids that are not below 64,000, or not as many as kept positions; a motion map of another
            grid, with other vectors or with a lead that moves; frames out of range.
    """
    if not 1 <= segment.frames <= LONGEST_SEGMENT or segment.trim_start + segment.trim_end >= segment.frames:
        raise ValueError(f"{segment.frames} frames less {segment.trim_start} and {segment.trim_end}")
    start = [SEGMENT, FRAMES + segment.frames - 1]
    if segment.trim_start:
        start.append(TRIM_START + segment.trim_start)
    if segment.trim_end:
        start.append(TRIM_END + segment.trim_end)
    if segment.tokens is None:
        return np.array([*start, LOST], np.uint16)
    keep, motion, ids = segment.tokens
    if len(ids) != np.count_nonzero(keep) or (ids.size and int(ids.max()) >= MAX_TOKEN_IDS):
        raise ValueError(f"{len(ids)} ids, the highest {ids.max(initial=0)}, for {int(keep.sum())} positions")
    t, h, w = keep.shape
    if motion.shape != motion_grid((t, h, w)) or (motion >= VECTORS).any():
        raise ValueError(f"a motion map of shape {motion.shape}, or its vectors, for a grid {keep.shape}")
    if (motion[:LEAD_STEPS] != STILL).any():
        raise ValueError("the lead of a segment cannot move")
    parts = [np.array(start, np.uint16)]
    at = 0
    for step, vectors in zip(keep.reshape(len(keep), -1), motion.reshape(len(motion), -1), strict=True):
        count = int(step.sum())
        mark = np.array([STEP], np.uint16)
        parts += [mark, _flat_motion(vectors), _flat_step(step, ids[at : at + count])]
        at += count
    return np.concatenate(parts)


def _flat_motion(vectors: NDArray[np.uint8]) -> Flat:
    """The blocks of one latent step that move, and runs of those before them that do not; `[bh * bw]`."""
    moving = np.flatnonzero(vectors != STILL)
    return _with_runs(
        moving, vectors[moving].astype(np.uint16) + np.uint16(VECTOR), STILL_RUN, LONGEST_STILL_RUN
    )


def _flat_step(keep: NDArray[np.bool_], ids: Flat) -> Flat:
    """Tokens and runs of one latent step, `keep` being `[h * w]`."""
    kept = np.flatnonzero(keep)
    last = int(kept[-1]) + 1 if len(kept) else 0
    full, rest = divmod(len(keep) - last, LONGEST_SKIP)
    tail = [SKIP + LONGEST_SKIP - 1] * full + [SKIP + rest - 1] * (rest > 0)
    return np.concatenate([_with_runs(kept, ids, SKIP, LONGEST_SKIP), np.array(tail, np.uint16)])


def _with_runs(places: NDArray[np.int64], items: Flat, run: int, longest: int) -> Flat:
    """`items` `[n]`, before each of them the runs that make up its gap to the place before."""
    gaps = np.diff(np.concatenate([[-1], places])) - 1
    full, rest = np.divmod(gaps, longest)
    has_rest = rest > 0
    ends = np.cumsum(full + has_rest + 1)
    out = np.full(int(ends[-1]) if len(ends) else 0, run + longest - 1, np.uint16)
    out[ends[has_rest] - 2] = run + rest[has_rest] - 1
    out[ends - 1] = items
    return out


def unflatten(flat: Flat, height: int, width: int) -> FlatSegment:
    """The segment of a sequence, for a video of `height` x `width` pixels.

    Raises:
        InputError: the sequence is not one that `flatten` gives for such a video.
    """
    values = flat[:5].tolist()
    if len(values) < 3 or values[0] != SEGMENT:
        raise InputError("a segment must start with SEGMENT and a number of frames")
    frames, at = values[1] - FRAMES + 1, 2
    trims = []
    for base in (TRIM_START, TRIM_END):
        trim = values[at] - base if at < len(values) else 0
        trims.append(trim if 1 <= trim < LONGEST_SEGMENT else 0)
        at += trims[-1] > 0
    if not 1 <= frames <= LONGEST_SEGMENT or sum(trims) >= frames:
        raise InputError(f"{frames} frames less {trims[0]} and {trims[1]} leave none to show")
    if values[at : at + 1] == [LOST]:
        if len(flat) > at + 1:
            raise InputError(f"{len(flat) - at - 1} ids after LOST")
        return FlatSegment(frames, trims[0], trims[1], None)
    steps, rows, columns = token_grid(frames, height, width)
    body = flat[at:]
    starts = np.flatnonzero(body == STEP)
    if len(starts) != steps or not len(body) or starts[0] != 0:
        raise InputError(f"{len(starts)} latent steps, {frames} frames have {steps}, each starts with STEP")
    keep = np.zeros((steps, rows * columns), np.bool_)
    motion = no_motion((steps, rows, columns))
    ids = []
    for number, (row, step) in enumerate(zip(keep, np.split(body, starts[1:]), strict=True)):
        items = step[1:]
        moving = int(np.argmin(np.append(items >= VECTOR, False)))
        if moving and number < LEAD_STEPS:
            raise InputError("the lead of a segment cannot move")
        _read_motion(items[:moving], motion[number].reshape(-1))
        ids.append(_read_step(items[moving:], row))
    tokens = Tokens(keep.reshape(steps, rows, columns), motion, np.concatenate(ids))
    return FlatSegment(frames, trims[0], trims[1], tokens)


def _read_motion(items: Flat, vectors: NDArray[np.uint8]) -> None:
    """Set what moves of `vectors` `[bh * bw]`, which are still."""
    is_run = items >= STILL_RUN
    lengths = np.where(is_run, items.astype(np.int64) - STILL_RUN + 1, 1)
    ends = np.cumsum(lengths)
    numbers = items[~is_run] - np.uint16(VECTOR)
    if ((numbers >= VECTORS) | (numbers == STILL)).any():
        raise InputError("a block moves by a vector that does not exist, or not at all")
    if len(items) and is_run[-1]:
        raise InputError("the motion of a latent step ends with blocks that do not move")
    if len(items) and ends[-1] > len(vectors):
        raise InputError(f"the motion of a latent step is of {ends[-1]} blocks, and it has {len(vectors)}")
    _check_runs(is_run, lengths, LONGEST_STILL_RUN, "blocks that do not move")
    vectors[ends[~is_run] - 1] = numbers


def _read_step(items: Flat, keep: NDArray[np.bool_]) -> Flat:
    """Ids of one latent step; sets `keep` `[h * w]` where they belong."""
    is_token, is_skip = items < MAX_TOKEN_IDS, (items >= SKIP) & (items < SKIP + LONGEST_SKIP)
    if not (is_token | is_skip).all():
        raise InputError(
            f"id {items[~(is_token | is_skip)][0]} is neither a token nor a run of dropped positions"
        )
    lengths = np.where(is_token, 1, items.astype(np.int64) - SKIP + 1)
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    if total != len(keep):
        raise InputError(f"a latent step has {total} positions instead of {len(keep)}")
    _check_runs(is_skip, lengths, LONGEST_SKIP, "dropped positions")
    keep[ends[is_token] - 1] = True
    return items[is_token]


def _check_runs(is_run: NDArray[np.bool_], lengths: NDArray[np.int64], longest: int, what: str) -> None:
    """Raise InputError unless runs that follow each other are as long as they may be, but for the last."""
    if (is_run[1:] & is_run[:-1] & (lengths[:-1] != longest)).any():
        raise InputError(f"a run of {what} follows one that is shorter than {longest}")


def flatten_bytes(data: bytes) -> Flat:
    """FILE, then one id for each byte of a header."""
    values = np.frombuffer(data, np.uint8).astype(np.uint16) + np.uint16(BYTE)
    return np.concatenate([np.array([FILE], np.uint16), values])


def split_file(flat: Flat) -> tuple[bytes, list[Flat]]:
    """Header bytes and the sequence of each segment of a whole file's sequence; raises InputError."""
    starts = np.flatnonzero(flat == SEGMENT)
    first = int(starts[0]) if len(starts) else len(flat)
    head = flat[1:first].astype(np.int64) - BYTE
    if not len(flat) or flat[0] != FILE or not len(starts) or (head < 0).any() or (head > 255).any():
        raise InputError("the sequence does not start with FILE, a header and a segment")
    return head.astype(np.uint8).tobytes(), np.split(flat, starts)[1:]
