"""What a data set hands out to workers: videos of .itk files, documents of a memmap export."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from infotok_cli.errors import InputError, UsageError
from infotok_cli.itk.token_file import TokenFile
from infotok_cli.itk.training_formats.inputs import VideoFile, check_alike, find_files, segments_of
from infotok_cli.itk.training_formats.rows import METADATA, read_metadata
from infotok_cli.itk.training_formats.sequences import SequenceOptions
from infotok_cli.places import PathName

Ids = NDArray[np.integer[Any]]


class Units(Protocol):
    """Videos or documents, each a sequence of ids."""

    vocab_size: int

    def __len__(self) -> int: ...
    def ids(self, number: int) -> Ids: ...
    def fingerprint(self) -> str: ...


def find_units(given: Iterable[PathName], sequences: SequenceOptions, model: PathName | None) -> Units:
    """Those of one memmap export, or of .itk files and folders of them.

    Raises InputError and UsageError.
    """
    paths = [Path(path) for path in given]
    abouts = [read_metadata(path) for path in paths if path.is_dir()]
    exports = [about for about in abouts if about is not None]
    if not exports:
        return VideoUnits(find_files(paths), sequences, model)
    if len(paths) > 1:
        raise UsageError("an export does not go with other sources", way_out="name it alone")
    if exports[0].get("format") != "memmap":
        raise InputError(
            f"is an export as {exports[0].get('format')}",
            way_out="name one with `format` memmap, or the .itk files",
            where=str(paths[0]),
        )
    if sequences != SequenceOptions():
        raise UsageError(
            "`marks` and `id_offset` of an export are those it was made with", way_out="leave them out"
        )
    return MemmapUnits(paths[0], exports[0])


@dataclass
class VideoUnits:
    """Each .itk file is a unit, opened when it is its turn."""

    files: list[VideoFile]
    sequences: SequenceOptions
    model: PathName | None

    def __post_init__(self) -> None:
        with TokenFile(self.files[0].path) as file:
            self._first = file.header
        self.vocab_size = self.sequences.highest(self._first) + 1

    def __len__(self) -> int:
        return len(self.files)

    def ids(self, number: int) -> Ids:
        """All ids of a video; InputError where it is damaged, or of another model than the first."""
        with TokenFile(self.files[number].path, model=self.model) as file:
            check_alike(file.header, self._first, file.name)
            last = max((about.number for about in file.segments if not about.lost), default=-1)
            parts = [
                self.sequences.sequence(segment, file.header, last=segment.about.number == last)
                for segment in segments_of(file)
            ]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def fingerprint(self) -> str:
        """A hash of the ids of the files and the marks asked for."""
        parts = [*(file.id for file in self.files), *self.sequences.marks, str(self.sequences.id_offset)]
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


class MemmapUnits:
    """Each document of an export is a unit."""

    def __init__(self, folder: Path, about: dict[str, Any]) -> None:
        self._path = folder / "tokens.bin"
        try:
            self._dtype = np.dtype({"uint16": "<u2", "int32": "<i4"}[about["dtype"]])
            self.vocab_size = int(about["vocab_size"])
            with open(folder / "documents.jsonl", encoding="utf-8") as lines:
                rows = [json.loads(line) for line in lines]
            self._starts = np.array([row["offset"] for row in rows], np.int64)
            self._lengths = np.array([row["ids"] for row in rows], np.int64)
            size = self._path.stat().st_size
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"cannot be read as an export ({type(error).__name__}: {error})",
                way_out="export it again",
                where=str(folder),
            ) from error
        if not rows or size != int(self._lengths.sum()) * self._dtype.itemsize:
            raise InputError(
                f"has {size:,} bytes, which are not the ids that {METADATA} speaks of",
                way_out="export it again",
                where=str(self._path),
            )

    def __len__(self) -> int:
        return len(self._starts)

    def ids(self, number: int) -> Ids:
        """The ids of a document, mapped from the file."""
        start = int(self._starts[number])
        whole = np.memmap(self._path, self._dtype, "r")
        return whole[start : start + int(self._lengths[number])]

    def fingerprint(self) -> str:
        """A hash of the lengths of all documents."""
        return hashlib.sha256(self._lengths.tobytes()).hexdigest()
