"""Token rates: over a group of segments, over footage at large, or over a group of prefixes."""

from __future__ import annotations

from infotok_cli.allocation.allocate import Allocation, allocate
from infotok_cli.allocation.elastic import allocate_prefixes
from infotok_cli.allocation.fits import Fits
from infotok_cli.allocation.planner import BudgetPlanner, Floor, Group, Measure, Outcome, Planner
from infotok_cli.blocks import shortest_prefix
from infotok_cli.config import MIN_RATE
from infotok_cli.container.header import Header
from infotok_cli.errors import UsageError
from infotok_cli.routers import AllocationName


class RatePlanner(Planner):
    """The same token rate for every group."""

    def __init__(self, kind: AllocationName, rate: float) -> None:
        self.kind, self.rate = kind, rate
        self.floor, self.positions = Floor("rate", rate), 0

    def plan(self, group: Group, measure: Measure) -> list[Allocation]:
        chosen = allocate(group.errors, self.kind, self.rate)
        self.floor.add(group.least_tokens(self.kind), chosen)
        self.positions += group.positions
        return chosen

    def warnings(self) -> tuple[UsageError, ...]:
        return self.floor.warnings(self.positions)


class ElasticPlanner(Planner):
    """The same token rate for every group, spent on prefixes of about the same measured error."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.floor, self.positions = Floor("rate", rate), 0

    def plan(self, group: Group, measure: Measure) -> list[Allocation]:
        chosen = allocate_prefixes(group.prefixes, self.rate)
        self.floor.add(sum(shortest_prefix(one.keep.size) for one in chosen), chosen)
        self.positions += group.positions
        return chosen

    def warnings(self) -> tuple[UsageError, ...]:
        return self.floor.warnings(self.positions)


class CalibratedRatePlanner(BudgetPlanner):
    """Every segment on its own, by how its error compares with the calibration's."""

    name, unit = "calibrated-rate", "tokens per position"
    limits = (MIN_RATE, 1.0)
    fitted = alone = by_group = True

    def __init__(self, value: float, header: Header, fits: Fits) -> None:
        self.rate, self.scale = value, fits.rate_scales[header.router]

    @classmethod
    def has_fit(cls, fits: Fits, router: str) -> bool:
        return router in fits.rate_scales

    def plan(self, group: Group, measure: Measure) -> list[Allocation]:
        return [self.scale.allocate(error, self.rate) for error in group.errors]

    @classmethod
    def expected_tokens(cls, value: float, positions: int, seconds: float) -> float | None:
        return value * positions  # on average over footage

    @classmethod
    def in_words(cls, value: float, came: Outcome) -> str:
        return f"{came.token_rate / value:.2f} times the {value:g} of footage at large"


PLANNERS: tuple[type[BudgetPlanner], ...] = (CalibratedRatePlanner,)
