"""Budgets in a user's terms, turned into tokens for each group of segments.

A planner sees a group's error maps, chooses its allocations, and is told what the group's segments
took. What one group leaves over, the next may spend. Planners that need to know the whole video first
(`surveys` is true) are shown all error maps in a pass before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from infotok_cli.blocks import block_grid
from infotok_cli.codec.elastic import Prefixes, allocate_prefixes
from infotok_cli.config import AllocationName, Budget, EncodeOptions
from infotok_cli.container import layout
from infotok_cli.container.header import Header
from infotok_cli.entropy.token_ids import packed_bytes
from infotok_cli.errors import ModelError, UsageError
from infotok_cli.model.allocation import Allocation, allocate
from infotok_cli.model.distortion import Distortion
from infotok_cli.model.step_histogram import StepHistogram
from infotok_cli.model.weights import LoadedModel

ErrorMap = NDArray[np.float32]

SEGMENT_OVERHEAD = layout.segment_section_bytes(0, 0) + layout.INDEX_ENTRY_STRUCT.size
"""Bytes of a segment in the file besides its map and its tokens, its place in the index included."""

FILE_OVERHEAD = layout.SECTION_STRUCT.size + layout.INDEX_STRUCT.size + layout.FOOTER_STRUCT.size
"""Bytes of index and footer besides the index entries."""

_FIT_TRIES = 7
_FIT_TOLERANCE = 0.004
"""Share of the bytes that a group may leave unused."""

_BYTES_POWER = 0.75
_CODED_SHARE = 0.55
"""Size of coded tokens against packed ones that is assumed before any has been seen."""


@dataclass(frozen=True)
class Group:
    """Segments that are allocated together."""

    errors: list[ErrorMap]
    """Error maps `[t, h, w]`, one a segment."""
    frames: list[int]
    """Real frames of each."""
    prefixes: Sequence[Prefixes] = ()
    """What the elastic router searches, one a segment; empty with the others."""

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

    def survey(self, group: Group) -> None: ...

    def plan(self, group: Group, measure: Measure) -> list[Allocation]: ...

    def wrote(self, written: Written) -> None: ...

    def check(self, size_bytes: int) -> None:
        """Raise UsageError when a finished file of this size breaks the budget."""


def make_planner(options: EncodeOptions, header: Header, loaded: LoadedModel) -> Planner:
    """Planner of the budget, or of the rate, that `options` name.

    Raises UsageError for a budget below what the floor of one token a block takes, as far as that can be
    known without the video, and ModelError when the model cannot predict quality.
    """
    budget = options.budget
    if budget is None:
        elastic = options.router == "elastic"
        return ElasticPlanner(options.rate) if elastic else RatePlanner(options.allocation, options.rate)
    match budget.kind:
        case "max-tokens":
            return MaxTokensPlanner(options.allocation, int(budget.value))
        case "target-size":
            return TargetSizePlanner(header, int(budget.value))
        case "tokens-per-second":
            return TokensPerSecondPlanner(header, budget)
        case "bitrate":
            return BitratePlanner(header, budget)
        case "target-psnr":
            if options.router not in loaded.distortions:
                raise ModelError(
                    f"model {loaded.path}: has no calibration for --target-psnr: save it anew by training"
                )
            return TargetPsnrPlanner(loaded.distortions[options.router], budget.value)


class _OnePass:
    """What planners that see each group once have in common."""

    surveys = False

    def survey(self, group: Group) -> None:
        raise NotImplementedError(f"{type(self).__name__} needs no survey")

    def wrote(self, written: Written) -> None:
        """Most planners know what they asked for."""

    def check(self, size_bytes: int) -> None:
        """What is spread over time is met as far as the floor of one token a block allows."""


class RatePlanner(_OnePass):
    """The same token rate for every group."""

    def __init__(self, kind: AllocationName, rate: float) -> None:
        self.kind, self.rate = kind, rate

    def plan(self, group: Group, measure: Measure) -> list[Allocation]:
        return allocate(group.errors, self.kind, self.rate)


class ElasticPlanner(_OnePass):
    """The same token rate for every group, spent on prefixes of about the same measured error."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def plan(self, group: Group, measure: Measure) -> list[Allocation]:
        return allocate_prefixes(group.prefixes, self.rate)


