"""Planners turn what was asked for into tokens: what they see, what they say, and what they have in common.

A planner sees a group's error maps, chooses its allocations, and is told what the group's segments
took. What one group leaves over, the next may spend. Planners that need to know the whole video first
(`surveys` is true) are shown all error maps in a pass before.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from fractions import Fraction
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from infotok_cli.allocation.allocate import Allocation, allocate, least_tokens
from infotok_cli.allocation.elastic import Prefixes
from infotok_cli.allocation.fits import Fits
from infotok_cli.container import layout
from infotok_cli.container.header import Header
from infotok_cli.errors import UsageError
from infotok_cli.routers import AllocationName

ErrorMap = NDArray[np.float32]

SEGMENT_OVERHEAD = layout.SEGMENT_BYTES + layout.INDEX_ENTRY_STRUCT.size
"""Bytes of a segment in the file besides its map and its tokens, its place in the index included."""


class Trial(Protocol):
    """A segment that can be decoded to see what an allocation shows."""

    def psnr_db(self, allocation: Allocation) -> float:
        """Mean over frames of PSNR, dB."""


_SLACK = 0.01
"""Share by which more tokens than were asked for are not worth a warning, besides what rounding adds."""


@dataclass(frozen=True)
class Group:
    """Segments that are allocated together."""

    errors: list[ErrorMap]
    """Error maps `[t, h, w]`, one a segment."""
    frames: list[int]
    """Real frames of each."""
    prefixes: Sequence[Prefixes] = ()
    """What the elastic router searches, one a segment; empty with the others."""
    trials: Mapping[int, Trial] = field(default_factory=dict)
    """By number in the group, segments whose quality can be measured."""
    side_bytes: int = 0
    """Bytes these segments take besides, whatever is allocated: sound, frame times, longer headers."""
    seconds: Fraction = Fraction(0)
    """How long they are shown."""

    @property
    def positions(self) -> int:
        return sum(error.size for error in self.errors)

    def least_tokens(self, kind: AllocationName) -> int:
        """Fewest tokens that allocations of that kind give these segments."""
        return sum(least_tokens(error.shape, kind) for error in self.errors)


@dataclass(frozen=True)
class Written:
    """What a group's segments took in the file."""

    segments: int
    positions: int
    tokens: int
    map_bytes: int
    token_bytes: int
    motion_bytes: int = 0

    def __add__(self, other: Written) -> Written:
        return Written(*(mine + more for mine, more in zip(astuple(self), astuple(other), strict=True)))

    @property
    def size_bytes(self) -> int:
        return self.map_bytes + self.motion_bytes + self.token_bytes + self.segments * SEGMENT_OVERHEAD


NOTHING = Written(segments=0, positions=0, tokens=0, map_bytes=0, token_bytes=0)

Measure = Callable[[list[Allocation]], Written]
"""Codes a group with these allocations and tells what it would take; costs time."""


class Planner:
    """Chooses the tokens of groups, in order."""

    surveys: ClassVar[bool] = False
    """Whether `survey` must have seen every group before the first `plan`."""
    alone: ClassVar[bool] = False
    """Whether what a segment gets depends on no other, so that in a stream none waits for the next."""
    takes_trials: ClassVar[bool] = False
    """Whether it looks at `Group.trials`."""

    def survey(self, group: Group, measure: Measure | None) -> None:
        """Look at a group before any is planned; `measure` is None where the group is the whole video."""
        raise NotImplementedError(f"{type(self).__name__} needs no survey")

    def plan(self, group: Group, measure: Measure) -> list[Allocation]:
        """Tokens of the next group. Raises UsageError where the budget cannot be met by any file."""
        raise NotImplementedError

    def wrote(self, written: Written) -> None:
        """Be told what the group planned last took."""

    def check(self, size_bytes: int) -> None:
        """Raise UsageError when a finished file of this size breaks the budget."""

    def warnings(self) -> tuple[UsageError, ...]:
        """After the last group, what was asked for and could not be had; not raised, the file is whole."""
        return ()

    @property
    def predicted_psnr_db(self) -> float | None:
        """Quality expected of the groups so far, mean over frames; None where none is predicted."""
        return None


