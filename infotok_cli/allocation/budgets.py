"""The kinds of budget, one table, and the planner of what was asked for.

To add a kind, write its planner, name it in the `PLANNERS` of its module, and make it a field of
`BudgetOptions` in `infotok_cli.cli.encode_options`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from infotok_cli.allocation import psnr_planner, rate_planners, time_planners, total_planners
from infotok_cli.allocation.fits import Fits
from infotok_cli.allocation.planner import BudgetPlanner, Outcome, Planner
from infotok_cli.allocation.rate_planners import ElasticPlanner, RatePlanner
from infotok_cli.container.header import Header
from infotok_cli.errors import ModelError, UsageError
from infotok_cli.routers import ROUTERS

BUDGETS: dict[str, type[BudgetPlanner]] = {
    planner.name: planner
    for module in (rate_planners, total_planners, time_planners, psnr_planner)
    for planner in module.PLANNERS
}
"""Planners of the kinds of budget by name."""


@dataclass(frozen=True)
class Budget:
    """What a file may cost, or how good it must be, in a user's terms."""

    kind: str
    """A name in `BUDGETS`."""
    value: float
    """In the `unit` of its planner; positive and finite."""

    def __post_init__(self) -> None:
        if self.kind not in BUDGETS:
            raise UsageError(f"budget {self.kind!r} is unknown", way_out=f"choose {', '.join(BUDGETS)}")
        self.planner.check_value(self.value)

    @property
    def planner(self) -> type[BudgetPlanner]:
        """What meets budgets of this kind."""
        return BUDGETS[self.kind]

    def in_words(self, came: Outcome) -> str:
        """What came of it, for people: a clause."""
        return self.planner.in_words(self.value, came)


class Asked(Protocol):
    """What an encode was asked to spend."""

    @property
    def rate(self) -> float: ...
    @property
    def budget(self) -> Budget | None: ...


def make_planner(asked: Asked, header: Header, fits: Fits, model: str) -> Planner:
    """Planner of the budget, or of the rate where there is no budget.

    fits: those of the weights, whose file is `model`. Raises UsageError for a budget that cannot be met, as
    far as that is known without the video, and ModelError where the weights lack a fit it rests on.
    """
    if asked.budget is None:
        searched = ROUTERS[header.router].error_map == "searched"
        return ElasticPlanner(asked.rate) if searched else RatePlanner(header.allocation, asked.rate)
    check_fit(asked.budget, header.router, fits, model)
    return asked.budget.planner(asked.budget.value, header, fits)


def check_fit(budget: Budget, router: str, fits: Fits, model: str) -> None:
    """Raise ModelError where `fits`, of the weights in file `model`, lack what the budget rests on."""
    if not budget.planner.has_fit(fits, router):
        raise ModelError(
            f"has no fit for `{budget.kind}` with `router` {router}",
            way_out="fit it first (docs/TRAINING.md), or give `rate`",
            where=model,
        )
