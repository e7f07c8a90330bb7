"""Tokens or bits in proportion to the time that a video is shown, in one pass."""

from __future__ import annotations

import math
from fractions import Fraction

from infotok_cli.allocation.allocate import Allocation, least_tokens
from infotok_cli.allocation.byte_fit import ByteFit, fixed_bytes
from infotok_cli.allocation.fits import Fits
from infotok_cli.allocation.planner import (
    SEGMENT_OVERHEAD,
    BudgetPlanner,
    Floor,
    Group,
    Measure,
    Outcome,
    Written,
    allocate_tokens,
    shown_number,
)
from infotok_cli.container.header import Header
from infotok_cli.errors import UsageError


class TokensPerSecondPlanner(BudgetPlanner):
    """Tokens in proportion to the time that has gone by."""

    name, unit = "tokens-per-second", "tokens per second"

    def __init__(self, value: float, header: Header, fits: Fits) -> None:
        self.kind = header.allocation
        self.per_second = Fraction(value)
        self.credit = Fraction(0)
        self.floor, self.seconds = Floor(self.name, value), Fraction(0)
        least = least_tokens(header.grid(), self.kind) * header.frame_rate / header.segment_frames
        self.is_hopeless = value < least
        """Whether even whole segments would take more."""

    def plan(self, group: Group, measure: Measure) -> list[Allocation]:
        if self.is_hopeless:
            least = group.least_tokens(self.kind) / group.seconds
            raise UsageError(
                f"`{self.name}` {float(self.per_second):.10g} is below the least of about "
                f"{shown_number(float(least))} for this video",
                way_out="give more, or a smaller `short_side`",
            )
        self.seconds += group.seconds
        self.credit += group.seconds * self.per_second
        chosen = allocate_tokens(group, self.kind, int(self.credit))
        self.floor.add(group.least_tokens(self.kind), chosen)
        return chosen

    def wrote(self, written: Written) -> None:
        self.credit -= written.tokens

    def warnings(self) -> tuple[UsageError, ...]:
        return self.floor.warnings(float(self.seconds)) if self.seconds else ()

    @classmethod
    def expected_tokens(cls, value: float, positions: int, seconds: float) -> float | None:
        return value * seconds

    @classmethod
    def in_words(cls, value: float, came: Outcome) -> str:
        return f"{came.tokens / came.duration_seconds:,.1f} of {value:,.10g} tokens per second"


class BitratePlanner(BudgetPlanner):
    """Real bits, headers and index included, in proportion to the time that has gone by.

    The floor of one token a block may take more. What the first groups left of their share pays for that; a
    file that is over in the end, by more bytes than header and footer have, is refused.
    """

    name, unit = "bitrate", "bits per second"

    def __init__(self, value: float, header: Header, fits: Fits) -> None:
        self.value = value
        self.byte_fit = ByteFit(header)
        self.bytes_per_second = Fraction(value) / 8
        self.fixed_bytes = fixed_bytes(header)
        self.credit = Fraction(-self.fixed_bytes)
        self.size_bytes, self.seconds = self.fixed_bytes, Fraction(0)
        self.no_sound = "" if header.audio is None else ", or leave the sound out (`audio`)"
        self.is_least = True
        """Whether all groups so far got the floor."""
        self.is_hopeless = value < 8 * SEGMENT_OVERHEAD * header.frame_rate / header.segment_frames
        """Whether segments without a single token would take more: told after the first group."""

    def plan(self, group: Group, measure: Measure) -> list[Allocation]:
        kind = self.byte_fit.kind
        if self.is_hopeless and self.seconds:
            start = f"the first {float(self.seconds):.3g} s of this video"
            raise self._below(self.size_bytes, self.seconds, f"{start}, and the rest may take more")
        self.seconds += group.seconds
        self.size_bytes += group.side_bytes
        self.credit += group.seconds * self.bytes_per_second - group.side_bytes
        chosen, _ = self.byte_fit.allocate(group, int(self.credit), measure)
        if sum(one.tokens for one in chosen) > group.least_tokens(kind):
            self.is_least = False
        return chosen

    def wrote(self, written: Written) -> None:
        self.size_bytes += written.size_bytes
        self.credit -= written.size_bytes
        self.byte_fit.learn(written)

    def check(self, size_bytes: int) -> None:
        allowed = self.seconds * self.bytes_per_second
        if not self.seconds or size_bytes <= allowed + self.fixed_bytes:
            return
        if self.is_least:
            raise self._below(size_bytes, self.seconds, "this video")
        raise UsageError(
            f"`{self.name}` {self.value:.10g} became {math.ceil(8 * size_bytes / self.seconds)}, "
            "as the end of this video takes more than was left for it",
            way_out=f"give more, or `target-size` {int(allowed)}, which looks ahead",
        )

    def warnings(self) -> tuple[UsageError, ...]:
        allowed = self.seconds * self.bytes_per_second
        if not allowed < self.size_bytes <= allowed + self.fixed_bytes:
            return ()
        came = math.ceil(8 * self.size_bytes / self.seconds)
        told = UsageError(
            f"`{self.name}` {self.value:.10g} was asked for, {came} came of it, "
            f"as header and index of so short a file take {self.fixed_bytes} bytes"
        )
        return (told,)

    def _below(self, least_bytes: int, seconds: Fraction, what: str) -> UsageError:
        return UsageError(
            f"`{self.name}` {self.value:.10g} is below the least of about "
            f"{math.ceil(8 * least_bytes / seconds)} bits per second for {what}",
            way_out=f"give more, or a smaller `short_side`{self.no_sound}",
        )

    @classmethod
    def expected_bytes(cls, value: float, seconds: float) -> float | None:
        return value * seconds / 8

    @classmethod
    def in_words(cls, value: float, came: Outcome) -> str:
        return f"{8 * came.size_bytes / came.duration_seconds:,.0f} of {value:,.10g} bits per second"


PLANNERS: tuple[type[BudgetPlanner], ...] = (TokensPerSecondPlanner, BitratePlanner)
