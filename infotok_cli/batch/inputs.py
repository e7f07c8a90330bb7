"""What the inputs of a batch name: folders, globs, lists, tables and single files become items."""

from __future__ import annotations

import glob
import os
import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path

from infotok_cli.batch.items import SCANNED_SUFFIXES, Item, Refused, checked, refused, without_clashes
from infotok_cli.batch.manifest import MANIFEST_SUFFIXES, Entry, read_manifest
from infotok_cli.batch.remote import is_url, reached
from infotok_cli.errors import InfotokError, InputError, UsageError

_MAGIC = "*?["


def find_items(inputs: Sequence[str], output: Path) -> list[Item | Refused]:
    """All that the inputs name, in order, whatever the shard; what nothing can be made of is among it.

    An input that cannot be read is one `Refused`. Raises its error when there is nothing besides, and
    UsageError when `output` lies in an input folder.
    """
    found: list[Item | Refused] = []
    for name in inputs:
        _check_apart(name, output)
        try:
            for known, source in _entries(name):
                item = Item(len(found), known or source, source)
                found.append(checked(item) if source else _without_path(item, name))
        except InfotokError as error:
            found.append(Refused(len(found), name, name, error))
    if len(found) == 1 and isinstance(found[0], Refused) and found[0].source in inputs:
        raise found[0].error
    return without_clashes(found)


def _without_path(item: Item, manifest: str) -> Refused:
    known = f"{manifest}: {item.id or f'row {item.row}'}"
    return refused(Item(item.row, known, manifest), f"row {item.row} has no path", "fill it in")


def _check_apart(name: str, output: Path) -> None:
    """Raise UsageError when the output folder is an input folder or in one."""
    if is_url(name) or not os.path.isdir(name):
        return
    inside, folder = Path(os.path.realpath(output)), Path(os.path.realpath(name))
    if inside == folder or folder in inside.parents:
        raise UsageError(
            f"lies in the input folder {name}", way_out="choose a folder outside of it", where=str(output)
        )


def _entries(name: str) -> list[Entry]:
    """What one input names; InputError when that is nothing."""
    if is_url(name):
        return _remote(name)
    if os.path.isdir(name):
        return _some(name, sorted(_in_folder(name)))
    if not os.path.lexists(name) and any(mark in name for mark in _MAGIC):
        base = _fixed_part(name)
        paths = sorted(path for path in glob.glob(name, recursive=True) if not os.path.isdir(path))
        return _some(name, [(os.path.relpath(path, base), path) for path in paths])
    if name.lower().endswith(MANIFEST_SUFFIXES):
        return _some(name, read_manifest(name))
    if not os.path.exists(name):
        raise InputError("does not exist", way_out="check the name", where=name)
    return [(os.path.basename(name), name)]


def _remote(url: str) -> list[Entry]:
    if url.lower().endswith(MANIFEST_SUFFIXES):
        return _some(url, read_manifest(url))
    with reached(url) as (system, path):
        if any(mark in path for mark in _MAGIC):
            base, paths = _fixed_part(path), system.glob(path)
        elif system.isdir(path):
            base, paths = path, [one for one in system.find(path) if _is_video(one)]
        else:
            return [(posixpath.basename(path), url)]
        return _some(
            url, [(posixpath.relpath(one, base), system.unstrip_protocol(one)) for one in sorted(paths)]
        )


def _fixed_part(pattern: str) -> str:
    """The folder in which a glob begins to match."""
    first = min(pattern.index(mark) for mark in _MAGIC if mark in pattern)
    return os.path.dirname(pattern[:first]) or "."


def _in_folder(folder: str) -> Iterator[Entry]:
    def stop(error: OSError) -> None:
        raise InputError(
            f"cannot be read ({error.strerror})", way_out="check its permissions", where=str(error.filename)
        ) from error

    for place, _, names in os.walk(folder, onerror=stop):
        for name in filter(_is_video, names):
            path = os.path.join(place, name)
            yield os.path.relpath(path, folder), path


def _is_video(path: str) -> bool:
    name = posixpath.basename(path)
    return not name.startswith(".") and posixpath.splitext(name)[1].lower() in SCANNED_SUFFIXES


def _some(name: str, entries: list[Entry]) -> list[Entry]:
    if not entries:
        raise InputError("names no videos", way_out="check what is in it", where=name)
    return entries
