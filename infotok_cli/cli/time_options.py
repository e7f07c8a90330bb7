"""Options that say which part of a video is meant, and which single frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from infotok_cli.cli import options, quantities
from infotok_cli.errors import UsageError

Start = Annotated[
    float | None,
    typer.Option(
        "--start",
        metavar="TIME",
        help="Start at this time, such as 90 or 1:30.",
        parser=quantities.seconds("--start"),
        show_default="the beginning",
        rich_help_panel=options.INPUT_PANEL,
    ),
]
End = Annotated[
    float | None,
    typer.Option(
        "--end",
        metavar="TIME",
        help="Stop before this time.",
        parser=quantities.seconds("--end"),
        show_default="the end",
        rich_help_panel=options.INPUT_PANEL,
    ),
]
Duration = Annotated[
    float | None,
    typer.Option(
        "--duration",
        metavar="TIME",
        help="Stop this long after the start, instead of --end.",
        parser=quantities.seconds("--duration"),
        rich_help_panel=options.INPUT_PANEL,
    ),
]
Frames = Annotated[
    int | None,
    typer.Option(
        "--frames",
        metavar="N",
        help="Stop after N frames, or at the end if that comes first.",
        parser=quantities.whole("--frames", least=1),
        rich_help_panel=options.INPUT_PANEL,
    ),
]
Frame = Annotated[
    int | None,
    typer.Option(
        "--frame",
        parser=quantities.whole("--frame"),
        metavar="N",
        help="Which frame to draw, counted from 0.",
        show_default="the most telling",
        rich_help_panel=options.INPUT_PANEL,
    ),
]
At = Annotated[
    float | None,
    typer.Option(
        "--at",
        parser=quantities.seconds("--at"),
        metavar="TIME",
        help="The frame to draw by its time, instead of --frame.",
        show_default="none",
        rich_help_panel=options.INPUT_PANEL,
    ),
]


@dataclass(frozen=True, kw_only=True)
class TimeOptions:
    """The part of a video."""

    start: Start = None
    end: End = None
    duration: Duration = None
    frames: Frames = None

    @property
    def until(self) -> float | None:
        """Where to stop; raises as `end_of`."""
        return end_of(self.start, self.end, self.duration)


def end_of(start: float | None, end: float | None, duration: float | None) -> float | None:
    """Where to stop, by --end or --duration; UsageError for both, and for an end before the start."""
    if duration is not None:
        if end is not None:
            raise UsageError("--end and --duration both say where to stop", way_out="give one of them")
        if not duration:
            raise UsageError("--duration 0 leaves nothing", way_out="give more than 0")
        return (start or 0) + duration
    if end is not None and end <= (start or 0):
        raise UsageError(f"--end {end:g} is not after --start {start or 0:g}", way_out="give a later end")
    return end
