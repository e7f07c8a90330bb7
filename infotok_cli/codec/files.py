"""Video files into .itk files and back, from Python."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from infotok_cli.codec.decode import DecodeReport, decode_file
from infotok_cli.codec.decode_inputs import OpenedInput
from infotok_cli.codec.decode_outputs import StreamFormat
from infotok_cli.codec.encode import EncodeReport, encode_file
from infotok_cli.codec.loaded_model import Model
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.codec.progress import EncodeProgress, Progress
from infotok_cli.container.reader import ItkReader
from infotok_cli.errors import InfotokError, OutputError
from infotok_cli.itk.files import Tokens
from infotok_cli.itk.token_file import TokenFile
from infotok_cli.model.engine import Engine
from infotok_cli.places import Bytes, Place, check_source, check_target

BYTES_NAME = "bytes"
"""What messages call the bytes of a video."""


def _engine_of(model: Model) -> Engine:
    """TypeError for what is no model."""
    if not isinstance(model, Model):
        raise TypeError(f"model must be a Model, as load gives it, not {type(model).__name__}")
    return model.engine


def encode(
    source: Place | bytes | bytearray | memoryview,
    target: Place,
    model: Model,
    options: EncodeOptions | None = None,
    *,
    overwrite: bool = False,
    progress: EncodeProgress | None = None,
) -> EncodeReport:
    """Encode a video into an .itk file.

    source: a path; the bytes of a video file; or a binary stream, which is read from front to back as a pipe
        is, so that of MP4 only fragmented files can be read.
    target: a path, where the file appears whole or not at all, or a binary stream.
    options: None is half the tokens, with sound where there is some, as on the command line.

    Raises InputError, UsageError, ModelError or OutputError, and TypeError for what names no file.
    """
    check_source(source)
    check_target(target)
    engine, wanted = _engine_of(model), options or EncodeOptions()
    if not isinstance(source, Bytes):
        return encode_file(source, target, engine, wanted, overwrite=overwrite, progress=progress)
    with _file_of(source) as file:
        report = encode_file(file, target, engine, wanted, overwrite=overwrite, progress=progress)
        warnings = tuple(_of_bytes(warning, file) for warning in report.warnings)
        return dataclasses.replace(report, input=BYTES_NAME, warnings=warnings)


@contextmanager
def _file_of(data: Bytes) -> Iterator[Path]:
    """Bytes as a file for a while; errors of it are those of bytes."""
    with tempfile.TemporaryDirectory(prefix="infotok-") as folder:
        file = Path(folder) / BYTES_NAME
        try:
            file.write_bytes(data)
        except OSError as error:
            raise OutputError(
                f"cannot be copied to a temporary file ({error.strerror})",
                way_out="free some space, or set TMPDIR to where there is some",
                where=BYTES_NAME,
            ) from error
        try:
            yield file
        except InfotokError as error:
            named = _of_bytes(error, file)
            if named is error:
                raise
            raise named from error


def _of_bytes(error: InfotokError, file: Path) -> InfotokError:
    """The error, or, where it is one of `file`, one of the bytes that are in it."""
    if error.where != str(file):
        return error
    return type(error)(error.what, way_out=error.way_out, where=BYTES_NAME)


def decode(
    source: Tokens,
    target: Place,
    model: Model,
    start: float | None = None,
    end: float | None = None,
    *,
    frames: int | None = None,
    codec: str | None = None,
    crf: int | None = None,
    audio: bool = True,
    skip_bad: bool = False,
    stream_format: StreamFormat | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> DecodeReport:
    """Decode what is shown at start <= seconds < end into a video, or a folder of PNG pictures.

    source: a `TokenFile`, a path, bytes, or a binary stream, which is read from front to back.
    target: a path, whose suffix says what is written (without one it is a folder), or a binary stream.
    frames: the most that are shown of these, 1 or more.
    codec: h264, hevc, av1, vp9, ffv1 or an encoder of FFmpeg; None is h264, vp9 in .webm.
    crf: quality of that codec, 0 to 63, lower is better; None is nearly transparent.
    audio: whether the sound is kept. skip_bad: name damage in the report and show the last good frame.
    stream_format: mkv or y4m, where `target` is a stream; None is mkv.

    Raises InputError, UsageError, ModelError or OutputError, and TypeError for what names no file.
    """
    check_target(target)
    engine = _engine_of(model)
    with ExitStack() as held:
        given: Place | OpenedInput
        if isinstance(source, TokenFile) and not skip_bad:
            held.enter_context(source.reader.opened())
            given = OpenedInput(source.reader)
        elif isinstance(source, TokenFile):
            # What is left of a segment that was cut short is in a decode's index alone.
            given = OpenedInput(held.enter_context(ItkReader(source.source, recover=True)))
        else:
            check_source(source)
            if isinstance(source, Bytes):
                given = OpenedInput(held.enter_context(ItkReader(source, recover=skip_bad)))
            else:
                given = source  # type: ignore[assignment]  # a Spooled is not made by callers
        return decode_file(
            given,
            target,
            engine,
            start_seconds=start,
            end_seconds=end,
            frames=frames,
            codec=codec,
            crf=crf,
            overwrite=overwrite,
            skip_bad=skip_bad,
            audio=audio,
            stream_format=stream_format,
            progress=progress,
        )
