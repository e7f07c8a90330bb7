"""`infotok export` for training: .itk files as the data sets that training programs read. No torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from infotok_cli.atomic import atomic_folder, atomic_path
from infotok_cli.container.header import Header
from infotok_cli.errors import InputError, OutputError, UsageError
from infotok_cli.itk.token_file import TokenFile
from infotok_cli.itk.training_formats import megatron, memmap, parquet, webdataset
from infotok_cli.itk.training_formats.inputs import VideoFile, check_alike, find_files, verified
from infotok_cli.itk.training_formats.rows import DOCUMENTS, Settings, Video, is_training_folder
from infotok_cli.itk.training_formats.sequences import SequenceOptions
from infotok_cli.places import PathName

GIGABYTE = 10**9


@dataclass(frozen=True, kw_only=True)
class TrainingFormat:
    """One row of the table."""

    write: Callable[[Path, Iterable[Video], Settings], None]
    is_folder: bool
    has_sequences: bool
    """Whether it has ids with marks and an offset, in documents; otherwise plain token ids and keep maps."""
    has_shards: bool = False


TRAINING_FORMATS = {
    "megatron": TrainingFormat(write=megatron.write, is_folder=True, has_sequences=True),
    "memmap": TrainingFormat(write=memmap.write, is_folder=True, has_sequences=True),
    "parquet": TrainingFormat(write=parquet.write, is_folder=False, has_sequences=False),
    "webdataset": TrainingFormat(
        write=webdataset.write, is_folder=True, has_sequences=False, has_shards=True
    ),
}


@dataclass(frozen=True, kw_only=True)
class TrainingReport:
    """What was written."""

    output: str
    format: str
    videos: int
    segments: int
    tokens: int
    lost_segments: int
    """Segments that were lost before their file was repaired, and have no tokens."""
    size_bytes: int
    """Of all files of the output."""
    notes: tuple[str, ...] = ()
    """A line for each file that was left out as it is damaged."""


def export_training(
    sources: Iterable[PathName],
    target: PathName,
    format: str,
    *,
    marks: Iterable[str] = (),
    id_offset: int = 0,
    document: str | None = None,
    shard_size: int | None = None,
    model: PathName | None = None,
    skip_bad: bool = False,
    overwrite: bool = False,
) -> TrainingReport:
    """Write the tokens of .itk files, and of all those in folders, as a data set for training.

    The output, a folder but for parquet, appears whole or not at all.

    format: megatron, memmap, parquet or webdataset; docs/TRAINING_DATA.md describes them.
    marks, id_offset, document: for megatron and memmap, see `SequenceOptions`; a document is a "video"
        (default) or a "segment".
    shard_size: for webdataset, about how much a tar holds; default 1 GB.
    model: name or path of the weights that made the files, where it is no packaged one.
    skip_bad: leave damaged files out; otherwise the first one is an error.

    Raises InputError, UsageError, ModelError or OutputError.
    """
    kind = _checked(format, tuple(marks), id_offset, document, shard_size)
    settings = Settings(
        sequences=SequenceOptions(marks=tuple(marks), id_offset=id_offset),
        document=document or "video",
        shard_size=shard_size or GIGABYTE,
    )
    place = Path(target)
    files = find_files(sources)
    _check_apart(files, place)
    count = _Count(model)
    with _place(kind, place, overwrite) as written:
        skipped: list[InputError] = []
        if skip_bad:
            files, skipped = verified(files)
            if not files:
                raise skipped[0]
        try:
            kind.write(written, count.opened(files), settings)
        except OSError as error:  # reading raises InputError
            raise OutputError(
                f"cannot be written ({error.strerror or error})", way_out="check the disk", where=str(place)
            ) from error
        if not count.segments:
            raise InputError(
                "holds no segment that is whole", way_out="encode the video again", where=str(files[0].path)
            )
        size = sum(file.stat().st_size for file in ([*written.iterdir()] if kind.is_folder else [written]))
    return TrainingReport(
        output=str(place),
        format=format,
        videos=count.videos,
        segments=count.segments,
        tokens=count.tokens,
        lost_segments=count.lost_segments,
        size_bytes=size,
        notes=tuple(map(str, skipped)),
    )


def _checked(
    format: str, marks: tuple[str, ...], id_offset: int, document: str | None, shard_size: int | None
) -> TrainingFormat:
    """The row of `format`; UsageError for options that it does not have."""
    if format not in TRAINING_FORMATS:
        raise UsageError(
            f"`format` {format!r} is not one of training data",
            way_out=f"choose {', '.join(TRAINING_FORMATS)}",
        )
    kind = TRAINING_FORMATS[format]
    if not kind.has_sequences:
        given = {"marks": marks, "id_offset": id_offset, "document": document}
        for name in (name for name, value in given.items() if value):
            raise UsageError(
                f"`{name}` does not go with `format` {format}, which has plain token ids",
                way_out="leave it out, or take megatron or memmap",
            )
    if shard_size is not None and not kind.has_shards:
        raise UsageError(
            f"`shard_size` does not go with `format` {format}", way_out="leave it out, or take webdataset"
        )
    if shard_size is not None and shard_size < 1:
        raise UsageError(f"`shard_size` {shard_size} is not a size", way_out="give 1 byte or more")
    if document not in (None, *DOCUMENTS):
        raise UsageError(f"`document` {document!r} is unknown", way_out=f"choose {' or '.join(DOCUMENTS)}")
    if format == "parquet":
        parquet.check()
    return kind


def _place(kind: TrainingFormat, target: Path, overwrite: bool) -> AbstractContextManager[Path]:
    if kind.is_folder:
        return atomic_folder(target, overwrite, is_training_folder)
    return atomic_path(target, overwrite)


def _check_apart(files: list[VideoFile], target: Path) -> None:
    """Raise UsageError when an input is the output or lies in it."""
    where = os.path.realpath(target) if "\0" not in str(target) else str(target)
    for file in files:
        if Path(os.path.realpath(file.path)).is_relative_to(where):
            raise UsageError(
                f"would replace the input {file.path}", way_out="name another output", where=str(target)
            )


class _Count:
    """Opens the files for a writer and counts what it reads."""

    def __init__(self, model: PathName | None) -> None:
        self._model = model
        self._first: Header | None = None
        self.videos = self.segments = self.tokens = self.lost_segments = 0

    def opened(self, files: Iterable[VideoFile]) -> Iterator[Video]:
        """Each file while it is the writer's turn to read it; InputError where it is not as the first."""
        for file in files:
            with TokenFile(file.path, model=self._model) as opened:
                self._first = self._first or opened.header
                check_alike(opened.header, self._first, opened.name)
                yield Video(file=file, opened=opened)
                self.videos += 1
                self.tokens += opened.total_tokens
                lost = sum(about.lost for about in opened.segments)
                self.lost_segments += lost
                self.segments += len(opened.segments) - lost
