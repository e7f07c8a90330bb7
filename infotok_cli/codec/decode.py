"""The .itk file back to video, from a file or a pipe and to a file or a pipe."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

from infotok_cli.codec.ahead import ahead
from infotok_cli.codec.decode_inputs import OpenedInput, Selection, playing
from infotok_cli.codec.decode_outputs import FrameOutput, StreamFormat, frame_output
from infotok_cli.codec.endpoints import Input, Place, input_of
from infotok_cli.codec.progress import Progress, Silence
from infotok_cli.codec.run_report import RunReport
from infotok_cli.errors import InfotokError
from infotok_cli.itk.playback import Chunk
from infotok_cli.model.engine import Engine
from infotok_cli.video.frame_writer import FrameWriter


@dataclass(frozen=True, kw_only=True)
class DecodeReport(RunReport):
    """What a decode did."""

    output_bytes: int | None
    """None for a pipe."""
    lost: tuple[str, ...] = ()
    """With `skip_bad`: what could not be decoded, a line for each."""
    warnings: tuple[InfotokError, ...] = ()
    """What a person should know of the output."""


def decode_file(
    source: Place | OpenedInput,
    target: Place,
    engine: Engine,
    *,
    start_seconds: float | None = None,
    end_seconds: float | None = None,
    frames: int | None = None,
    codec: str | None = None,
    crf: int | None = None,
    overwrite: bool = False,
    skip_bad: bool = False,
    audio: bool = True,
    stream_format: StreamFormat | None = None,
    pixel_format: str | None = None,
    progress: Progress | None = None,
) -> DecodeReport:
    """Decode `source` into a video, or into PNG frames when `target` names a folder.

    A file: only the segments between start (inclusive) and end (exclusive) are read. `frames` is the most
    that are shown of them, 1 or more. With `skip_bad` the last
    good frame stands for those of a damaged segment, so that the length stays what it was, and a file
    without a good index is searched for whole segments. A stream is read from front to back.
    An odd size is written as 4:4:4 in H.264 and HEVC, or padded to even with the `pixel_format` yuv420p.
    A file `target` appears whole or not at all; a stream gets `stream_format`, Matroska unless it says y4m.
    Raises InputError, UsageError, ModelError or OutputError.
    """
    given = source if isinstance(source, OpenedInput) else input_of(source)
    output = frame_output(
        target,
        codec=codec,
        crf=crf,
        overwrite=overwrite,
        stream_format=stream_format,
        pixel_format=pixel_format,
    )
    wanted = Selection(
        start_seconds=start_seconds,
        end_seconds=end_seconds,
        frames=frames,
        audio=audio,
        skip_bad=skip_bad,
    )
    return decode_input(given, output, engine, wanted, progress)


def decode_input(
    given: Input | OpenedInput,
    output: FrameOutput,
    engine: Engine,
    wanted: Selection,
    progress: Progress | None,
) -> DecodeReport:
    """Decode what is `wanted` of an input into an output; `decode_file` names them."""
    began = time.perf_counter()
    # 1. Where it goes decides whether sound is read.
    selected = replace(wanted, audio=wanted.audio and output.carries_sound)
    lost: list[str] = []
    with playing(given, engine, selected, lost) as playback:
        # 2. The header says what the output is opened for.
        header = playback.stored.header
        track = header.audio if selected.audio else None
        # 3. Segments are decoded ahead of what is written.
        told = progress or Silence()
        told.started(playback.total)
        with (
            output.opened(header, track, playback.stored.tags) as writer,
            ahead(playback.chunks, playback.batch) as chunks,
        ):
            shown, seconds = _write(chunks, writer, told, with_sound=track is not None)
    # 4. What came of it.
    run = RunReport.of_run(
        header, engine, source=given.name, target=output.name, input_bytes=playback.stored.size_bytes,
        frames=shown, duration_seconds=seconds if playback.seconds is None else playback.seconds,
        has_sound=track is not None, batch=playback.batch, seconds=time.perf_counter() - began,
    )  # fmt: skip
    silenced = wanted.audio and header.audio is not None and not output.carries_sound
    warnings = (*writer.warnings, *([_without_sound(output.name)] if silenced else []))
    return DecodeReport(**vars(run), output_bytes=output.size_bytes(), lost=tuple(lost), warnings=warnings)


def _without_sound(name: str) -> InfotokError:
    return InfotokError(
        "holds pictures only, so the sound is left out", way_out="a .mp4 or .mkv file keeps it", where=name
    )


def _write(
    chunks: Iterable[Chunk], writer: FrameWriter, progress: Progress, *, with_sound: bool
) -> tuple[int, Fraction]:
    """Write all chunks; returns how many frames they have and, of a stream, how long these are shown."""
    frames, seconds = 0, Fraction(0)
    for chunk in chunks:
        if with_sound:
            writer.write_audio(chunk.packets)
        seconds += chunk.seconds
        if chunk.frames is not None:
            writer.write(chunk.frames, chunk.ticks)
            frames += len(chunk.frames)
            progress.done(frames)
    return frames, seconds
