"""The .itk file back to video."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np

from infotok_cli.codec.ahead import ahead
from infotok_cli.codec.frames import frame_range
from infotok_cli.codec.models import check_model
from infotok_cli.codec.tokens import unpack_tokens
from infotok_cli.container.atomic import atomic_path
from infotok_cli.container.header import Header
from infotok_cli.container.reader import ItkReader
from infotok_cli.errors import InputError, OutputError, UsageError
from infotok_cli.model.engine import Engine
from infotok_cli.video.clip import Colour, Frame
from infotok_cli.video.writer import FrameWriter, PngWriter, VideoWriter, is_png_folder

Progress = Callable[[int], None]
"""Called with the frames written so far."""


@dataclass(frozen=True, kw_only=True)
class DecodeReport:
    """What a decode did."""

    input: str
    output: str
    width: int
    height: int
    frames: int
    frame_rate: Fraction
    duration_seconds: float
    input_bytes: int
    output_bytes: int
    model: str
    device: str
    precision: str
    backend: str
    """Kernels that ran: reference or triton."""
    seconds: float
    """Wall-clock time of the decode, without loading the model."""
    lost: tuple[str, ...] = ()
    """With `skip_bad`: what could not be decoded, a line for each."""

    @property
    def speed(self) -> float:
        """Multiple of real time."""
        return self.duration_seconds / self.seconds if self.seconds else 0.0


def decode_file(
    source: Path,
    target: Path,
    engine: Engine,
    *,
    start_seconds: float | None = None,
    end_seconds: float | None = None,
    codec: str | None = None,
    crf: int | None = None,
    overwrite: bool = False,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> DecodeReport:
    """Decode `source` into a video file, or into PNG frames when `target` names a folder.

    Only the segments between start (inclusive) and end (exclusive) are read. The output appears whole
    or not at all. With `skip_bad` the last good frame stands for those of a damaged segment, so that the
    length stays what it was, and a file without a good index is searched for whole segments.
    Raises InputError, UsageError, ModelError or OutputError.
    """
    began = time.perf_counter()
    with ItkReader(source, recover=skip_bad) as reader:
        lost = [] if reader.damage is None else [f"{reader.damage}: what is whole is shown"]
        check_model(engine, reader.header, str(source))
        wanted = frame_range(reader, start_seconds, end_seconds, source)
        with _writer(target, reader.header, codec, crf, overwrite) as writer:
            done = 0
            with ahead(decoded_segments(reader, engine, wanted, lost if skip_bad else None)) as segments:
                for frames in segments:
                    writer.write(frames)
                    done += len(frames)
                    if progress is not None:
                        progress(done)
        header, size_bytes = reader.header, reader.size_bytes
    return DecodeReport(
        input=str(source),
        output=str(target),
        width=header.width,
        height=header.height,
        frames=len(wanted),
        frame_rate=header.frame_rate,
        duration_seconds=float(len(wanted) / header.frame_rate),
        input_bytes=size_bytes,
        output_bytes=_size_of(target),
        model=header.model_name,
        device=engine.runtime.device.type,
        precision=engine.runtime.precision,
        backend=engine.runtime.backend,
        seconds=time.perf_counter() - began,
        lost=tuple(lost),
    )


def decoded_segments(
    reader: ItkReader, engine: Engine, wanted: range, lost: list[str] | None = None
) -> Iterator[Frame]:
    """Frames `[T, H, W, 3]` of each segment that shows some of `wanted`, cut to it; reads no other one.

    With a list `lost` a segment that cannot be decoded is named there, and its frames are the last good
    frame before it (the first good one after it where there is none before). These may come in several
    pieces, and the segment they are taken from may lie outside `wanted`. Raises InputError.
    """
    starts = reader.index.starts
    held: Frame | None = None
    for number in range(reader.index.holding(wanted.start), reader.index.holding(wanted.stop - 1) + 1):
        first, last = max(wanted.start, int(starts[number])), min(wanted.stop, int(starts[number + 1]))
        try:
            frames = decode_segment(reader, number, engine)
        except InputError as error:
            if lost is None:
                raise
            shown = f"{last - first} frame{'s' if last - first != 1 else ''}"
            lost.append(f"{reader.reason(error)}: a good frame stands for its {shown}")
            if held is None:
                held = _good_frame(reader, number, engine)
            yield from _repeated(held, last - first)
            continue
        held = frames[-1:].copy()
        yield frames[first - int(starts[number]) : last - int(starts[number])]


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
    raise InputError(f"{reader.name}: has no segment that can be decoded: copy it again, or encode it again")


def _repeated(frame: Frame, count: int) -> Iterator[Frame]:
    """`count` times the same frame, in pieces of a few."""
    for start in range(0, count, 16):
        yield np.repeat(frame, min(16, count - start), axis=0)


def decode_segment(reader: ItkReader, number: int, engine: Engine) -> Frame:
    """The frames that segment `number` shows; InputError, naming it, when it is damaged or lost."""
    header, segment = reader.header, reader.read_segment(number)
    keep, ids = unpack_tokens(reader, segment, engine.loaded.token_net)
    frames = engine.reconstruct(ids, keep, segment.frames, header.height, header.width)
    return frames[segment.trim_start : segment.frames - segment.trim_end]


@contextmanager
def _writer(
    target: Path, header: Header, codec: str | None, crf: int | None, overwrite: bool
) -> Iterator[FrameWriter]:
    """A writer whose output takes the name `target` only when all went well."""
    if is_png_folder(target):
        if codec is not None or crf is not None:
            raise UsageError(f"{target} is a folder for PNG frames: --codec and --crf do not apply")
        with PngWriter(target, header.width, header.height, overwrite=overwrite) as pictures:
            yield pictures
        return
    colour = Colour(
        primaries=header.colour_primaries,
        transfer=header.colour_transfer,
        matrix=header.colour_matrix,
        full_range={1: 0, 2: 1}.get(header.colour_range, 2),
    )
    with (
        atomic_path(target, overwrite) as temporary,
        VideoWriter(
            temporary,
            header.width,
            header.height,
            header.frame_rate,
            codec=codec,
            crf=crf,
            colour=colour,
            sample_aspect=header.sample_aspect,
            shown_as=target,
        ) as video,
    ):
        yield video


def _size_of(target: Path) -> int:
    try:
        if target.is_dir():
            return sum(entry.stat().st_size for entry in target.iterdir())
        return target.stat().st_size
    except OSError as error:
        raise OutputError(f"{target}: is gone again ({error.strerror})") from error
