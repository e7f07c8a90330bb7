"""What an encode was asked to do; needs no torch, so that it is checked before a model is loaded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infotok_cli.config import MAX_SEGMENT_FRAMES, MIN_RATE
from infotok_cli.errors import UsageError
from infotok_cli.routers import ALLOCATIONS, ROUTERS, AllocationName

if TYPE_CHECKING:
    from infotok_cli.allocation.budgets import Budget

DEFAULT_RATE = 0.5

MAX_SHORT_SIDE = 8192

MAX_REFINE_STEPS = 1000


@dataclass(frozen=True, kw_only=True)
class EncodeOptions:
    """What an encode was asked to do; validated here, so that every caller gets the same limits.

    Raises UsageError for values out of range and for options that contradict each other.
    """

    rate: float = DEFAULT_RATE
    """Average token rate over the file, 1/8 to 1; not used when there is a budget."""
    budget: Budget | None = None
    """What sets the tokens instead of `rate`."""
    router: str = "fast"
    """A name in `ROUTERS`."""
    allocation: AllocationName | None = None
    """What is allocated; None leaves it to the router, see `allocation_kind`."""
    short_side: int | None = None
    """Resize so that the shorter side has this many pixels; None keeps the size."""
    segment_frames: int | None = None
    """Frames per segment, a multiple of 4; None takes the model's default."""
    refine: int = 0
    """Steps in which a segment's tokens are improved against what the decoder will show."""
    start_seconds: float | None = None
    """Time of the video to start at, 0 or more; None starts at its beginning."""
    end_seconds: float | None = None
    """Time to stop before, later than the start; None goes to the end."""
    frames: int | None = None
    """Frames to stop after, 1 or more; None goes to the end, or to `end_seconds`."""
    audio: bool = True
    """Whether the sound is copied, untouched, where there is some."""

    def __post_init__(self) -> None:
        if not MIN_RATE <= self.rate <= 1:
            raise UsageError(f"`rate` {self.rate:g} is out of range", way_out=f"choose {MIN_RATE:g} to 1")
        self._check_router()
        self._check_budget()
        if self.short_side is not None and not 1 <= self.short_side <= MAX_SHORT_SIDE:
            raise UsageError(
                f"`short_side` {self.short_side} is out of range", way_out=f"choose 1 to {MAX_SHORT_SIDE}"
            )
        frames = self.segment_frames
        if frames is not None and (frames % 4 or not 4 <= frames <= MAX_SEGMENT_FRAMES):
            raise UsageError(
                f"`segment_frames` {frames} is not a multiple of 4 between 4 and {MAX_SEGMENT_FRAMES}"
            )
        if not 0 <= self.refine <= MAX_REFINE_STEPS:
            raise UsageError(
                f"`refine` {self.refine} is out of range", way_out=f"choose 0 to {MAX_REFINE_STEPS} steps"
            )
        self._check_range()

    @property
    def allocation_kind(self) -> AllocationName:
        """What is allocated: as asked for, else what the router makes, else blocks."""
        return self.allocation or ROUTERS[self.router].allocation or "block"

    def _check_router(self) -> None:
        if self.router not in ROUTERS:
            raise UsageError(f"`router` {self.router!r} is unknown", way_out=f"choose {', '.join(ROUTERS)}")
        if self.allocation is not None and self.allocation not in ALLOCATIONS:
            raise UsageError(
                f"`allocation` {self.allocation!r} is unknown", way_out=f"choose {', '.join(ALLOCATIONS)}"
            )
        only = ROUTERS[self.router].allocation
        if only is not None and self.allocation not in (None, only):
            raise UsageError(
                f"`allocation` {self.allocation} does not go with `router` {self.router}",
                way_out="leave it out",
            )

    def _check_budget(self) -> None:
        if self.budget is None:
            return
        router, kind = ROUTERS[self.router], self.budget.kind
        if router.error_map == "searched":
            raise UsageError(f"`{kind}` does not go with `router` {router.name}", way_out="give `rate`")
        if self.budget.planner.fitted and not router.knows_errors:
            able = " or ".join(name for name, other in ROUTERS.items() if other.knows_errors)
            raise UsageError(
                f"`{kind}` does not go with `router` {router.name}, which measures no errors",
                way_out=f"choose `router` {able}",
            )
        if self.budget.planner.fitted and self.allocation_kind != "block":
            raise UsageError(
                f"`{kind}` does not go with `allocation` {self.allocation_kind}",
                way_out="choose `allocation` block",
            )

    def _check_range(self) -> None:
        for name in ("start_seconds", "end_seconds"):
            seconds = getattr(self, name)
            if seconds is not None and not math.isfinite(seconds):
                raise UsageError(f"`{name}` is {seconds:g}", way_out="give a number of seconds")
        if self.start_seconds is not None and self.start_seconds < 0:
            raise UsageError(
                f"`start_seconds` {self.start_seconds:g} is negative",
                way_out="give seconds from the beginning",
            )
        if self.end_seconds is not None and self.end_seconds <= (self.start_seconds or 0):
            raise UsageError(
                f"`end_seconds` {self.end_seconds:g} is not after `start_seconds` "
                f"{self.start_seconds or 0:g}",
                way_out="give a later end",
            )
        if self.frames is not None and self.frames < 1:
            raise UsageError(f"`frames` {self.frames} is out of range", way_out="choose 1 or more")

    def check_single_pass(self, what: str, way_out: str) -> None:
        """Raise UsageError where these take a second pass over `what`, which can be read only once."""
        if self.budget is None or not self.budget.planner.surveys:
            return
        from infotok_cli.allocation.budgets import BUDGETS

        others = [f"`{name}`" for name, planner in BUDGETS.items() if not planner.surveys]
        raise UsageError(
            f"`{self.budget.kind}` looks at the whole video first, but {what} can be read only once",
            way_out=f"{way_out}, or give `rate`, {', '.join(others[:-1])} or {others[-1]}",
        )
