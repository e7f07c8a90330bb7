"""Windows of tokens for a torch DataLoader: shared among ranks and workers, shuffled, resumable."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from infotok_cli.data.units import Ids, find_units
from infotok_cli.errors import UsageError
from infotok_cli.itk.training_formats.sequences import SequenceOptions
from infotok_cli.places import PathName


class Position(NamedTuple):
    """Where a worker is: the next window begins there."""

    epoch: int
    unit: int
    """In the worker's own list of videos or documents."""
    offset: int
    """In the ids of that unit."""


class TokenDataset(IterableDataset[dict[str, Tensor]]):
    """Windows of `context_length` ids out of .itk files or a memmap export.

    The units, videos of .itk files or documents of an export, are shuffled anew for every epoch and dealt
    out to all workers of all ranks. Each worker packs its own, one after the other, into windows without
    gaps; what is left at the end of an epoch and fills no window is dropped. A pass over the data set is
    one epoch, or never ends with `endless`, as workers have different numbers of windows.

    An item has
        ids: int64 `[context_length]`;
        units: int64 `[context_length]`, the number of the video or document that each id is of, to keep
            attention within it;
        position: int64 `[5]`, where the worker is after it: shard, number of shards, epoch, unit, offset.

    To resume, keep `state_dict()`. In a process that iterates by itself, that is without workers, or in the
    workers of torchdata's StatefulDataLoader, it is up to date; where a plain DataLoader has workers, call
    `record(batch)` for every batch that was used. No window is lost or comes twice; only the order in which
    workers take turns may differ.
    """

    def __init__(
        self,
        sources: PathName | Iterable[PathName],
        context_length: int,
        *,
        seed: int | None = 0,
        endless: bool = False,
        marks: Iterable[str] = (),
        id_offset: int = 0,
        model: PathName | None = None,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        """Find the sources; .itk files are opened when it is their turn.

        sources: .itk files and folders of them, or one folder that `export` wrote as memmap.
        context_length: ids of a window, 1 or more.
        seed: of the shuffling; None keeps the order of names.
        marks, id_offset: as for `export_training`; those of an export are in it.
        model: name or path of the weights that made the files, where it is no packaged one.
        rank, world_size: by default those of torch.distributed, else of the variables RANK and WORLD_SIZE.

        Raises InputError and UsageError. Iterating raises InputError for a damaged file.
        """
        if context_length < 1:
            raise UsageError(f"`context_length` {context_length} is out of range", way_out="give 1 or more")
        given = [sources] if isinstance(sources, (str, os.PathLike)) else list(sources)
        self._units = find_units(given, SequenceOptions(marks=tuple(marks), id_offset=id_offset), model)
        self._context_length = context_length
        self._seed = seed
        self._endless = endless
        self._rank, self._world_size = _rank(rank, world_size)
        self._positions: dict[int, Position] = {}
        self._shards: int | None = None
        self._epoch = 0

    @property
    def vocab_size(self) -> int:
        """One more than the highest id that can occur."""
        return self._units.vocab_size

    def set_epoch(self, epoch: int) -> None:
        """Begin the next pass at the start of this epoch."""
        self._epoch = epoch
        self._positions = {}
        self._shards = None

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        shard, shards = self._shard()
        start = self._positions.get(shard, Position(self._epoch, 0, 0))
        while True:
            found = False
            for item, after in self._windows(start, shard, shards):
                found = True
                self._positions[shard], self._shards = after, shards
                yield item | {"position": torch.tensor([shard, shards, *after])}
            if not self._endless:
                return
            if not found and start.unit == start.offset == 0:
                raise UsageError(
                    f"`context_length` {self._context_length} is more than worker {shard} of {shards} has",
                    way_out="choose less, or fewer workers",
                )
            start = Position(start.epoch + 1, 0, 0)

    def _shard(self) -> tuple[int, int]:
        """Number of this worker among those of all ranks, and how many there are."""
        worker = get_worker_info()
        number, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        shards = self._world_size * workers
        if self._shards not in (None, shards):
            raise UsageError(
                f"the state is of {self._shards} workers in all, here are {shards}",
                way_out="take as many, or begin an epoch with set_epoch",
            )
        return self._rank * workers + number, shards

    def _windows(
        self, start: Position, shard: int, shards: int
    ) -> Iterator[tuple[dict[str, Tensor], Position]]:
        """The windows of the rest of an epoch, and where the next one begins, which may be the next epoch."""
        held: tuple[Ids, Ids] | None = None
        for ids, units, begin in self._packed(start, self._order(start.epoch)[shard::shards]):
            if held is not None:
                yield _item(*held), begin
            held = ids, units
        if held is not None:
            yield _item(*held), Position(start.epoch + 1, 0, 0)

    def _packed(self, start: Position, order: Ids) -> Iterator[tuple[Ids, Ids, Position]]:
        """Ids, their units, and where the window began."""
        length, offset = self._context_length, start.offset
        ids, units = np.empty(length, np.int64), np.empty(length, np.int64)
        filled, begin = 0, start
        for place in range(start.unit, len(order)):
            content = self._units.ids(int(order[place]))
            while offset < len(content):
                if not filled:
                    begin = Position(start.epoch, place, offset)
                taken = min(length - filled, len(content) - offset)
                ids[filled : filled + taken] = content[offset : offset + taken]
                units[filled : filled + taken] = order[place]
                filled, offset = filled + taken, offset + taken
                if filled == length:
                    yield ids.copy(), units.copy(), begin
                    filled = 0
            offset = 0

    def _order(self, epoch: int) -> Ids:
        count = len(self._units)
        if self._seed is None:
            return np.arange(count)
        return np.random.default_rng([self._seed, epoch]).permutation(count)

    def record(self, batch: Mapping[str, Tensor]) -> None:
        """Take note that a batch of a DataLoader with workers was used."""
        for shard, shards, *after in batch["position"].reshape(-1, 5).tolist():
            self._positions[shard], self._shards = Position(*after), shards

    def state_dict(self) -> dict[str, Any]:
        """Plain values from which `load_state_dict` goes on; each rank has its own."""
        return {
            "sources": self._units.fingerprint(),
            "context_length": self._context_length,
            "seed": self._seed,
            "shards": self._shards,
            "epoch": self._epoch,
            "positions": {str(shard): list(position) for shard, position in self._positions.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a data set of the same sources and settings was; UsageError for another."""
        own = self.state_dict()
        for name in ("sources", "context_length", "seed"):
            if state.get(name) != own[name]:
                raise UsageError(
                    f"the state is of {name} {state.get(name)}, here it is {own[name]}",
                    way_out="resume with the same sources and settings",
                )
        self._shards, self._epoch = state["shards"], state["epoch"]
        self._positions = {int(shard): Position(*position) for shard, position in state["positions"].items()}


def _item(ids: Ids, units: Ids) -> dict[str, Tensor]:
    return {"ids": torch.from_numpy(ids), "units": torch.from_numpy(units)}


def _rank(rank: int | None, world_size: int | None) -> tuple[int, int]:
    """Checked rank and world size."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        found = torch.distributed.get_rank(), torch.distributed.get_world_size()
    else:
        try:
            found = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        except ValueError as error:
            raise UsageError(
                f"RANK and WORLD_SIZE are not numbers ({error})", way_out="unset them, or give `rank`"
            ) from error
    number = found[0] if rank is None else rank
    count = found[1] if world_size is None else world_size
    if not 0 <= number < count:
        raise UsageError(f"`rank` {number} is not one of {count}", way_out="count ranks from 0")
    return number, count
