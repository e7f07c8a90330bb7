"""Flat ids as a folder of plain arrays, which training code maps into memory; docs/FORMAT.md describes it.

A writer takes the sequences one by one and holds none; the folder appears whole or not at all. A reader
checks sizes and SHA-256 of both arrays; whatever the folder holds, it raises nothing but InputError.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infotok_cli.container.header import Header
from infotok_cli.entropy.flat_ids import SEGMENT, Flat
from infotok_cli.errors import InputError, OutputError
from infotok_cli.itk.flat_files import EXPORT_AGAIN, Content, facts_of, head_of, refused

IDS, SEGMENTS, FACTS = "tokens.bin", "segment_ids.bin", "metadata.json"
TYPES = {IDS: "<u2", SEGMENTS: "<u4"}
MAX_FACTS_BYTES = 1 << 16


def write_folder(target: Path, overwrite: bool, header: Header, sequences: Iterable[Flat]) -> int:
    """Write the folder; returns the bytes of its files.

    Raises OutputError when `target` exists, unless `overwrite` is true and it is such a folder, or when it
    cannot be written.
    """
    with _new_folder(target, overwrite) as folder:
        count = 0
        with (folder / IDS).open("wb") as ids, (folder / SEGMENTS).open("wb") as numbers:
            for number, flat in enumerate(sequences):
                ids.write(flat.astype(TYPES[IDS], copy=False).tobytes())
                numbers.write(np.full(len(flat), number, TYPES[SEGMENTS]).tobytes())
                count += len(flat)
        facts = facts_of(header)
        for name, kind in TYPES.items():
            facts[name] = {"dtype": kind, "count": count, "sha256": _sha256(folder / name)}
        (folder / FACTS).write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
        return sum(entry.stat().st_size for entry in folder.iterdir())


@contextmanager
def read_folder(folder: Path) -> Iterator[Content]:
    """The header's bytes and the sequence of each segment of a folder that was written."""
    with refused("memmap"):
        if not folder.is_dir():
            raise InputError("is not a folder", way_out="give one made by 'infotok export --format memmap'")
        with (folder / FACTS).open("rb") as file:
            text = file.read(MAX_FACTS_BYTES)
        head = head_of(text)
        facts = json.loads(text)
        arrays = {name: _checked(folder / name, facts[name]) for name in TYPES}
        ids = arrays[IDS]
        starts = np.flatnonzero(ids == SEGMENT)
        numbers = np.cumsum(ids == SEGMENT) - 1
        if not len(starts) or starts[0] or not np.array_equal(numbers, arrays[SEGMENTS]):
            raise InputError(f"{SEGMENTS} does not belong to {IDS}", way_out=EXPORT_AGAIN)
    yield head, np.split(ids, starts[1:])


def check_folder(target: Path, overwrite: bool) -> None:
    """Raise OutputError unless the folder may be made; one that holds anything else is never replaced."""
    if not os.path.lexists(target):
        return
    if not target.is_dir():
        raise OutputError("is a file", way_out="name a folder", where=str(target))
    strangers = sorted({entry.name for entry in target.iterdir()} - {*TYPES, FACTS})
    if strangers:
        raise OutputError(f"holds {strangers[0]!r}", way_out="name another folder", where=str(target))
    if not overwrite:
        raise OutputError(
            "exists already",
            way_out="choose another name, or replace it with `overwrite`",
            where=str(target),
        )


def _checked(path: Path, facts: Any) -> NDArray[Any]:
    """An array in memory, if its file is the one that `facts` describe."""
    array = np.fromfile(path, TYPES[path.name])
    if len(array) * array.itemsize != path.stat().st_size or len(array) != facts["count"]:
        raise InputError(f"{path.name} has {path.stat().st_size} bytes", way_out=EXPORT_AGAIN)
    if _sha256(path) != facts["sha256"]:
        raise InputError(f"{path.name} is damaged, its checksum differs", way_out=EXPORT_AGAIN)
    return array


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _new_folder(target: Path, overwrite: bool) -> Iterator[Path]:
    """Lend an empty folder that takes the name `target` when the block ends well."""
    with _reported(target):
        check_folder(target, overwrite)
        partial = Path(tempfile.mkdtemp(prefix=".infotok-", dir=target.absolute().parent))
    try:
        with _reported(target):
            made, aside = partial / "made", partial / "earlier"
            made.mkdir()
            yield made
            check_folder(target, overwrite)
            if target.exists():
                target.rename(aside)
            try:
                made.rename(target)
            except OSError:
                with contextlib.suppress(OSError):
                    aside.rename(target)
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _reported(target: Path) -> Iterator[None]:
    """Turn what the system says into an OutputError; reading raises InputError."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot be written ({error.strerror or error})",
            way_out="check the folder and the disk",
            where=str(target),
        ) from error
