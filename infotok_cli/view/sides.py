"""Several .itk files of one clip, measured against their source and seen at one frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from infotok_cli.codec.ahead import ahead
from infotok_cli.codec.decode_segments import decoded_segments
from infotok_cli.codec.load_engine import check_model
from infotok_cli.container.reader import ItkReader
from infotok_cli.errors import UsageError
from infotok_cli.evaluate.quality import Quality, QualityMeter
from infotok_cli.itk.report import FileReport, report_file
from infotok_cli.model.engine import Engine
from infotok_cli.video.segments import joined
from infotok_cli.video.video_info import Frame
from infotok_cli.view.report_source import source_frames
from infotok_cli.view.same_clip import check_same_clip, check_same_model, longer_source
from infotok_cli.view.scene import Where, chosen_frame, where_tokens_are

FEWEST_FILES, MOST_FILES = 2, 6


@dataclass(frozen=True, kw_only=True)
class Side:
    """One file of a comparison."""

    path: Path
    report: FileReport
    where: Where
    quality: Quality | None
    """Means over all its frames; None without a source."""
    picture: Frame | None
    """The frame `[H, W, 3]` that is shown; None if none is wished for."""


@dataclass(frozen=True, kw_only=True)
class Sides:
    """Files side by side."""

    sides: tuple[Side, ...]
    source: Frame | None
    """The source's picture of the frame that is shown."""
    frame: int
    """Its number."""
    notes: tuple[str, ...]
    """What a person should know, a line for each thing."""


@dataclass(frozen=True, kw_only=True)
class SidesWish:
    """What to compare; UsageError for too few or too many files."""

    files: Sequence[Path]
    source: Path | None = None
    """The video that was encoded."""
    pictures: bool = False
    """Whether the frame to be shown is kept."""
    frame: int | None = None
    at_seconds: float | None = None

    def __post_init__(self) -> None:
        if not FEWEST_FILES <= len(self.files) <= MOST_FILES:
            raise UsageError(
                f"{len(self.files)} file{'s' if len(self.files) != 1 else ''} cannot be compared",
                way_out=f"give {FEWEST_FILES} to {MOST_FILES}",
            )
        if self.frame is not None and self.at_seconds is not None:
            raise UsageError("`frame` and `at` exclude each other", way_out="give one of them")

    @property
    def needs_model(self) -> bool:
        """Whether anything is decoded."""
        return self.pictures or self.source is not None


def frames_to_decode(wish: SidesWish) -> int:
    """How many frames `put_side_by_side` tells of; needs no model.

    Raises InputError for files that are damaged or of different clips, ModelError for files of different
    models.
    """
    with ExitStack() as stack:
        readers = _opened(wish, stack)
        return readers[0].total_frames * len(readers) if wish.source is not None else 0


def put_side_by_side(
    wish: SidesWish, engine: Engine | None, *, measured: Callable[[int], None] = lambda frames: None
) -> Sides:
    """Decode all files and measure them; with neither source nor pictures nothing is decoded.

    engine: the weights of the files; None where nothing is decoded. `measured` is told of all frames decoded
    so far. Raises InputError for files that are damaged, of different clips or not of the source, ModelError
    for other weights, UsageError for a frame that is not there.
    """
    with ExitStack() as stack:
        readers = _opened(wish, stack)
        wheres = [where_tokens_are(reader) for reader in readers]
        number = chosen_frame(readers[0], wheres[0], wish.frame, wish.at_seconds)
        notes = longer_source(wish.source, readers[0].total_frames)
        sides: list[Side] = []
        for path, reader, where in zip(wish.files, readers, wheres, strict=True):
            told = partial(_tell, measured, readers[0].total_frames * len(sides))
            quality, picture = _decoded(wish, path, reader, engine, number=number, measured=told)
            sides.append(
                Side(path=path, report=report_file(path), where=where, quality=quality, picture=picture)
            )
        source = None
        if wish.source is not None and wish.pictures:
            source = next(source_frames(wish.source, readers[0].header, range(number, number + 1)))
    return Sides(sides=tuple(sides), source=source, frame=number, notes=tuple(notes))


def _tell(measured: Callable[[int], None], before: int, done: int) -> None:
    measured(before + done)


def _opened(wish: SidesWish, stack: ExitStack) -> list[ItkReader]:
    """Readers of all files, which go together."""
    readers = [stack.enter_context(ItkReader(path)) for path in wish.files]
    for path, reader in zip(wish.files, readers, strict=True):
        check_same_clip(path, reader, wish.files[0], readers[0])
        check_same_model(path, reader, wish.files[0], readers[0])
    return readers


def _decoded(
    wish: SidesWish,
    path: Path,
    reader: ItkReader,
    engine: Engine | None,
    *,
    number: int,
    measured: Callable[[int], None],
) -> tuple[Quality | None, Frame | None]:
    """Quality of a file against the source, and frame `number`; None for what is not wished for."""
    if engine is None:
        return None, None
    check_model(engine, reader.header, str(path))
    if wish.source is None:
        (frames,) = decoded_segments(reader, engine, range(number, number + 1))
        return None, frames[0].copy()
    header, total = reader.header, range(reader.total_frames)
    source, picture, done = source_frames(wish.source, header, total), None, 0
    with (
        QualityMeter(header.height, header.width, header.segment_frames) as meter,
        ahead(decoded_segments(reader, engine, total)) as parts,
    ):
        segments = iter(parts)
        while (part := joined(segments, header.segment_frames)) is not None:
            meter.add(_taken(source, len(part)), part)
            if done <= number < done + len(part):
                picture = part[number - done].copy()
            done += len(part)
            measured(done)
        return meter.result(), picture


def _taken(frames: Iterator[Frame], count: int) -> Frame:
    """The next `count` frames as one array `[T, H, W, 3]`; the iterator raises where there are fewer."""
    return np.stack(list(islice(frames, count)))
