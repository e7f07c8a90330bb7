"""The .itk file back to video, from a file or a pipe and to a file or a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Literal

from infotok_cli.atomic import atomic_path
from infotok_cli.codec.ahead import ahead
from infotok_cli.codec.decode_segments import decode_stored, decoded_segments
from infotok_cli.codec.load_engine import check_model
from infotok_cli.container.header import Header
from infotok_cli.container.reader import ItkReader
from infotok_cli.container.stream import ItkStream
from infotok_cli.errors import OutputError, UsageError
from infotok_cli.itk.frame_times import frame_range, frame_span
from infotok_cli.itk.playback import Shot, file_shots, stream_shots
from infotok_cli.model.engine import Engine
from infotok_cli.video.png_folder import PngWriter
from infotok_cli.video.writer import FrameWriter, VideoWriter, is_png_folder
from infotok_cli.video.y4m import Y4mWriter

StreamFormat = Literal["mkv", "y4m"]
"""What a decode writes to a stream."""

STANDARD_INPUT = "standard input"
STANDARD_OUTPUT = "standard output"

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
    output_bytes: int | None
    """None for a pipe."""
    audio_codec: str | None
    """Matroska codec ID of the sound that was copied; None without sound."""
    model: str
    device: str
    precision: str
    backend: str
    """Kernels that ran: reference or triton."""
    batch_segments: int
    """Segments that went through the network at once, where there were so many of one shape."""
    compiled: bool
    """Whether torch.compile took the transformer blocks."""
    seconds: float
    """Wall-clock time of the decode, without loading the model."""
    lost: tuple[str, ...] = ()
    """With `skip_bad`: what could not be decoded, a line for each."""

    @property
    def speed(self) -> float:
        """Multiple of real time."""
        return self.duration_seconds / self.seconds if self.seconds else 0.0


def decode_file(
    source: Path | BinaryIO,
    target: Path | BinaryIO,
    engine: Engine,
    *,
    start_seconds: float | None = None,
    end_seconds: float | None = None,
    codec: str | None = None,
    crf: int | None = None,
    overwrite: bool = False,
    skip_bad: bool = False,
    audio: bool = True,
    stream_format: StreamFormat = "mkv",
    progress: Progress | None = None,
) -> DecodeReport:
    """Decode `source` into a video, or into PNG frames when `target` names a folder.

    A file: only the segments between start (inclusive) and end (exclusive) are read. With `skip_bad` the last
    good frame stands for those of a damaged segment, so that the length stays what it was, and a file
    without a good index is searched for whole segments. A stream is read from front to back.
    A file `target` appears whole or not at all; a stream gets `stream_format`.
    Raises InputError, UsageError, ModelError or OutputError.
    """
    began = time.perf_counter()
    lost: list[str] = []
    frames, seconds = 0, Fraction(0)
    with _played(
        source,
        engine,
        start_seconds=start_seconds,
        end_seconds=end_seconds,
        skip_bad=skip_bad,
        audio=audio,
        lost=lost,
    ) as played:
        header = played.header
        wants_sound = audio and header.audio is not None and _can_sound(target, stream_format)
        with (
            _writer(
                target, header, codec, crf, overwrite, audio=wants_sound, stream_format=stream_format
            ) as writer,
            ahead(played.shots, played.batch) as shots,
        ):
            for shot in shots:
                if wants_sound:
                    writer.write_audio(shot.packets)
                seconds += shot.seconds
                if shot.frames is not None:
                    writer.write(shot.frames, shot.ticks)
                    frames += len(shot.frames)
                    if progress is not None:
                        progress(frames)
        if played.seconds is not None:
            seconds = played.seconds
        size_bytes = played.size_bytes()
    return DecodeReport(
        input=str(source) if isinstance(source, Path) else STANDARD_INPUT,
        output=str(target) if isinstance(target, Path) else STANDARD_OUTPUT,
        width=header.width,
        height=header.height,
        frames=frames,
        frame_rate=header.frame_rate,
        duration_seconds=float(seconds),
        input_bytes=size_bytes,
        output_bytes=_size_of(target) if isinstance(target, Path) else None,
        audio_codec=header.audio.codec if wants_sound and header.audio is not None else None,
        model=header.model_name,
        device=engine.runtime.device.type,
        precision=engine.runtime.precision,
        backend=engine.runtime.backend,
        batch_segments=min(played.batch, engine.batch(header.positions())),
        compiled=engine.runtime.compiled,
        seconds=time.perf_counter() - began,
        lost=tuple(lost),
    )


@dataclass(frozen=True)
class _Played:
    """What is being decoded."""

    header: Header
    shots: Iterator[Shot]
    batch: int
    """Segments that are decoded together."""
    size_bytes: Callable[[], int]
    """Of the input, as far as it was read if it is a stream."""
    seconds: Fraction | None
    """How long it is shown; None where that is known only when all of it has come."""


@contextmanager
def _played(
    source: Path | BinaryIO,
    engine: Engine,
    *,
    start_seconds: float | None,
    end_seconds: float | None,
    skip_bad: bool,
    audio: bool,
    lost: list[str],
) -> Iterator[_Played]:
    if not isinstance(source, Path):
        if skip_bad:
            raise UsageError(
                "`skip_bad` needs the index, which a pipe has at its end", way_out="save it to a file first"
            )
        stream = ItkStream(source, STANDARD_INPUT)
        check_model(engine, stream.header, STANDARD_INPUT)
        shots = stream_shots(
            stream,
            lambda segment: decode_stored(stream, segment, engine),
            start_seconds=start_seconds,
            end_seconds=end_seconds,
            audio=audio,
        )
        # One by one: whoever reads the other end should not wait for more.
        yield _Played(stream.header, shots, 1, lambda: stream.size_bytes, None)
        return
    with ItkReader(source, recover=skip_bad) as reader:
        if reader.damage is not None:
            lost.append(f"{reader.name} {reader.damage}: what is whole is shown")
        check_model(engine, reader.header, str(source))
        wanted = frame_range(reader, start_seconds, end_seconds, source)
        named = lost if skip_bad else None
        shots = file_shots(
            reader, decoded_segments(reader, engine, wanted, named), wanted, audio=audio, lost=named
        )
        start, end = frame_span(reader, wanted)
        batch = engine.batch(reader.header.positions())
        yield _Played(reader.header, shots, batch, lambda: reader.size_bytes, end - start)


def _can_sound(target: Path | BinaryIO, stream_format: StreamFormat) -> bool:
    """Whether the output has a place for sound; pictures and Y4M have none."""
    return not is_png_folder(target) if isinstance(target, Path) else stream_format == "mkv"


@contextmanager
def _writer(
    target: Path | BinaryIO,
    header: Header,
    codec: str | None,
    crf: int | None,
    overwrite: bool,
    *,
    audio: bool,
    stream_format: StreamFormat,
) -> Iterator[FrameWriter]:
    """A writer whose output takes the name `target`, if that is one, only when all went well."""
    pixels_only = "--codec and --crf do not apply"
    size = (header.width, header.height)
    if isinstance(target, Path) and is_png_folder(target):
        if codec is not None or crf is not None:
            raise UsageError(f"{target} is a folder for PNG frames: {pixels_only}")
        with PngWriter(target, *size, overwrite=overwrite) as pictures:
            yield pictures
        return
    if not isinstance(target, Path) and stream_format == "y4m":
        if codec is not None or crf is not None:
            raise UsageError(f"Y4M is uncompressed: {pixels_only}")
        with Y4mWriter(
            target,
            *size,
            header.frame_rate,
            colour=header.colour,
            sample_aspect=header.sample_aspect,
            tick=header.time_base if header.has_times else None,
        ) as raw:
            yield raw
        return

    def video(place: Path | BinaryIO) -> VideoWriter:
        return VideoWriter(
            place,
            *size,
            header.frame_rate,
            codec=codec,
            crf=crf,
            colour=header.colour,
            sample_aspect=header.sample_aspect,
            shown_as=target if isinstance(target, Path) else STANDARD_OUTPUT,
            tick=header.time_base if header.has_times else None,
            audio=header.audio if audio else None,
        )

    if not isinstance(target, Path):
        with video(target) as streamed:
            yield streamed
        return
    with atomic_path(target, overwrite) as temporary, video(temporary) as filed:
        yield filed


def _size_of(target: Path) -> int:
    try:
        if target.is_dir():
            return sum(entry.stat().st_size for entry in target.iterdir())
        return target.stat().st_size
    except OSError as error:
        raise OutputError(f"is gone again ({error.strerror})", where=str(target)) from error
