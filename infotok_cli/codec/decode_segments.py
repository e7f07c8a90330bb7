"""Segments of an .itk file as frames, several at a time where that is faster, damage and all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from infotok_cli.codec.batches import batches, started_early
from infotok_cli.container.layout import Segment
from infotok_cli.container.reader import ItkReader
from infotok_cli.errors import InputError
from infotok_cli.itk.tokens import Stored, Tokens, unpack_tokens
from infotok_cli.model.engine import Engine
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
    """Frames `[T, H, W, 3]` of each segment that shows some of `wanted`, cut to it; reads no other one.

    With a list `lost` a segment that cannot be decoded is named there, and its frames are the last good
    frame before it (the first good one after it where there is none before). These may come in several
    pieces, and the segment they are taken from may lie outside `wanted`. A segment that is `late` is passed
    over; the last frame before it stands for its frames. The first one is never late. Raises InputError.
    """
    starts = reader.index.starts
    held: Frame | None = None
    numbers = range(reader.index.holding(wanted.start), reader.index.holding(wanted.stop - 1) + 1)
    for number, frames in zip(numbers, _each_decoded(reader, numbers, engine, late), strict=True):
        first, last = max(wanted.start, int(starts[number])), min(wanted.stop, int(starts[number + 1]))
        if frames is None:
            assert held is not None
            yield from _repeated(held, last - first)
            continue
        if isinstance(frames, InputError):
            if lost is None:
                raise frames
            lost.append(f"{frames.what}: a good frame stands for its {counted(last - first, 'frame')}")
            if held is None:
                held = _good_frame(reader, number, engine)
            yield from _repeated(held, last - first)
            continue
        held = frames[-1:].copy()
        yield frames[first - int(starts[number]) : last - int(starts[number])]


@dataclass(frozen=True)
class _Unpacked:
    """A segment's token layer."""

    segment: Segment
    tokens: Tokens

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.segment.frames, *self.tokens[0].shape)


_Given = _Unpacked | InputError | None
_Decoded = Frame | InputError | None
"""What a segment shows, what is wrong with it, or None where it was passed over."""


def _each_decoded(reader: ItkReader, numbers: range, engine: Engine, late: Late | None) -> Iterator[_Decoded]:
    """What comes of each of these segments, in order.

    Decoded in batches; a CUDA device works on one while the tokens of the next are unpacked.
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

    def start(batch: list[_Given]) -> Callable[[], list[_Decoded]]:
        whole = [one for one in batch if isinstance(one, _Unpacked)]
        if not whole:
            return lambda: list(batch)  # type: ignore[arg-type]
        given = [(ids, keep) for keep, ids in (one.tokens for one in whole)]
        fetch = engine.start_decode(given, whole[0].segment.frames, header.height, header.width)
        return lambda: [_shown(one.segment, frames) for one, frames in zip(whole, fetch(), strict=True)]

    together = batches(
        map(unpacked, numbers),
        engine.batch(header.positions()),
        lambda one: one.shape if isinstance(one, _Unpacked) else None,
    )
    early = engine.runtime.device.type == "cuda"
    return (frames for _, frames in started_early(together, start, early=early))


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
    return decode_stored(reader, reader.read_segment(number), engine)


def decode_stored(stored: Stored, segment: Segment, engine: Engine) -> Frame:
    """The frames that a segment of an opened file or stream shows; InputError where it is damaged or lost."""
    header = stored.header
    keep, ids = unpack_tokens(stored, segment, engine.loaded.token_net)
    frames = engine.decode(ids, keep, segment.frames, header.height, header.width)
    return _shown(segment, frames)
