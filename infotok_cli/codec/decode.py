"""The .itk file back to video."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from infotok_cli.codec.keep_maps import unpack_keep
from infotok_cli.codec.models import check_model
from infotok_cli.container.atomic import atomic_path
from infotok_cli.container.header import Header
from infotok_cli.container.layout import Segment
from infotok_cli.container.reader import ItkReader
from infotok_cli.entropy.token_ids import unpack_ids
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
    progress: Progress | None = None,
) -> DecodeReport:
    """Decode `source` into a video file, or into PNG frames when `target` names a folder.

    Only the segments between start (inclusive) and end (exclusive) are read. The output appears whole
    or not at all. Raises InputError, UsageError, ModelError or OutputError.
    """
    began = time.perf_counter()
    with ItkReader(source) as reader:
        check_model(engine, reader.header, str(source))
        wanted = frame_range(reader, start_seconds, end_seconds, source)
        with _writer(target, reader.header, codec, crf, overwrite) as writer:
            done = 0
            for frames in decoded_segments(reader, engine, wanted):
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
    )


def frame_range(
    reader: ItkReader, start_seconds: float | None, end_seconds: float | None, source: Path
) -> range:
    """Numbers of the frames shown at start <= time < end; UsageError when there are none."""
    rate, total = reader.header.frame_rate, reader.total_frames
    first = 0 if start_seconds is None else _frame_at(start_seconds, rate)
    last = total if end_seconds is None else min(total, _frame_at(end_seconds, rate))
    if first >= last:
        duration = float(total / rate)
        raise UsageError(
            f"{source}: no frame lies between --start {start_seconds or 0:g} and "
            f"--end {duration if end_seconds is None else end_seconds:g}: it lasts {duration:.3f} s"
        )
    return range(first, last)


def _frame_at(seconds: float, rate: Fraction) -> int:
    """First frame shown at `seconds` or later; times within a tenth of a frame count as equal."""
    if seconds < 0:
        raise UsageError(f"time {seconds:g} is negative: give seconds from the beginning")
    return max(0, math.ceil(Fraction(seconds) * rate - Fraction(1, 10)))


def decoded_segments(reader: ItkReader, engine: Engine, wanted: range) -> Iterator[Frame]:
    """Frames `[T, H, W, 3]` of each segment that holds some of `wanted`, cut to it."""
    length = reader.header.segment_frames
    for number in range(wanted.start // length, -(-wanted.stop // length)):
        frames = decode_segment(reader.read_segment(number), reader.header, engine)
        base = number * length
        yield frames[max(0, wanted.start - base) : wanted.stop - base]


def decode_segment(segment: Segment, header: Header, engine: Engine) -> Frame:
    """All frames of one segment; InputError, naming it, when its payloads contradict each other."""
    try:
        keep = unpack_keep(segment.map_payload, header.allocation, header.grid(segment.frames))
        if int(keep.sum()) != segment.tokens:
            raise InputError(f"keep map has {int(keep.sum())} tokens, segment {segment.tokens}")
        ids = unpack_ids(segment.token_payload, segment.tokens, header.levels)
    except InputError as error:
        raise InputError(f"segment {segment.number} is damaged: {error}") from error
    return engine.reconstruct(ids, keep, segment.frames, header.height, header.width)


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
