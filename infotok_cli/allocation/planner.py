"""What planners of tokens see and say: groups of segments, and what these took in the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from infotok_cli.allocation.allocate import Allocation, allocate
from infotok_cli.allocation.elastic import Prefixes
from infotok_cli.container import layout
from infotok_cli.routers import AllocationName

ErrorMap = NDArray[np.float32]

SEGMENT_OVERHEAD = layout.segment_section_bytes(0, 0) + layout.INDEX_ENTRY_STRUCT.size
"""Bytes of a segment in the file besides its map and its tokens, its place in the index included."""


class Trial(Protocol):
    """A segment that can be decoded to see what an allocation shows."""

    def psnr_db(self, allocation: Allocation) -> float:
        """Mean over frames of PSNR, dB."""


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


@dataclass(frozen=True)
class Written:
    """What a group's segments took in the file."""

    segments: int
    positions: int
    tokens: int
    map_bytes: int
    token_bytes: int

    def __add__(self, other: Written) -> Written:
        return Written(*(mine + more for mine, more in zip(astuple(self), astuple(other), strict=True)))

    @property
    def size_bytes(self) -> int:
        return self.map_bytes + self.token_bytes + self.segments * SEGMENT_OVERHEAD


NOTHING = Written(segments=0, positions=0, tokens=0, map_bytes=0, token_bytes=0)

Measure = Callable[[list[Allocation]], Written]
"""Compresses a group with these allocations and tells what it would take; costs time."""


class Planner(Protocol):
    """Chooses the tokens of groups, in order."""

    surveys: bool
    """Whether `survey` must have seen every group before the first `plan`."""

    def survey(self, group: Group, measure: Measure | None) -> None:
        """`measure` is None where the group is the whole video."""

    def plan(self, group: Group, measure: Measure) -> list[Allocation]: ...

    def wrote(self, written: Written) -> None: ...

    def check(self, size_bytes: int) -> None:
        """Raise UsageError when a finished file of this size breaks the budget."""

    @property
    def predicted_psnr_db(self) -> float | None:
        """What is expected of the file, mean over frames so far, dB; None where nothing is predicted."""


class OnePass:
    """What planners that see each group once have in common."""

    surveys = False

    def survey(self, group: Group, measure: Measure | None) -> None:
        raise NotImplementedError(f"{type(self).__name__} needs no survey")

    def wrote(self, written: Written) -> None:
        """Most planners know what they asked for."""

    def check(self, size_bytes: int) -> None:
        """What is spread over time is met as far as the floor of one token a block allows."""

    @property
    def predicted_psnr_db(self) -> float | None:
        """Most planners predict no quality."""
        return None


def allocate_tokens(group: Group, kind: AllocationName, tokens: int) -> list[Allocation]:
    """The most tokens that do not exceed `tokens`, as far as the floor and the positions allow."""
    return allocate(group.errors, kind, Fraction(min(max(tokens, 1), group.positions), group.positions))
