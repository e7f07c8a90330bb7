"""Reading a video as groups of analyzed segments, the unit over which tokens are shared out.

A group is as many segments as a fixed number of positions allows (about 40 seconds at 256 rows), so
memory does not grow with length, and a still second pays for a busy one nearby.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infotok_cli.blocks import token_grid
from infotok_cli.codec.ahead import ahead
from infotok_cli.codec.elastic import PrefixErrors
from infotok_cli.codec.planning import Group
from infotok_cli.config import EncodeOptions
from infotok_cli.model.allocation import even_map
from infotok_cli.model.engine import Engine
from infotok_cli.model.tokenizer import Analysis
from infotok_cli.video.clip import Frame

GROUP_POSITIONS = 1 << 19
"""Token-grid positions whose analyses are held at once: about 280 MB with 256 channels in bfloat16."""


@dataclass(frozen=True)
class Pending:
    """An analyzed segment that waits for its allocation."""

    frames: int
    analysis: Analysis
    error: NDArray[np.float32]
    prefixes: PrefixErrors | None
    """Set for the elastic router, which asks for more than one error map."""


def group_size(positions: int) -> int:
    """Segments in a group when each has so many positions."""
    return max(1, GROUP_POSITIONS // positions)


def read_groups(
    segments: Iterable[Frame],
    positions: int,
    engine: Engine,
    options: EncodeOptions,
    analyzed: Callable[[int], None],
) -> Generator[list[Pending], None, None]:
    """Analyze segments `[T, H, W, 3]` of `positions` positions each; `analyzed` is told of their frames.

    A list that was yielded should be emptied before the next one is asked for.
    """
    size = group_size(positions)
    group: list[Pending] = []
    with ahead(segments) as prepared:
        for frames in prepared:
            analysis = engine.analyze(frames)
            error = _error(frames, analysis, engine, options)
            prefixes = PrefixErrors(engine, frames, analysis) if options.router == "elastic" else None
            group.append(Pending(len(frames), analysis, error, prefixes))
            analyzed(len(frames))
            if len(group) == size:
                yield group
                group = []
    if group:
        yield group


def group_view(group: list[Pending]) -> Group:
    """What a planner needs to know of a group."""
    return Group(
        errors=[pending.error for pending in group],
        frames=[pending.frames for pending in group],
        prefixes=[pending.prefixes for pending in group if pending.prefixes is not None],
    )


def _error(frames: Frame, analysis: Analysis, engine: Engine, options: EncodeOptions) -> NDArray[np.float32]:
    everything = options.budget is None and options.rate == 1
    if options.router == "fixed" or everything:
        return even_map(token_grid(*frames.shape[:3]), options.allocation)
    if options.router == "exact":
        return engine.exact_error(frames, analysis)
    return engine.predicted_error(analysis)
