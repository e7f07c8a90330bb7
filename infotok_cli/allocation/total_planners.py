"""Totals of a file, spread over the whole video by one multiplier, which a pass before looks for."""

from __future__ import annotations

from collections import deque

from infotok_cli.allocation.allocate import Allocation, allocate
from infotok_cli.allocation.byte_fit import ByteFit, fixed_bytes
from infotok_cli.allocation.fits import Fits
from infotok_cli.allocation.planner import (
    SEGMENT_OVERHEAD,
    BudgetPlanner,
    Group,
    Measure,
    Outcome,
    Written,
    allocate_tokens,
)
from infotok_cli.allocation.step_histogram import StepHistogram
from infotok_cli.container.header import Header
from infotok_cli.errors import UsageError


class _TotalPlanner(BudgetPlanner):
    """Counts what is still to come."""

    surveys = True

    def __init__(self, value: float, header: Header, fits: Fits) -> None:
        self.kind = header.allocation
        self.rest = StepHistogram(self.kind)
        self.rest_segments = 0

    def survey(self, group: Group, measure: Measure | None) -> None:
        self.rest.add(group.errors)
        self.rest_segments += len(group.errors)

    def _take(self, group: Group, tokens: int) -> int:
        """Tokens for `group` when it and all that follows may take `tokens`; counts the group as gone."""
        here = StepHistogram(self.kind)
        here.add(group.errors)
        share = here.tokens_at(self.rest.cut_for(tokens))
        self.rest.subtract(here)
        self.rest_segments -= len(group.errors)
        return tokens if self.rest.positions <= 0 else min(share, tokens - self.rest.floor)


class MaxTokensPlanner(_TotalPlanner):
    """At most N tokens in the file, all of them spent as far as there are positions."""

    name, unit = "max-tokens", "tokens"

    def __init__(self, value: float, header: Header, fits: Fits) -> None:
        super().__init__(value, header, fits)
        self.tokens = int(value)

    def plan(self, group: Group, measure: Measure) -> list[Allocation]:
        if self.tokens < self.rest.floor:
            raise UsageError(
                f"`{self.name}` {self.tokens} is below the least of {self.rest.floor} for this video",
                way_out="give more, or a smaller `short_side`",
            )
        return allocate_tokens(group, self.kind, self._take(group, self.tokens))

    def wrote(self, written: Written) -> None:
        self.tokens -= written.tokens

    @classmethod
    def expected_tokens(cls, value: float, positions: int, seconds: float) -> float | None:
        return value

    @classmethod
    def in_words(cls, value: float, came: Outcome) -> str:
        return f"{came.tokens / value:.2%} of {value:,.0f} tokens"


class TargetSizePlanner(_TotalPlanner):
    """A file of at most N bytes, as near to it as a few tries come.

    Groups get tokens by what those before them took, as far as that leaves all that follow their floor. Where
    less than a group of the same size is left, which may be too little to make up for a miss, the group is
    fitted to its share of the bytes, and the last one to what there is.
    """

    name, unit = "target-size", "bytes"

    def __init__(self, value: float, header: Header, fits: Fits) -> None:
        super().__init__(value, header, fits)
        self.size_bytes = int(value)
        self.left = self.size_bytes - fixed_bytes(header)
        self.byte_fit = ByteFit(header)
        self.floors: deque[int] = deque()
        """Bytes that each group to come takes at least; empty where there is only one."""

    def survey(self, group: Group, measure: Measure | None) -> None:
        super().survey(group, measure)
        self.left -= group.side_bytes
        if measure is not None:
            self.floors.append(measure(allocate_tokens(group, self.kind, 1)).size_bytes)

    def plan(self, group: Group, measure: Measure) -> list[Allocation]:
        if self.floors and sum(self.floors) > self.left:
            raise self._too_small(self.size_bytes - self.left + sum(self.floors))
        floor = self.floors.popleft() if self.floors else 0
        if self.floors:
            return self._plan_before_others(group, floor, measure)
        chosen, taken = self.byte_fit.allocate(group, self.left, measure)
        if taken > self.left:
            raise self._too_small(self.size_bytes - self.left + taken)
        return chosen

    def _plan_before_others(self, group: Group, floor: int, measure: Measure) -> list[Allocation]:
        rest_floor = sum(self.floors)
        room = self.left - self.rest_segments * SEGMENT_OVERHEAD
        if not self.byte_fit.learned:
            guess = min(1.0, self.byte_fit.tokens_for(room, self.rest.positions) / self.rest.positions)
            self.byte_fit.learn(measure(allocate(group.errors, self.kind, guess)))
        tokens = self.byte_fit.tokens_for(room, self.rest.positions)
        share = self._take(group, tokens)
        if self.rest.positions < group.positions:
            rest = self.byte_fit.bytes_for(min(tokens - share, self.rest.positions), self.rest.positions)
            rest += self.rest_segments * SEGMENT_OVERHEAD
            return self.byte_fit.allocate(group, self.left - max(rest, rest_floor), measure)[0]
        chosen = allocate_tokens(group, self.kind, share)
        if measure(chosen).size_bytes <= self.left - rest_floor:
            return chosen
        # `left` is at least both floors, so this share is at least the floor of the group.
        return self.byte_fit.allocate(group, self.left * floor // (floor + rest_floor), measure)[0]

    def wrote(self, written: Written) -> None:
        self.left -= written.size_bytes
        self.byte_fit.remember(written)

    def check(self, size_bytes: int) -> None:
        if size_bytes > self.size_bytes:
            raise self._too_small(size_bytes)

    def _too_small(self, least: int) -> UsageError:
        return UsageError(
            f"`{self.name}` {self.size_bytes} is below the least of about {least} bytes for this video",
            way_out="give more, or a smaller `short_side`",
        )

    @classmethod
    def expected_bytes(cls, value: float, seconds: float) -> float | None:
        return value

    @classmethod
    def in_words(cls, value: float, came: Outcome) -> str:
        return f"{came.size_bytes / value:.2%} of {value:,.0f} bytes"


PLANNERS: tuple[type[BudgetPlanner], ...] = (MaxTokensPlanner, TargetSizePlanner)
