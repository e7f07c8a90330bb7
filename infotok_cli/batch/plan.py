"""What of a batch is to do, in one shard or in all; needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infotok_cli.batch.items import Item, Refused
from infotok_cli.batch.outputs import Row, row_of
from infotok_cli.batch.run_file import RunSettings
from infotok_cli.batch.shards import Shard


@dataclass(frozen=True, kw_only=True)
class Work:
    """Files of a shard, by what there is of them."""

    todo: Sequence[Item]
    done: Sequence[Row]
    refused: Sequence[Refused]

    @property
    def missing_rows(self) -> list[int]:
        """Places, among all that the inputs name, of what has no output."""
        return [*(item.row for item in self.todo), *(item.row for item in self.refused)]


def find_work(found: Sequence[Item | Refused], folder: Path, shard: Shard, run: RunSettings) -> Work:
    """Sort what the inputs name; every output that is there is read, and one of another run is to do."""
    todo: list[Item] = []
    done: list[Row] = []
    refused: list[Refused] = []
    for item in found:
        if item.shard(shard.count) != shard.index:
            continue
        if isinstance(item, Refused):
            refused.append(item)
            continue
        row = row_of(
            folder / item.target, run, id=item.id, source=item.source, output=item.target, status="skipped"
        )
        if row is None:
            todo.append(item)
        else:
            done.append(row)
    return Work(todo=todo, done=done, refused=refused)