class Outcome(Protocol):
    """What came of an encode, as far as budgets speak of it."""

    @property
    def tokens(self) -> int: ...
    @property
    def token_rate(self) -> float: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def duration_seconds(self) -> float: ...
    @property
    def predicted_psnr_db(self) -> float | None: ...


class BudgetPlanner(Planner, ABC):
    """The planner of a kind of budget, and all that is to be known of that kind."""

    name: ClassVar[str]
    """As in `Budget.kind`, and as the option of the command line without its dashes."""
    unit: ClassVar[str]
    """Of the value, plural."""
    limits: ClassVar[tuple[float, float] | None] = None
    """Least and greatest value; None: any positive number."""
    by_group: ClassVar[bool] = False
    """Whether what a group gets depends on no other group, so that groups may be encoded apart."""
    fitted: ClassVar[bool] = False
    """Whether it rests on what was fitted to error maps of blocks, see `has_fit`."""

    @abstractmethod
    def __init__(self, value: float, header: Header, fits: Fits) -> None:
        """value: what was asked for, in `unit`. header: of the file to be. fits: of the weights.

        Raises UsageError for a value that cannot be met, as far as the header tells.
        """

    @classmethod
    def check_value(cls, value: float) -> None:
        """Raise UsageError unless the value makes sense for some video."""
        if not (math.isfinite(value) and value > 0):
            raise UsageError(
                f"`{cls.name}` {value:g} is out of range", way_out=f"give a positive number of {cls.unit}"
            )
        if cls.limits is not None and not cls.limits[0] <= value <= cls.limits[1]:
            raise UsageError(
                f"`{cls.name}` {value:g} is out of range",
                way_out=f"choose {cls.limits[0]:g} to {cls.limits[1]:g}",
            )

    @classmethod
    def has_fit(cls, fits: Fits, router: str) -> bool:
        """Whether weights have what this kind needs with that router."""
        return True

    @classmethod
    def expected_tokens(cls, value: float, positions: int, seconds: float) -> float | None:
        """Tokens that a video of this many positions and seconds would get; None if that cannot be known."""
        return None

    @classmethod
    def expected_bytes(cls, value: float, seconds: float) -> float | None:
        """Bytes that its file would take; None if that is not what the budget sets."""
        return None

    @classmethod
    @abstractmethod
    def in_words(cls, value: float, came: Outcome) -> str:
        """What came of it, for people: a clause."""


class Floor:
    """Counts tokens against the fewest that segments can have, to tell why more came than was asked for."""

    def __init__(self, name: str, asked: float) -> None:
        """name: what was asked for, as a user calls it. asked: tokens for a position, or for a second."""
        self.name, self.asked = name, asked
        self.tokens = self.least = self.groups = 0

    def add(self, least: int, chosen: Sequence[Allocation]) -> None:
        """Count a group that can have no fewer than `least` tokens."""
        self.groups += 1
        self.least += least
        self.tokens += sum(one.tokens for one in chosen)

    def warnings(self, size: float) -> tuple[UsageError, ...]:
        """One if more came than was asked for; size: positions or seconds so far."""
        if self.tokens <= (1 + _SLACK) * self.asked * size + self.groups / 2:
            return ()
        if self.tokens == self.least:
            end = f"{shown_number(self.least / size)} is the least this video can have"
        else:
            came = shown_number(self.tokens / size)
            end = f"{came} came of it, as parts of this video cannot have fewer tokens"
        return (UsageError(f"`{self.name}` {self.asked:.10g} was asked for, {end}"),)


def shown_number(value: float) -> str:
    """A rate for people, in three digits, larger ones in whole numbers: rounded up, so that it can be had."""
    digits = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
    return f"{math.ceil(value * 10**digits * (1 - 1e-9)) / 10**digits:.12g}"


def allocate_tokens(group: Group, kind: AllocationName, tokens: int) -> list[Allocation]:
    """The most tokens that do not exceed `tokens`, as far as the floor and the positions allow."""
    return allocate(group.errors, kind, Fraction(min(max(tokens, 1), group.positions), group.positions))
