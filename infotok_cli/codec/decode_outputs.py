"""Where decoded frames go: a video file, a folder of pictures, or a stream of Matroska or Y4M."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, ClassVar, Literal, Protocol

from infotok_cli.atomic import atomic_output, atomic_path
from infotok_cli.container.header import Header
from infotok_cli.errors import OutputError, UsageError
from infotok_cli.places import FileOutput, Place, output_of
from infotok_cli.sound import AudioTrack
from infotok_cli.tags import NO_TAGS, Tags
from infotok_cli.video.encoders import CHOOSABLE_FORMATS
from infotok_cli.video.frame_writer import FrameWriter, check_video_name, is_png_folder
from infotok_cli.video.png_folder import PngWriter
from infotok_cli.video.writer import VideoWriter
from infotok_cli.video.y4m import Y4mWriter

StreamFormat = Literal["mkv", "y4m"]
"""What a decode writes to a stream: Matroska, or YUV4MPEG2."""

STREAM_FORMATS: tuple[StreamFormat, ...] = ("mkv", "y4m")


class FrameOutput(Protocol):
    """An output of frames that is yet to be opened."""

    @property
    def name(self) -> str: ...

    @property
    def carries_sound(self) -> bool:
        """Whether it has a place for sound."""

    def opened(
        self, header: Header, audio: AudioTrack | None, tags: Tags = NO_TAGS
    ) -> AbstractContextManager[FrameWriter]:
        """A writer of frames as `header` says, of that sound and tags; UsageError or OutputError."""

    def size_bytes(self) -> int | None:
        """Bytes that were written, None for a stream; OutputError when they have disappeared."""


@dataclass(frozen=True)
class Coding:
    """How frames are coded; None leaves it to the kind of file."""

    codec: str | None = None
    """A short name, or that of an FFmpeg encoder."""
    crf: int | None = None
    """Quality number of that codec."""
    pixel_format: str | None = None
    """yuv420p or yuv444p."""

    def refuse(self, kind: str, where: str) -> None:
        """Raise UsageError for what was asked of files that leave no choice."""
        asked = [f"`{name}`" for name, value in vars(self).items() if value is not None]
        if asked:
            does = "does" if len(asked) == 1 else "do"
            raise UsageError(
                f"{' and '.join(asked)} {does} not apply to {kind}",
                way_out=f"leave {'it' if len(asked) == 1 else 'them'} out",
                where=where,
            )


@dataclass(frozen=True)
class VideoFile:
    """A video file, which appears whole or not at all."""

    path: Path
    overwrite: bool
    coding: Coding

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def carries_sound(self) -> bool:
        return self.path.suffix.lower() != ".gif"

    @contextmanager
    def opened(self, header: Header, audio: AudioTrack | None, tags: Tags = NO_TAGS) -> Iterator[FrameWriter]:
        with (
            atomic_path(self.path, self.overwrite) as temporary,
            _video_writer(temporary, header, audio, tags, self.coding, shown_as=self.name) as writer,
        ):
            yield writer

    def size_bytes(self) -> int:
        return _size_of(self.path)


@dataclass(frozen=True)
class Y4mFile:
    """Uncompressed frames at a constant rate in a file, which appears whole or not at all."""

    path: Path
    overwrite: bool
    carries_sound: ClassVar[bool] = False

    @property
    def name(self) -> str:
        return str(self.path)

    @contextmanager
    def opened(self, header: Header, audio: AudioTrack | None, tags: Tags = NO_TAGS) -> Iterator[FrameWriter]:
        with (
            atomic_output(self.path, self.overwrite) as stream,
            _y4m_writer(stream, header, self.name) as writer,
        ):
            yield writer

    def size_bytes(self) -> int:
        return _size_of(self.path)


@dataclass(frozen=True)
class PictureFolder:
    """A folder of PNG pictures, all of them or none."""

    path: Path
    overwrite: bool
    carries_sound: ClassVar[bool] = False

    @property
    def name(self) -> str:
        return str(self.path)

    @contextmanager
    def opened(self, header: Header, audio: AudioTrack | None, tags: Tags = NO_TAGS) -> Iterator[FrameWriter]:
        with PngWriter(self.path, header.width, header.height, overwrite=self.overwrite) as writer:
            yield writer

    def size_bytes(self) -> int:
        return _size_of(self.path)


@dataclass(frozen=True)
class MatroskaStream:
    """A stream of Matroska that can be shown while it goes on."""

    stream: BinaryIO
    coding: Coding
    name: str
    carries_sound: ClassVar[bool] = True

    def opened(
        self, header: Header, audio: AudioTrack | None, tags: Tags = NO_TAGS
    ) -> AbstractContextManager[FrameWriter]:
        return _video_writer(self.stream, header, audio, tags, self.coding, shown_as=self.name)

    def size_bytes(self) -> None:
        return


@dataclass(frozen=True)
class Y4mStream:
    """A stream of uncompressed frames at a constant rate."""

    stream: BinaryIO
    name: str
    carries_sound: ClassVar[bool] = False

    @contextmanager
    def opened(self, header: Header, audio: AudioTrack | None, tags: Tags = NO_TAGS) -> Iterator[FrameWriter]:
        with _y4m_writer(self.stream, header, self.name) as writer:
            yield writer

    def size_bytes(self) -> None:
        return


def frame_output(
    target: Place,
    *,
    codec: str | None = None,
    crf: int | None = None,
    overwrite: bool = False,
    stream_format: StreamFormat | None = None,
    pixel_format: str | None = None,
) -> FrameOutput:
    """The output that `target` names: a stream, a folder of pictures or a video file.

    Raises UsageError for options that do not apply to it, TypeError for what is no place to write to.
    """
    _check_choice("stream_format", stream_format, STREAM_FORMATS)
    _check_choice("pixel_format", pixel_format, CHOOSABLE_FORMATS)
    place = output_of(target, overwrite=overwrite)
    coding = Coding(codec, crf, pixel_format)
    if not isinstance(place, FileOutput):
        if stream_format != "y4m":
            return MatroskaStream(place.stream, coding, place.name)
        coding.refuse("Y4M", place.name)
        return Y4mStream(place.stream, place.name)
    if stream_format is not None:
        raise UsageError(
            f"`stream_format` {stream_format} does not apply to a file",
            way_out="leave it out: the suffix of the file says what it is",
            where=place.name,
        )
    if is_png_folder(target if isinstance(target, str) else place.path):
        coding.refuse("PNG frames", place.name)
        return PictureFolder(place.path, overwrite)
    if place.path.suffix.lower() == ".y4m":
        coding.refuse("Y4M", place.name)
        return Y4mFile(place.path, overwrite)
    check_video_name(place.path, ", .y4m, or a folder for PNG frames")
    return VideoFile(place.path, overwrite, coding)


def _check_choice(parameter: str, value: str | None, choices: Sequence[str]) -> None:
    if value is not None and value not in choices:
        raise UsageError(f"`{parameter}` {value!r} is unknown", way_out=f"choose {' or '.join(choices)}")


def _video_writer(
    place: Path | BinaryIO,
    header: Header,
    audio: AudioTrack | None,
    tags: Tags,
    coding: Coding,
    *,
    shown_as: str,
) -> VideoWriter:
    return VideoWriter(
        place,
        header.width,
        header.height,
        header.frame_rate,
        codec=coding.codec,
        crf=coding.crf,
        colour=header.colour,
        sample_aspect=header.sample_aspect,
        shown_as=shown_as,
        tick=_tick_of(header),
        audio=audio,
        pixel_format=coding.pixel_format,
        tags=tags,
    )


def _y4m_writer(stream: BinaryIO, header: Header, name: str) -> Y4mWriter:
    return Y4mWriter(
        stream,
        header.width,
        header.height,
        header.frame_rate,
        colour=header.colour,
        sample_aspect=header.sample_aspect,
        tick=_tick_of(header),
        shown_as=name,
    )


def _tick_of(header: Header) -> Fraction | None:
    return header.time_base if header.has_times else None


def _size_of(path: Path) -> int:
    try:
        if path.is_dir():
            return sum(entry.stat().st_size for entry in path.iterdir())
        return path.stat().st_size
    except OSError as error:
        raise OutputError(
            f"disappeared after it was written ({error.strerror})", way_out="decode it again", where=str(path)
        ) from error
