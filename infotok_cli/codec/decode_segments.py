"""Segments of an .itk file as frames, several at a time where that is faster, damage and all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from infotok_cli.codec.batches import batches, started_early
from infotok_cli.container.header import Header
from infotok_cli.container.layout import Segment
from infotok_cli.container.reader import ItkReader
from infotok_cli.errors import InputError
from infotok_cli.itk.tokens import Stored, unpack_tokens
from infotok_cli.model.engine import Engine
from infotok_cli.segment_tokens import Tokens
from infotok_cli.video.video_info import Frame
from infotok_cli.wording import counted

Late = Callable[[int], bool]
"""Asked with the number of a segment, before it is decoded, whether that would come too late."""


def decoded_segments(
    reader: ItkReader,
    engine: Engine,
    wanted: range,
    lost: list[str] | None = None,
    late: Late | None = None,
) -> Iterator[Frame]:
    """Frames `wanted`, in parts `[T, H, W, 3]` of no more than a segment; reads only segments that show some.

    A part is a latent step, or a segment on devices that decode several at once.
    With a list `lost` a segment that cannot be decoded is named there, and its frames are the last good
    frame before it (the first good one after it where there is none before). The segment they are taken
    from may lie outside `wanted`. A segment that is `late` is passed over; the last frame before it stands
    for its frames. The first one is never late. Raises InputError.
    """
    starts = reader.index.starts
    held: Frame | None = None
    numbers = range(reader.index.holding(wanted.start), reader.index.holding(wanted.stop - 1) + 1)
    for number, parts in zip(numbers, _each_decoded(reader, numbers, engine, late), strict=True):
        at = int(starts[number])
        first, last = max(wanted.start, at), min(wanted.stop, int(starts[number + 1]))
        if parts is None:
            assert held is not None
            yield from _repeated(held, last - first)
            continue
        if isinstance(parts, InputError):
            if lost is None:
                raise parts
            lost.append(f"{parts.what}: a good frame stands for its {counted(last - first, 'frame')}")
            if held is None:
                held = _good_frame(reader, number, engine)
            yield from _repeated(held, last - first)
            continue
        for part in parts:
            inside = part[max(0, first - at) : last - at]
            at += len(part)
            if len(inside):
                held = inside[-1:].copy()
                yield inside
            if at >= last:
                break


@dataclass(frozen=True)
class _Unpacked:
    """A segment's token layer."""

    segment: Segment
    tokens: Tokens

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.segment.frames, *self.tokens.keep.shape)


_Given = _Unpacked | InputError | None
_Decoded = Iterable[Frame] | InputError | None
"""What a segment shows, in parts, what is wrong with it, or None where it was passed over."""


def _each_decoded(reader: ItkReader, numbers: range, engine: Engine, late: Late | None) -> Iterator[_Decoded]:
    """What comes of each of these segments, in order.

    Decoded step by step, or in batches where the engine takes several segments; a CUDA device works on one
    batch while the tokens of the next are unpacked.
    """
    header = reader.header

    def unpacked(number: int) -> _Given:
        if late is not None and number != numbers.start and late(number):
            return None
        try:
            segment = reader.read_segment(number)
            return _Unpacked(segment, unpack_tokens(reader, segment, engine.loaded.token_net))
        except InputError as error:
            return error

    size = engine.batch(header.positions())
    if size == 1:
        for one in map(unpacked, numbers):
            yield _by_step(one, header, engine) if isinstance(one, _Unpacked) else one
        return

    def start(batch: list[_Given]) -> Callable[[], list[_Decoded]]:
        whole = [one for one in batch if isinstance(one, _Unpacked)]
        if not whole:
            return lambda: list(batch)  # type: ignore[arg-type]
        given = [one.tokens for one in whole]
        fetch = engine.start_decode(given, whole[0].segment.frames, header.height, header.width)
        return lambda: [[_shown(one.segment, frames)] for one, frames in zip(whole, fetch(), strict=True)]

    together = batches(
        map(unpacked, numbers), size, lambda one: one.shape if isinstance(one, _Unpacked) else None
    )
    early = engine.runtime.device.type == "cuda"
    yield from (parts for _, parts in started_early(together, start, early=early))


def _by_step(one: _Unpacked, header: Header, engine: Engine) -> Iterator[Frame]:
    """What a segment shows, step by step, without what a cut left beside it."""
    segment = one.segment
    end = segment.frames - segment.trim_end
    at = 0
    for frames in engine.decode_steps(one.tokens, segment.frames, header.height, header.width):
        shown = frames[max(0, segment.trim_start - at) : end - at]
        at += len(frames)
        if len(shown):
            yield shown
        if at >= end:
            break


def _shown(segment: Segment, frames: Frame) -> Frame:
    """Without what a cut left beside it."""
    return frames[segment.trim_start : segment.frames - segment.trim_end]


def _good_frame(reader: ItkReader, number: int, engine: Engine) -> Frame:
    """`[1, H, W, 3]` the last frame that can be decoded before segment `number`, else the first after it."""
    before = ((other, -1) for other in range(number - 1, -1, -1))
    after = ((other, 0) for other in range(number + 1, len(reader.index)))
    for other, at in chain(before, after):
        try:
            frame: Frame = decode_segment(reader, other, engine)[at]
        except InputError:
            continue
        return frame[np.newaxis].copy()
    raise InputError(
        "has no segment that can be decoded",
        way_out="copy it again, or encode it again",
        where=reader.name,
    )


def _repeated(frame: Frame, count: int) -> Iterator[Frame]:
    """`count` times the same frame, in pieces of a few."""
    for start in range(0, count, 16):
        yield np.repeat(frame, min(16, count - start), axis=0)


def decode_segment(reader: ItkReader, number: int, engine: Engine) -> Frame:
    """The frames that segment `number` shows; InputError, naming it, when it is damaged or lost."""
    return np.concatenate(list(decode_stored(reader, reader.read_segment(number), engine)))


def decode_stored(stored: Stored, segment: Segment, engine: Engine) -> Iterator[Frame]:
    """The frames that a segment of an opened file or stream shows, step by step.

    Raises InputError where it is damaged or lost, before the first of them.
    """
    tokens = unpack_tokens(stored, segment, engine.loaded.token_net)
    return _by_step(_Unpacked(segment, tokens), stored.header, engine)
