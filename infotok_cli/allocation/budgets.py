"""Budgets in a user's terms, turned into tokens for each group of segments.

A planner sees a group's error maps, chooses its allocations, and is told what the group's segments
took. What one group leaves over, the next may spend. Planners that need to know the whole video first
(`surveys` is true) are shown all error maps in a pass before.
"""

from __future__ import annotations

import math
from collections import deque
from fractions import Fraction

from infotok_cli.allocation.allocate import Allocation, allocate
from infotok_cli.allocation.byte_fit import ByteFit
from infotok_cli.allocation.elastic import allocate_prefixes
from infotok_cli.allocation.fits import Fits
from infotok_cli.allocation.planner import (
    SEGMENT_OVERHEAD,
    Group,
    Measure,
    OnePass,
    Planner,
    Written,
    allocate_tokens,
)
from infotok_cli.allocation.psnr_budget import TargetPsnrPlanner
from infotok_cli.allocation.rate_scale import RateScale
from infotok_cli.allocation.step_histogram import StepHistogram
from infotok_cli.blocks import block_grid
from infotok_cli.config import Budget, EncodeOptions
from infotok_cli.container import layout
from infotok_cli.container.header import Header
from infotok_cli.errors import ModelError, UsageError
from infotok_cli.routers import ROUTERS, AllocationName

FILE_OVERHEAD = layout.SECTION_STRUCT.size + layout.INDEX_STRUCT.size + layout.FOOTER_STRUCT.size
"""Bytes of index and footer besides the index entries."""


def make_planner(options: EncodeOptions, header: Header, fits: Fits, model: str) -> Planner:
    """Planner of the budget, or of the rate, that `options` name; `fits` of the weights, file `model`.

    Raises UsageError for a budget below what the floor of one token a block takes, as far as that can be
    known without the video, and ModelError when the model cannot predict quality.
    """
    budget = options.budget
    if budget is None:
        searched = ROUTERS[options.router].error_map == "searched"
        return ElasticPlanner(options.rate) if searched else RatePlanner(header.allocation, options.rate)
    match budget.kind:
        case "max-tokens":
            return MaxTokensPlanner(header.allocation, int(budget.value))
        case "target-size":
            return TargetSizePlanner(header, int(budget.value))
        case "tokens-per-second":
            return TokensPerSecondPlanner(header, budget)
        case "bitrate":
            return BitratePlanner(header, budget)
        case "calibrated-rate" | "target-psnr":
            return fitted_planner(options.router, budget, fits, model)


def fitted_planner(router: str, budget: Budget, fits: Fits, model: str) -> Planner:
    """Planner of a budget that rests on what was fitted to the error maps of `router`.

    ModelError where the weights lack it.
    """
    if budget.kind == "calibrated-rate" and router in fits.rate_scales:
        return CalibratedRatePlanner(fits.rate_scales[router], budget.value)
    if budget.kind == "target-psnr" and router in fits.distortions:
        return TargetPsnrPlanner(fits.distortions[router], budget.value)
    raise ModelError(
        f"model {model} cannot tell what `{budget.kind}` takes",
        way_out="fit it first (docs/TRAINING.md), or give `rate`",
    )


class RatePlanner(OnePass):
    """The same token rate for every group."""

    def __init__(self, kind: AllocationName, rate: float) -> None:
        self.kind, self.rate = kind, rate

    def plan(self, group: Group, measure: Measure) -> list[Allocation]:
        return allocate(group.errors, self.kind, self.rate)


class CalibratedRatePlanner(OnePass):
    """Every segment by itself, by how its error compares with the calibration's."""

    def __init__(self, scale: RateScale, rate: float) -> None:
        self.scale, self.rate = scale, rate

    def plan(self, group: Group, measure: Measure) -> list[Allocation]:
        return [self.scale.allocate(error, self.rate) for error in group.errors]