class TokensPerSecondPlanner(_OnePass):
    """Tokens in proportion to the time that has gone by."""

    def __init__(self, header: Header, budget: Budget) -> None:
        self.kind = header.allocation
        self.frame_rate = header.frame_rate
        self.per_frame = Fraction(budget.value) / header.frame_rate
        self.credit = Fraction(0)
        least = Fraction(_floor(header)) * header.frame_rate / header.segment_frames
        if budget.value < least:
            raise UsageError(
                f"--tokens-per-second {budget.value:.10g} is below the least of {float(least):.6g} for "
                f"{_picture(header)}: give more, or a smaller --short-side"
            )

    def plan(self, group: Group, measure: Measure) -> list[Allocation]:
        self.credit += sum(group.frames) * self.per_frame
        return _allocate_tokens(group, self.kind, int(self.credit))

    def wrote(self, written: Written) -> None:
        self.credit -= written.tokens


class BitratePlanner(_OnePass):
    """Real bits, headers and index included, in proportion to the time that has gone by."""

    def __init__(self, header: Header, budget: Budget) -> None:
        self.fit = _ByteFit(header)
        self.bytes_per_frame = Fraction(budget.value) / 8 / header.frame_rate
        self.credit = Fraction(-_fixed_bytes(header))
        least = 8 * SEGMENT_OVERHEAD * header.frame_rate / header.segment_frames
        if budget.value < least:
            raise UsageError(
                f"--bitrate {budget.value:.10g} is below the least of {float(least):.6g} bits per second for "
                f"{_picture(header)}: give more, or a longer --segment-frames"
            )

    def plan(self, group: Group, measure: Measure) -> list[Allocation]:
        self.credit += sum(group.frames) * self.bytes_per_frame
        return self.fit.allocate(group, int(self.credit), measure)

    def wrote(self, written: Written) -> None:
        self.credit -= written.size_bytes
        self.fit.learn(written)


class TargetPsnrPlanner(_OnePass):
    """Every group gets the tokens that are predicted to give it the PSNR asked for."""

    def __init__(self, distortion: Distortion, psnr_db: float) -> None:
        self.distortion, self.psnr_db = distortion, psnr_db
        self.predicted_sum, self.frames = 0.0, 0

    def plan(self, group: Group, measure: Measure) -> list[Allocation]:
        chosen, predicted = self.distortion.allocate_for(group.errors, group.frames, self.psnr_db)
        self.predicted_sum += predicted * sum(group.frames)
        self.frames += sum(group.frames)
        return chosen

    @property
    def predicted_psnr_db(self) -> float:
        """Predicted mean over all frames so far."""
        return self.predicted_sum / self.frames


class _Surveyed:
    """Planners that spread a total over the whole video by one multiplier."""

    surveys = True

    def __init__(self, kind: AllocationName) -> None:
        self.kind = kind
        self.rest = StepHistogram(kind)
        self.rest_segments = 0

    def survey(self, group: Group) -> None:
        self.rest.add(group.errors)
        self.rest_segments += len(group.errors)

    def check(self, size_bytes: int) -> None:
        """A number of tokens cannot be missed at the end."""

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
                f"--max-tokens {self.tokens} is below the least of {self.rest.floor} for this video: give "
                "more, or a smaller --short-side"
            )
        return _allocate_tokens(group, self.kind, self._take(group, self.tokens))

    def wrote(self, written: Written) -> None:
        self.tokens -= written.tokens


