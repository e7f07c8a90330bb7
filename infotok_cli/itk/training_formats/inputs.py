"""The .itk files that training data is made of: found in folders, named, and read segment by segment."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from infotok_cli.container.header import Header
from infotok_cli.entropy.flat_ids import MAX_TOKEN_IDS
from infotok_cli.entropy.token_ids import codebook_size
from infotok_cli.errors import InputError, UsageError
from infotok_cli.itk.token_file import TokenFile, TokenSegment
from infotok_cli.places import PathName
from infotok_cli.segment_tokens import Tokens

SUFFIX = ".itk"


@dataclass(frozen=True, kw_only=True)
class VideoFile:
    """One input."""

    id: str
    """Its path in the folder that was given, without the suffix; the name alone for a file given itself."""
    path: Path


@dataclass(frozen=True, kw_only=True)
class SegmentTokens:
    """A segment that is not lost, as arrays."""

    about: TokenSegment
    tokens: Tokens


def find_files(given: Iterable[PathName]) -> list[VideoFile]:
    """Files as they are given, and those of folders, however deep, in the order of their names.

    Raises InputError for what is not there and folders without an .itk file, UsageError for two of one id.
    """
    found: dict[str, VideoFile] = {}
    for one in given:
        path = Path(one)
        for file in _in_folder(path) if path.is_dir() else [_file(path)]:
            if file.id in found:
                raise UsageError(
                    f"would have the id {file.id!r}, as {found[file.id].path} has",
                    way_out="name each file once, or the folder above both",
                    where=str(file.path),
                )
            found[file.id] = file
    if not found:
        raise UsageError("no files are given", way_out="name .itk files or folders of them")
    return list(found.values())


def _file(path: Path) -> VideoFile:
    if not os.path.exists(path):
        raise InputError("does not exist", way_out="check the name", where=str(path))
    return VideoFile(id=path.stem, path=path)


def _in_folder(folder: Path) -> list[VideoFile]:
    paths = sorted(path for path in folder.rglob(f"*{SUFFIX}") if not path.name.startswith("."))
    if not paths:
        raise InputError(
            f"holds no {SUFFIX} file",
            way_out="name a folder that 'infotok encode' wrote to",
            where=str(folder),
        )
    return [VideoFile(id=path.relative_to(folder).with_suffix("").as_posix(), path=path) for path in paths]


def segments_of(file: TokenFile) -> Iterator[SegmentTokens]:
    """The segments of a file that are not lost, one at a time; InputError for damage."""
    for about in file.segments:
        if not about.lost:
            yield SegmentTokens(about=about, tokens=file.token_layer(about.number))


def check_alike(header: Header, first: Header, name: str) -> None:
    """Raise InputError unless ids of the file `name` mean what those of the `first` file mean."""
    if codebook_size(header.levels) > MAX_TOKEN_IDS:
        raise InputError(
            f"its quantizer has {codebook_size(header.levels):,} ids, which leaves none of 16 bits for marks",
            way_out="encode it with other weights",
            where=name,
        )
    if (header.model_sha256, header.levels) != (first.model_sha256, first.levels):
        raise InputError(
            f"is of model {model_of(header)}, files before it of {model_of(first)}, whose ids differ",
            way_out="export the files of each model on their own",
            where=name,
        )


def model_of(header: Header) -> str:
    """Name and the start of the hash of the model that made a file."""
    return f"{header.model_name} {header.model_sha256.hex()[:12]}"


def verified(files: Sequence[VideoFile]) -> tuple[list[VideoFile], list[InputError]]:
    """The files whose every byte is as it was written, and what is wrong with the others."""
    good, errors = [], []
    for file in files:
        try:
            with TokenFile(file.path) as opened:
                opened.verify()
            good.append(file)
        except InputError as error:
            errors.append(error)
    return good, errors
