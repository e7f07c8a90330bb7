"""The routers, what decides where tokens go: one row each, read by options, header, codec and help texts.

A router is a kind of error map and the keep maps it makes of it. To add one of a kind that exists, add a row
here and its code to docs/FORMAT.md. Lies below the container and the options, as both name routers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ErrorMapKind = Literal["predicted", "exact", "even", "searched"]
"""What a router ranks by: the network's prediction, the measured error, nothing (tokens are spread
evenly), or trial decodes of prefixes."""

AllocationName = Literal["block", "position"]
MaskingName = Literal["error", "elastic"]

ALLOCATIONS: tuple[AllocationName, ...] = ("block", "position")
MASKINGS: tuple[MaskingName, ...] = ("error", "elastic")


@dataclass(frozen=True, kw_only=True)
class Router:
    """One row of the table."""

    name: str
    code: int
    """In the header of a file, 0..255."""
    error_map: ErrorMapKind
    masking: MaskingName = "error"
    """What weights must have been trained to miss, for rates below 1."""
    allocation: AllocationName | None = None
    """The only kind of allocation it makes; None leaves the choice."""
    help: str
    """What it does, for the help of commands: a clause without its name."""

    @property
    def knows_errors(self) -> bool:
        """Whether its error maps say how hard a segment is, which budgets of quality need."""
        return self.error_map in ("predicted", "exact")


ROUTERS: dict[str, Router] = {
    router.name: router
    for router in (
        Router(name="fast", code=0, error_map="predicted", help="follows the network's predicted error"),
        Router(name="exact", code=1, error_map="exact", help="measures the error by decoding once"),
        Router(name="fixed", code=2, error_map="even", help="spreads tokens evenly"),
        Router(
            name="elastic",
            code=3,
            error_map="searched",
            masking="elastic",
            allocation="position",
            help="searches for the shortest prefix (needs weights trained with --masking elastic)",
        ),
    )
}
"""By name, the default first."""

_NAMES = {router.code: router.name for router in ROUTERS.values()}


def router_name(code: int) -> str:
    """Name of a router's code; "unknown (5)" for one that came later, which decoding does not need."""
    return _NAMES.get(code, f"unknown ({code})")


def router_code(name: str) -> int | None:
    """Code of a router's name, or of what `router_name` made of an unknown code; None for other names."""
    if name in ROUTERS:
        return ROUTERS[name].code
    digits = name.removeprefix("unknown (").removesuffix(")")
    known = digits.isascii() and digits.isdigit() and int(digits) < 256 and router_name(int(digits)) == name
    return int(digits) if known else None