class TargetSizePlanner(_Surveyed):
    """A file of at most so many bytes, as near to it as a few tries come."""

    def __init__(self, header: Header, size_bytes: int) -> None:
        super().__init__(header.allocation)
        self.size_bytes = size_bytes
        self.left = size_bytes - _fixed_bytes(header)
        self.fit = _ByteFit(header)

    def plan(self, group: Group, measure: Measure) -> list[Allocation]:
        if self.left < self.rest_segments * SEGMENT_OVERHEAD:
            raise self._too_small(self.size_bytes - self.left + self.rest_segments * SEGMENT_OVERHEAD)
        if self.rest_segments == len(group.errors):
            self.rest_segments = 0
            return self.fit.allocate(group, self.left, measure)
        room = self.left - self.rest_segments * SEGMENT_OVERHEAD
        if not self.fit.learned:
            guess = min(1.0, self.fit.tokens_for(room, self.rest.positions) / self.rest.positions)
            self.fit.learn(measure(allocate(group.errors, self.kind, guess)))
        tokens = self.fit.tokens_for(room, self.rest.positions)
        return _allocate_tokens(group, self.kind, self._take(group, tokens))

    def wrote(self, written: Written) -> None:
        self.left -= written.size_bytes
        self.fit.learn(written)

    def check(self, size_bytes: int) -> None:
        if size_bytes > self.size_bytes:
            raise self._too_small(size_bytes)

    def _too_small(self, least: int) -> UsageError:
        return UsageError(
            f"--target-size {self.size_bytes} is below the least of about {least} bytes for this video: "
            "give more, or a smaller --short-side"
        )


class _ByteFit:
    """Tokens for a number of bytes, from what maps and tokens have been taking."""

    def __init__(self, header: Header) -> None:
        self.kind = header.allocation
        self.bytes_per_token = packed_bytes(1 << 16, header.levels) / (1 << 16)
        if header.token_coding:
            self.bytes_per_token *= _CODED_SHARE
        self.map_bytes_per_position = 0.0
        self.learned = False

    def tokens_for(self, size_bytes: int, positions: int) -> int:
        """Tokens that fit with the maps of so many positions into so many bytes, segment overhead aside."""
        return int((size_bytes - positions * self.map_bytes_per_position) / self.bytes_per_token)

    def allocate(self, group: Group, size_bytes: int, measure: Measure) -> list[Allocation]:
        """The most tokens, to within a tolerance, with which the group's segments fit into so many bytes.

        Bytes grow more slowly than tokens, as c n^p with p about 0.75: that sets the first step, and a
        straight line in logarithms between the nearest tries on both sides the next ones. Gives the floor
        where nothing fits.
        """
        room = max(1, size_bytes - len(group.errors) * SEGMENT_OVERHEAD)
        tokens = min(group.positions, max(1, self.tokens_for(room, group.positions)))
        below: tuple[int, int, list[Allocation]] | None = None
        above: tuple[int, int] | None = None
        for _ in range(_FIT_TRIES):
            allocations = _allocate_tokens(group, self.kind, tokens)
            got = sum(chosen.tokens for chosen in allocations)
            tried = measure(allocations)
            taken = tried.size_bytes
            self.learn(tried)
            if taken <= size_bytes:
                below = (got, taken, allocations)
                if got == group.positions or size_bytes - taken <= _FIT_TOLERANCE * size_bytes:
                    return allocations
            else:
                above = (got, taken)
                if got > tokens:  # the floor
                    return allocations
            tokens = self._next(below, above, room, len(group.errors) * SEGMENT_OVERHEAD)
            tokens = min(group.positions, max(1, tokens))
            if below is not None and tokens <= below[0]:
                break
        return below[2] if below is not None else _allocate_tokens(group, self.kind, 1)

    @staticmethod
    def _next(
        below: tuple[int, int, list[Allocation]] | None,
        above: tuple[int, int] | None,
        room: int,
        overhead: int,
    ) -> int:
        """Tokens to try next, aiming a little below the room."""
        aim = math.log(room * (1 - _FIT_TOLERANCE / 2))
        points = [
            (math.log(point[0]), math.log(max(1, point[1] - overhead))) for point in (below, above) if point
        ]
        (x, y), power = points[0], _BYTES_POWER
        if len(points) == 2 and points[1][1] > y:
            power = (points[1][1] - y) / max(points[1][0] - x, 1e-9)
        return int(math.exp(x + (aim - y) / max(power, 0.3)))

    def learn(self, written: Written) -> None:
        """Take note of what a group took."""
        self.bytes_per_token = max(1e-3, written.token_bytes / written.tokens)
        self.map_bytes_per_position = written.map_bytes / written.positions
        self.learned = True


def _allocate_tokens(group: Group, kind: AllocationName, tokens: int) -> list[Allocation]:
    return allocate(group.errors, kind, Fraction(min(max(tokens, 1), group.positions), group.positions))


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
    return head + FILE_OVERHEAD
