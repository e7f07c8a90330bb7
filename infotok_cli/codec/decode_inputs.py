"""An .itk file or stream as frames, times and sound that are decoded while they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Protocol

from infotok_cli.codec.decode_segments import Late, decode_stored, decoded_segments
from infotok_cli.codec.endpoints import FileInput, Input
from infotok_cli.codec.load_engine import check_model
from infotok_cli.container.header import Header
from infotok_cli.container.reader import ItkReader
from infotok_cli.container.stream import ItkStream
from infotok_cli.errors import UsageError
from infotok_cli.itk.cut_segment import segments_and_cut, show_cut_segment
from infotok_cli.itk.frame_times import frame_range, frame_span
from infotok_cli.itk.keep_maps import noted_damage
from infotok_cli.itk.playback import Chunk, file_chunks, stream_chunks
from infotok_cli.model.engine import Engine
from infotok_cli.tags import Tags


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What is to be decoded."""

    start_seconds: float | None = None
    end_seconds: float | None = None
    frames: int | None = None
    """Frames to stop after, 1 or more; None goes to the end."""
    audio: bool = True
    skip_bad: bool = False
    """Whether damage is named and bridged instead of being raised."""

    def __post_init__(self) -> None:
        if self.frames is not None and self.frames < 1:
            raise UsageError(f"`frames` {self.frames} is out of range", way_out="choose 1 or more")


class Played(Protocol):
    """An opened file, or a stream of one, that is being decoded."""

    @property
    def header(self) -> Header: ...
    @property
    def tags(self) -> Tags: ...
    @property
    def size_bytes(self) -> int:
        """Of a stream, what has been read of it."""


@dataclass(frozen=True)
class Playback:
    """What is being decoded."""

    stored: Played
    chunks: Iterator[Chunk]
    batch: int
    """Segments that are decoded together."""
    total: int | None
    """Frames that are shown; None for a stream, whose index comes at its end."""
    seconds: Fraction | None
    """How long they are shown; None for a stream: its chunks tell."""


@dataclass(frozen=True)
class OpenedInput:
    """An .itk file that somebody holds open."""

    reader: ItkReader

    @property
    def name(self) -> str:
        return self.reader.name


def playing(
    given: Input | OpenedInput, engine: Engine, wanted: Selection, lost: list[str]
) -> AbstractContextManager[Playback]:
    """Open an input and begin to decode it.

    With `skip_bad` damage is named in `lost`, a line for each. Raises InputError, UsageError, and ModelError
    unless `engine` runs the weights that made the file.
    """
    if isinstance(given, OpenedInput):
        return playing_reader(given.reader, engine, wanted, lost)
    if isinstance(given, FileInput):
        return _playing_file(given.path, engine, wanted, lost)
    return _playing_stream(given.stream, given.name, engine, wanted)


@contextmanager
def _playing_file(path: Path, engine: Engine, wanted: Selection, lost: list[str]) -> Iterator[Playback]:
    with (
        ItkReader(path, recover=wanted.skip_bad) as reader,
        playing_reader(reader, engine, wanted, lost) as playback,
    ):
        yield playback


@contextmanager
def playing_reader(
    reader: ItkReader, engine: Engine, wanted: Selection, lost: list[str], late: Late | None = None
) -> Iterator[Playback]:
    """Begin to decode an opened file; see `playing`, and `decoded_segments` for `late`."""
    named = lost if wanted.skip_bad else None
    check_model(engine, reader.header, reader.name)
    if wanted.skip_bad:
        show_cut_segment(reader, engine.loaded.token_net)
    lost += noted_damage(reader)
    if reader.tags_damage is not None:
        lost.append(f"{reader.name}: {reader.tags_damage}: title and date are left out")
    frames = frame_range(reader, wanted.start_seconds, wanted.end_seconds, wanted.frames)
    decoded = decoded_segments(reader, engine, frames, named, late)
    start, end = frame_span(reader, frames)
    yield Playback(
        stored=reader,
        chunks=file_chunks(reader, decoded, frames, audio=wanted.audio, lost=named),
        batch=engine.batch(reader.header.positions()),
        total=len(frames),
        seconds=end - start,
    )


@contextmanager
def _playing_stream(source: BinaryIO, name: str, engine: Engine, wanted: Selection) -> Iterator[Playback]:
    if wanted.skip_bad:
        raise UsageError(
            "`skip_bad` needs the index, which a pipe has at its end", way_out="save it to a file first"
        )
    stream = ItkStream(source, name)
    check_model(engine, stream.header, stream.name)
    chunks = stream_chunks(
        stream,
        segments_and_cut(stream, engine.loaded.token_net),
        lambda segment: decode_stored(stream, segment, engine),
        start_seconds=wanted.start_seconds,
        end_seconds=wanted.end_seconds,
        frames=wanted.frames,
        audio=wanted.audio,
    )
    # One by one: whoever reads the other end should not wait for more.
    yield Playback(stored=stream, chunks=chunks, batch=1, total=None, seconds=None)
