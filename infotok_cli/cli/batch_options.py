"""Options of `infotok batch` that say which files are encoded, and on what."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from infotok_cli.cli import quantities
from infotok_cli.errors import UsageError

if TYPE_CHECKING:
    from infotok_cli.batch.devices import Seat
    from infotok_cli.batch.shards import Shard

FILES_PANEL = "Which files"
PLACES_PANEL = "Where they are encoded"


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    """Which files, and what is done with them."""

    shard: Annotated[
        str | None,
        typer.Option(
            "--shard",
            metavar="I/N",
            help="Do only part I of N, counted from 0.",
            show_default="RANK and WORLD_SIZE, else a Slurm array's, else all",
            rich_help_panel=FILES_PANEL,
        ),
    ] = None
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", metavar="N", min=0, help="Encode at most N files.", rich_help_panel=FILES_PANEL
        ),
    ] = None
    max_failures: Annotated[
        int | None,
        typer.Option(
            "--max-failures",
            metavar="N",
            min=0,
            help="Stop when more than N files have failed.",
            rich_help_panel=FILES_PANEL,
        ),
    ] = None
    psnr: Annotated[
        bool,
        typer.Option(
            "--psnr",
            help="Also decode each file and record its PSNR, in the column psnr_db of the stats.",
            rich_help_panel=FILES_PANEL,
        ),
    ] = False
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="List what would be done, and do nothing else.", rich_help_panel=FILES_PANEL
        ),
    ] = False
    missing: Annotated[
        bool,
        typer.Option(
            "--missing",
            help="Print the numbers of rows that have no output yet, such as 0-3,7, and do nothing else.",
            rich_help_panel=FILES_PANEL,
        ),
    ] = False

    @property
    def of_every_shard(self) -> bool:
        """Whether what all shards have left is asked for."""
        return self.missing and self.shard is None

    def part(self) -> Shard:
        """The part of the files that is this process's; raises UsageError."""
        from infotok_cli.batch.shards import Shard, choose_shard

        return Shard() if self.of_every_shard else choose_shard(self.shard, os.environ)


@dataclass(frozen=True, kw_only=True)
class PlaceOptions:
    """The processes, devices and machines that encode."""

    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="N",
            parser=quantities.whole("--workers", least=1),
            help="Processes, each with its own model and its share of the threads; with --gpus so many for "
            "each device, with Ray so many actors.",
            show_default="1; with Ray as many as there is room for",
            rich_help_panel=PLACES_PANEL,
        ),
    ] = None
    gpus: Annotated[
        str | None,
        typer.Option(
            "--gpus",
            metavar="N|LIST",
            help="One model on each of N CUDA devices, or on those in a list: 0,2 for two, 3, for one.",
            show_default="one device",
            rich_help_panel=PLACES_PANEL,
        ),
    ] = None
    engine: Annotated[
        str,
        typer.Option(
            "--engine",
            metavar="local|ray",
            parser=quantities.one_of("--engine", ("local", "ray")),
            help="Encode on this machine, or on a Ray cluster.",
            rich_help_panel=PLACES_PANEL,
        ),
    ] = "local"
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            metavar="HOST:PORT",
            help="The Ray cluster to join, or auto.",
            show_default="RAY_ADDRESS, else one is started here",
            rich_help_panel=PLACES_PANEL,
        ),
    ] = None

    def seats(self, device: str) -> list[Seat]:
        """One for each process of this machine; UsageError for options that do not go together."""
        from infotok_cli.batch.devices import seats

        if self.address is not None and self.engine != "ray":
            raise UsageError("`address` goes with `engine` ray", way_out="give both, or leave it out")
        if self.engine == "ray" and self.gpus is not None:
            raise UsageError(
                "`gpus` does not go with `engine` ray", way_out="leave it out: its actors find theirs"
            )
        return seats(device, self.workers or 1, self.gpus, os.environ)
