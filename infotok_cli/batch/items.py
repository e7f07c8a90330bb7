"""One video of a batch: its id, its source, and where its output goes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import PurePosixPath

from infotok_cli.errors import InfotokError, InputError
from infotok_cli.video.video_info import MEDIA_SUFFIXES

SCANNED_SUFFIXES = frozenset({*MEDIA_SUFFIXES, ".m4v", ".mpg", ".mpeg"}) - {".png", ".jpg", ".jpeg", ".webp"}
"""Of files that are taken from a folder."""


@dataclass(frozen=True)
class Item:
    """A video to encode."""

    row: int
    """Its place among all that the inputs name, from 0: for one manifest, its row."""
    id: str
    """What it is known by: its path below the input folder, or the `id` of a manifest."""
    source: str
    """Its path or URL."""

    @property
    def target(self) -> str:
        """Path of its output below the output folder: the id, .itk in place of a video's suffix."""
        path = PurePosixPath(self.id)
        known = path.suffix.lower() in SCANNED_SUFFIXES or path.suffix.lower() in MEDIA_SUFFIXES
        return str(path.with_suffix(".itk") if known else path.with_name(path.name + ".itk"))

    def shard(self, count: int) -> int:
        """Which of `count` shards it belongs to, by its id alone."""
        return int.from_bytes(hashlib.sha256(self.id.encode("utf-8", "surrogateescape")).digest()[:8]) % count


@dataclass(frozen=True)
class Refused:
    """What an input names and nothing can be made of."""

    row: int
    id: str
    source: str
    error: InfotokError

    def shard(self, count: int) -> int:
        """As that of an `Item`."""
        return Item(self.row, self.id, self.source).shard(count)


def checked(item: Item) -> Item | Refused:
    """The item, unless its id leads out of the output folder or names nothing."""
    path = PurePosixPath(item.id)
    if not path.name or path.is_absolute() or ".." in path.parts or "\0" in item.id:
        return refused(item, f"id {item.id!r} is not a path below the output folder", "give it another `id`")
    return item


def refused(item: Item, what: str, way_out: str) -> Refused:
    """The item as one that nothing can be made of."""
    error = InputError(what, way_out=way_out, where=item.source)
    return Refused(item.row, item.id, item.source, error)


def without_clashes(found: list[Item | Refused]) -> list[Item | Refused]:
    """The same in the same order, each item whose output another one would write too refused."""
    rows: dict[str, list[Item]] = {}
    for item in found:
        if isinstance(item, Item):
            rows.setdefault(item.target, []).append(item)
    return [_alone(item, rows[item.target]) if isinstance(item, Item) else item for item in found]


def _alone(item: Item, same: list[Item]) -> Item | Refused:
    if len(same) == 1:
        return item
    other = next((one for one in same if one.row != item.row), item)
    return refused(
        item, f"would be written to {item.target}, as {other.source} would", "rename one, or give it an id"
    )
