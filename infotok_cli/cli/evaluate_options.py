"""Options of `infotok eval` that are lists, and the files it writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from infotok_cli.atomic import atomic_output
from infotok_cli.cli.options import check_file_output
from infotok_cli.config import MIN_RATE
from infotok_cli.errors import OutputError, UsageError
from infotok_cli.evaluate.anchors import (
    ANCHORS,
    LONGEST_KEYINT,
    check_anchor,
    with_keyframes,
)
from infotok_cli.evaluate.compare import compare
from infotok_cli.evaluate.comparison_csv import comparisons_as_csv
from infotok_cli.evaluate.plots import check_plot, plot_curves
from infotok_cli.evaluate.results import AnchorSetting, ClipResult, Setting, Wanted, as_csv
from infotok_cli.routers import ALLOCATIONS, ROUTERS

ALL_ANCHORS = "x264,x265,svt-av1"

SEGMENT = "segment"
"""As a distance of keyframes: the length of a segment of ours."""

Name = TypeVar("Name", bound=str)


def parse_rates(text: str) -> list[float]:
    """Token rates of a comma-separated list; UsageError for one that is not a rate."""
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
            raise UsageError("--crfs needs --anchors", way_out="name some, or leave --crfs out")
        return []
    chosen = [check_anchor(name) for name in (ALL_ANCHORS if anchors == "all" else anchors).split(",")]
    try:
        grid = sorted({int(part) for part in crfs.split(",")}) if crfs else []
    except ValueError as error:
        raise UsageError(
            f"--crfs {crfs!r} is not a list of whole numbers", way_out="give some like 24,32,40"
        ) from error
    for anchor in chosen:
        if grid and not 0 <= grid[0] <= grid[-1] <= anchor.highest_crf:
            raise UsageError(
                f"--crfs {crfs} is out of range",
                way_out=f"choose 0 to {anchor.highest_crf}, as {anchor.name} takes",
            )
    points = [AnchorSetting(anchor=anchor.name, crf=crf) for anchor in chosen for crf in grid or anchor.crfs]
    return list(dict.fromkeys(points))


def parse_keyint(text: str, anchors: str) -> int | None:
    """Most frames from keyframe to keyframe, None for `segment`; UsageError for others or without anchors."""
    if not anchors:
        raise UsageError("--anchors-keyint needs --anchors", way_out="name some, or leave it out")
    if text == SEGMENT:
        return None
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= LONGEST_KEYINT):
        raise UsageError(
            f"--anchors-keyint {text!r} is no number of frames",
            way_out=f"give 1 to {LONGEST_KEYINT}, or {SEGMENT} for the length of a segment",
        )
    return int(text)


def also_with_keyframes(settings: Sequence[Wanted], frames: int) -> list[Wanted]:
    """`settings`, and after them every anchor's again with a keyframe at least every `frames` frames."""
    keyed = [
        replace(wanted, anchor=with_keyframes(ANCHORS[wanted.anchor], frames).name)
        for wanted in settings
        if isinstance(wanted, AnchorSetting) and wanted.anchor in ANCHORS
    ]
    return list(dict.fromkeys([*settings, *keyed]))


def to_text(document: dict[str, object], *, is_line: bool = False) -> str:
    """JSON text of a run's results: indented, as a file has it, or all on one line."""
    return json.dumps(document, indent=None if is_line else 1)


@dataclass(frozen=True)
class Targets:
    """The files a run writes."""

    results: Path | None
    csv: Path | None
    plot: Path | None
    compare_csv: Path | None = None
    published: bool = False
    """Whether results of others are in the plot."""

    @property
    def journal(self) -> Path | None:
        """The file that grows as measurements are made."""
        return self.results and self.results.with_suffix(".jsonl")

    def check(self, *, overwrite: bool, resume: bool) -> None:
        """Raise UsageError or OutputError now for what could not be written at the end."""
        if resume and self.journal is None:
            raise UsageError(
                "--resume needs --output", way_out="name the results file of the run that was interrupted"
            )
        if self.journal is not None and self.journal == self.results:
            raise UsageError(
                f"--output {self.results} is where measurements are listed", way_out="choose a .json file"
            )
        if self.published and self.plot is None:
            raise UsageError("--published needs --plot", way_out="name a picture, or leave it out")
        if self.plot is not None:
            check_plot(self.plot)
        resumes = resume and self.journal is not None and self.journal.exists()
        if self.results is not None:
            check_file_output(self.results, overwrite or resumes)
        for path in (self.csv, self.compare_csv, self.plot):
            if path is None:
                continue
            if resume and not overwrite and path.exists():
                raise OutputError(
                    f"exists already, and --resume replaces only {self.results}",
                    way_out="give -y as well to overwrite it, or choose another name",
                    where=str(path),
                )
            check_file_output(path, overwrite)
        if self.journal is not None and self.journal.exists() and not (overwrite or resume):
            raise OutputError(
                "exists already, from an earlier run",
                way_out="resume that run with --resume, or start over with -y",
                where=str(self.journal),
            )

    def write(self, rows: Sequence[ClipResult], document: dict[str, object]) -> None:
        """Write them all, over what `check` found there; document: the results file's JSON object."""
        if self.results is not None:
            with atomic_output(self.results, overwrite=True) as stream:
                stream.write(to_text(document).encode())
        if self.csv is not None:
            with atomic_output(self.csv, overwrite=True) as stream:
                stream.write(as_csv(rows).encode())
        if self.compare_csv is not None:
            with atomic_output(self.compare_csv, overwrite=True) as stream:
                stream.write(comparisons_as_csv(compare(rows)).encode())
        if self.plot is not None:
            plot_curves(rows, self.plot, overwrite=True, published=self.published)