class ElasticPlanner(OnePass):
    """The same token rate for every group, spent on prefixes of about the same measured error."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def plan(self, group: Group, measure: Measure) -> list[Allocation]:
        return allocate_prefixes(group.prefixes, self.rate)


class TokensPerSecondPlanner(OnePass):
    """Tokens in proportion to the time that has gone by."""

    def __init__(self, header: Header, budget: Budget) -> None:
        self.kind = header.allocation
        self.per_second = Fraction(budget.value)
        self.credit = Fraction(0)
        least = Fraction(_floor(header)) * header.frame_rate / header.segment_frames
        if budget.value < least:
            raise UsageError(
                f"`tokens_per_second` {budget.value:.10g} is below the least of "
                f"{float(least):.6g} for {_picture(header)}",
                way_out="give more, or a smaller `short_side`",
            )

    def plan(self, group: Group, measure: Measure) -> list[Allocation]:
        self.credit += group.seconds * self.per_second
        return allocate_tokens(group, self.kind, int(self.credit))

    def wrote(self, written: Written) -> None:
        self.credit -= written.tokens


class BitratePlanner(OnePass):
    """Real bits, headers and index included, in proportion to the time that has gone by.

    The floor of one token a block may take more. What the first groups left of their share pays for that; a
    file that is over in the end, by more bytes than header and footer have, is refused.
    """

    def __init__(self, header: Header, budget: Budget) -> None:
        self.budget = budget
        self.fit = ByteFit(header)
        self.bytes_per_second = Fraction(budget.value) / 8
        self.fixed_bytes = _fixed_bytes(header)
        self.credit = Fraction(-self.fixed_bytes)
        self.seconds = Fraction(0)
        self.no_sound = "" if header.audio is None else ", or --no-audio"
        self.is_least = True
        """Whether all groups so far got the floor."""
        least = 8 * SEGMENT_OVERHEAD * header.frame_rate / header.segment_frames
        if budget.value < least:
            raise UsageError(
                f"`bitrate` {budget.value:.10g} is below the least of {float(least):.6g} bits per "
                f"second for {_picture(header)}",
                way_out="give more, or a longer `segment_frames`",
            )

    def plan(self, group: Group, measure: Measure) -> list[Allocation]:
        self.seconds += group.seconds
        self.credit += group.seconds * self.bytes_per_second - group.side_bytes
        chosen = self.fit.allocate(group, int(self.credit), measure)
        if self.is_least:
            least = allocate_tokens(group, self.fit.kind, 1)
            self.is_least = sum(one.tokens for one in chosen) == sum(one.tokens for one in least)
        return chosen

    def wrote(self, written: Written) -> None:
        self.credit -= written.size_bytes
        self.fit.learn(written)

    def check(self, size_bytes: int) -> None:
        allowed = self.seconds * self.bytes_per_second
        if not self.seconds or size_bytes <= allowed + self.fixed_bytes:
            return
        came = math.ceil(8 * size_bytes / self.seconds)
        if self.is_least:
            raise UsageError(
                f"`bitrate` {self.budget.value:.10g} is below the least of about {came} bits per "
                "second for this video",
                way_out=f"give more, or a smaller `short_side`{self.no_sound}",
            )
        raise UsageError(
            f"`bitrate` {self.budget.value:.10g} became {came}, as the end of this video takes "
            "more than was left for it",
            way_out=f"give more, or `target_size` {int(allowed)}, which looks ahead",
        )


class _Surveyed:
    """Planners that spread a total over the whole video by one multiplier."""

    surveys = True

    def __init__(self, kind: AllocationName) -> None:
        self.kind = kind
        self.rest = StepHistogram(kind)
        self.rest_segments = 0

    def survey(self, group: Group, measure: Measure | None) -> None:
        self.rest.add(group.errors)
        self.rest_segments += len(group.errors)

    def check(self, size_bytes: int) -> None:
        """A number of tokens cannot be missed at the end."""

    @property
    def predicted_psnr_db(self) -> float | None:
        """No quality is predicted."""
        return None

    def _take(self, group: Group, tokens: int) -> int:
        """Tokens for `group` when it and all that follows may take `tokens`; counts the group as gone."""
        here = StepHistogram(self.kind)
        here.add(group.errors)
        share = here.tokens_at(self.rest.cut_for(tokens))
        self.rest.subtract(here)
        self.rest_segments -= len(group.errors)
        return tokens if self.rest.positions <= 0 else share


class MaxTokensPlanner(_Surveyed):
    """At most so many tokens in the file, all of them spent as far as there are positions."""

    def __init__(self, kind: AllocationName, tokens: int) -> None:
        super().__init__(kind)
        self.tokens = tokens

    def plan(self, group: Group, measure: Measure) -> list[Allocation]:
        if self.tokens < self.rest.floor:
            raise UsageError(
                f"`max_tokens` {self.tokens} is below the least of {self.rest.floor} for this video",
                way_out="give more, or a smaller `short_side`",
            )
        return allocate_tokens(group, self.kind, self._take(group, self.tokens))

    def wrote(self, written: Written) -> None:
        self.tokens -= written.tokens


class TargetSizePlanner(_Surveyed):
    """A file of at most so many bytes, as near to it as a few tries come.

    Groups get tokens by what those before them took, as far as that leaves all that follow their floor. Where
    less than a group of the same size is left, which may be too little to make up for a miss, the group is
    fitted to its share of the bytes, and the last one to what there is.
    """

    def __init__(self, header: Header, size_bytes: int) -> None:
        super().__init__(header.allocation)
        self.size_bytes = size_bytes
        self.left = size_bytes - _fixed_bytes(header)
        self.fit = ByteFit(header)
        self.floors: deque[int] = deque()
        """Bytes that each group to come takes at least; empty where there is only one."""

    def survey(self, group: Group, measure: Measure | None) -> None:
        super().survey(group, measure)
        self.left -= group.side_bytes
        if measure is not None:
            self.floors.append(measure(allocate_tokens(group, self.kind, 1)).size_bytes)

    def plan(self, group: Group, measure: Measure) -> list[Allocation]:
        if sum(self.floors) > self.left:
            raise self._too_small(self.size_bytes - self.left + sum(self.floors))
        floor = self.floors.popleft() if self.floors else 0
        if not self.floors:
            return self.fit.allocate(group, self.left, measure)
        rest_floor = sum(self.floors)
        room = self.left - self.rest_segments * SEGMENT_OVERHEAD
        if not self.fit.learned:
            guess = min(1.0, self.fit.tokens_for(room, self.rest.positions) / self.rest.positions)
            self.fit.learn(measure(allocate(group.errors, self.kind, guess)))
        tokens = self.fit.tokens_for(room, self.rest.positions)
        share = self._take(group, tokens)
        if self.rest.positions < group.positions:
            rest = self.fit.bytes_for(min(tokens - share, self.rest.positions), self.rest.positions)
            rest += self.rest_segments * SEGMENT_OVERHEAD
            return self.fit.allocate(group, self.left - max(rest, rest_floor), measure)
        chosen = allocate_tokens(group, self.kind, share)
        if measure(chosen).size_bytes <= self.left - rest_floor:
            return chosen
        # At least its floor, and as much over the rest's, as `left` is no less than both.
        return self.fit.allocate(group, self.left * floor // (floor + rest_floor), measure)

    def wrote(self, written: Written) -> None:
        self.left -= written.size_bytes
        self.fit.remember(written)

    def check(self, size_bytes: int) -> None:
        if size_bytes > self.size_bytes:
            raise self._too_small(size_bytes)

    def _too_small(self, least: int) -> UsageError:
        return UsageError(
            f"`target_size` {self.size_bytes} is below the least of about {least} bytes for this video",
            way_out="give more, or a smaller `short_side`",
        )


def _floor(header: Header) -> int:
    """Fewest tokens of a full segment."""
    if header.allocation == "position":
        return 1
    steps, rows, columns = block_grid(header.grid())
    return steps * rows * columns


def _picture(header: Header) -> str:
    return f"{header.width}x{header.height} pixels at {float(header.frame_rate):g} frames per second"


def _fixed_bytes(header: Header) -> int:
    """Bytes of a file besides its segments and their index entries."""
    head = len(layout.MAGIC) + layout.SECTION_STRUCT.size + len(header.pack())
    return head + FILE_OVERHEAD + layout.INDEX_STRUCTS[header.index_layout].size - layout.INDEX_STRUCT.size
