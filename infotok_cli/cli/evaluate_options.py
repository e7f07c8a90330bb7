"""Options of `infotok eval` that are lists, and the files it writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from infotok_cli.atomic import atomic_output
from infotok_cli.cli.options import check_file_output
from infotok_cli.config import MIN_RATE
from infotok_cli.errors import OutputError, UsageError
from infotok_cli.evaluate.anchors import check_anchor
from infotok_cli.evaluate.plots import check_plot, plot_curves
from infotok_cli.evaluate.report import as_json
from infotok_cli.evaluate.results import AnchorSetting, ClipResult, Setting, as_csv
from infotok_cli.evaluate.sweep import Sweep
from infotok_cli.model.engine import Engine
from infotok_cli.routers import ALLOCATIONS, ROUTERS

ALL_ANCHORS = "x264,x265,svt-av1"

Name = TypeVar("Name", bound=str)


def parse_rates(text: str) -> list[float]:
    """Token rates of a comma-separated list; UsageError for one that is no rate."""
    rates = []
    for part in text.split(","):
        try:
            rate = float(part)
        except ValueError as error:
            raise UsageError(f"--rates {part!r} is not a number", way_out="give rates like 1,0.5") from error
        if not MIN_RATE <= rate <= 1:
            raise UsageError(f"--rates {part} is out of range", way_out="choose 0.125 to 1")
        rates.append(rate)
    return rates


def parse_list(option: str, text: str, choices: Sequence[Name]) -> list[Name]:
    """Names of a comma-separated list; UsageError for one that is not among `choices`."""
    names = {str(choice): choice for choice in choices}
    chosen = []
    for part in text.split(","):
        if part not in names:
            raise UsageError(f"{option} {part!r} is unknown", way_out=f"choose {', '.join(names)}")
        chosen.append(names[part])
    return chosen


def parse_settings(rates: str, routers: str, allocations: str, *, calibrated: bool = False) -> list[Setting]:
    """Every combination; rate 1, where all of them do the same, only once and never calibrated."""
    points = dict.fromkeys(parse_rates(rates))
    combinations = [
        (router, ROUTERS[router].allocation or allocation)
        for router in parse_list("--routers", routers, tuple(ROUTERS))
        for allocation in parse_list("--allocations", allocations, ALLOCATIONS)
    ]
    return [
        Setting(rate=rate, router=router, allocation=allocation, calibrated=calibrated and rate < 1)
        for router, allocation in dict.fromkeys(combinations)
        for rate in points
        if rate < 1 or (router, allocation) == combinations[0]
    ]


def parse_anchors(anchors: str, crfs: str) -> list[AnchorSetting]:
    """Anchors of a comma-separated list (`all`: one per codec), each at its CRFs; UsageError."""
    if not anchors:
        if crfs:
            raise UsageError("--crfs are those of anchors", way_out="name some with --anchors")
        return []
    chosen = [check_anchor(name) for name in (ALL_ANCHORS if anchors == "all" else anchors).split(",")]
    try:
        grid = sorted({int(part) for part in crfs.split(",")}) if crfs else []
    except ValueError as error:
        raise UsageError(
            f"--crfs {crfs!r} are not whole numbers", way_out="give some like 24,32,40"
        ) from error
    for anchor in chosen:
        if grid and not 0 <= grid[0] <= grid[-1] <= anchor.highest_crf:
            raise UsageError(f"--crfs {crfs}: {anchor.name} takes 0 to {anchor.highest_crf}")
    points = [AnchorSetting(anchor=anchor.name, crf=crf) for anchor in chosen for crf in grid or anchor.crfs]
    return list(dict.fromkeys(points))


@dataclass(frozen=True)
class Targets:
    """The files a run writes."""

    json: Path | None
    csv: Path | None
    plot: Path | None

    @property
    def journal(self) -> Path | None:
        """The file that grows while the run goes on."""
        return self.json and self.json.with_suffix(".jsonl")

    def check(self, *, overwrite: bool, resume: bool) -> None:
        """Raise UsageError or OutputError now for what could not be written at the end."""
        if resume and self.journal is None:
            raise UsageError("--resume needs --json: the measurements made so far are kept beside that file")
        if self.journal is not None and self.journal == self.json:
            raise UsageError(
                f"--json {self.json} is the name of the list of measurements", way_out="choose a .json"
            )
        if self.plot is not None:
            check_plot(self.plot)
        goes_on = resume and self.journal is not None and self.journal.exists()
        if self.json is not None:
            check_file_output(self.json, overwrite or goes_on)
        for path in (self.csv, self.plot):
            if path is None:
                continue
            if resume and not overwrite and path.exists():
                raise OutputError(
                    f"exists already: --resume goes on with {self.json} only, give -y as well to "
                    "overwrite the rest, or choose another name",
                    where=str(path),
                )
            check_file_output(path, overwrite)
        if self.journal is not None and self.journal.exists() and not (overwrite or resume):
            raise OutputError(
                "exists, from an earlier run: --resume goes on with it, -y starts anew",
                where=str(self.journal),
            )

    def write(self, rows: Sequence[ClipResult], sweep: Sweep, engine: Engine) -> None:
        """Write them all; what was there was asked about before."""
        if self.json is not None:
            with atomic_output(self.json, overwrite=True) as stream:
                stream.write(json.dumps(as_json(rows, sweep, engine), indent=1).encode())
        if self.csv is not None:
            with atomic_output(self.csv, overwrite=True) as stream:
                stream.write(as_csv(rows).encode())
        if self.plot is not None:
            plot_curves(rows, self.plot, overwrite=True)
