"""Pictures made of characters: bars, token rate over time, and a heat map of the frame.

All read well without colour; where the terminal's encoding has no block characters, ASCII stands in.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

HEAT_MAX_COLUMNS = 64
HEAT_MAX_ROWS = 24
CHART_ROWS = 6
FLAT = 0.02
"""Below this spread of token rates a heat map has nothing to show, and is not stretched."""


@dataclass(frozen=True)
class Glyphs:
    """Characters to draw with."""

    fractions: str
    """A cell filled from the left by 0, 1/n, ... of its width."""
    heights: str
    """A cell filled from below."""
    shades: str
    axis: str
    corner: str
    floor: str


BLOCKS = Glyphs(fractions=" ▏▎▍▌▋▊▉█", heights=" ▁▂▃▄▅▆▇█", shades=" ░▒▓█", axis="│", corner="└", floor="─")
ASCII = Glyphs(fractions=" #", heights=" _#", shades=" .:-=+*#%@", axis="|", corner="+", floor="-")


def bar(value: float, columns: int, glyphs: Glyphs) -> str:
    """A bar of `value` (0..1) of `columns` characters, without trailing blanks."""
    steps = len(glyphs.fractions) - 1
    filled = round(min(1.0, max(0.0, value)) * columns * steps)
    rest = glyphs.fractions[filled % steps]
    return (glyphs.fractions[-1] * (filled // steps) + rest).rstrip()


def over_time(
    ends_seconds: Sequence[float],
    rates: Sequence[float],
    weights: Sequence[int],
    columns: int,
    glyphs: Glyphs,
    *,
    rows: int = CHART_ROWS,
) -> list[str]:
    """Lines of a chart of token rate over time, `columns` wide with its axis.

    It is `rows`, an even number, high without its axis.
    Segment i lasts from `ends_seconds[i - 1]` to `ends_seconds[i]`; where several share a column, their
    rates are averaged by `weights`.
    """
    values = _per_column(np.array(ends_seconds), np.array(rates), np.array(weights), columns - 7)
    top = next((limit for limit in (0.25, 0.5) if values.max() < limit + FLAT / 2), 1.0)
    steps = len(glyphs.heights) - 1
    eighths = np.clip(np.rint(values / top * rows * steps), 1, rows * steps).astype(int)
    lines = []
    for row in range(rows - 1, -1, -1):
        label = {rows - 1: f"{top:.2f}", rows // 2 - 1: f"{top / 2:.2f}"}.get(row, "")
        cells = "".join(glyphs.heights[min(steps, max(0, n - row * steps))] for n in eighths)
        lines.append(f"{label:>5} {glyphs.axis}{cells}".rstrip())
    lines.append(f"{'0':>5} {glyphs.corner}{glyphs.floor * len(values)}")
    duration = f"{ends_seconds[-1]:.3f} s"
    lines.append(f"{'0 s':>8}{duration:>{max(0, len(values) - 1)}}")
    return lines


def _per_column(ends: Values, rates: Values, weights: NDArray[np.int64], columns: int) -> Values:
    """Mean rate in each of `columns` equal spans of time."""
    # Running sums over time, read off at the edges of the columns.
    times = np.concatenate(([0.0], ends))
    edges = np.linspace(0, ends[-1], columns + 1)
    share = np.interp(edges, times, np.concatenate(([0.0], np.cumsum(weights))))
    tokens = np.interp(edges, times, np.concatenate(([0.0], np.cumsum(rates * weights))))
    values: Values = np.diff(tokens) / np.diff(share)
    return values


def block_means(values: Values) -> Values:
    """Mean of each 2x2 neighbourhood of a map `[h, w]`, so that the pattern inside blocks does not show."""
    rows, columns = -(-values.shape[0] // 2), -(-values.shape[1] // 2)
    padded = np.full((2 * rows, 2 * columns), np.nan)
    padded[: values.shape[0], : values.shape[1]] = values
    means: Values = np.nanmean(padded.reshape(rows, 2, columns, 2), axis=(1, 3))
    return means


def heat_map(blocks: Values, columns: int, glyphs: Glyphs) -> list[str]:
    """Shaded lines of the map `[h, w]` in its true proportions, at most `columns` wide."""
    cells = _resampled(blocks, *_cells(blocks.shape, columns))
    levels = np.rint(_stretched(cells, blocks) * (len(glyphs.shades) - 1)).astype(int)
    return ["".join(glyphs.shades[level] for level in row) for row in levels]


def heat_map_in_colour(
    blocks: Values, columns: int, most_rows: int = HEAT_MAX_ROWS
) -> list[list[tuple[str, str]]]:
    """As `heat_map`, with twice the rows in as many lines: characters with their `rich` style."""
    rows, across = _cells(blocks.shape, columns, most_rows)
    shades = _stretched(_resampled(blocks, 2 * rows, across), blocks)
    return [_half_blocks(top, bottom) for top, bottom in zip(shades[::2], shades[1::2], strict=True)]


def _half_blocks(top: Values, bottom: Values) -> list[tuple[str, str]]:
    """Two rows of shades 0..1 as one line; neighbours of the same style share an entry."""
    styles = (f"{upper} on {lower}" for upper, lower in zip(_colours(top), _colours(bottom), strict=True))
    return [("▀" * len(list(run)), style) for style, run in groupby(styles)]


def scale(blocks: Values) -> tuple[float, float]:
    """The token rates that the darkest and the brightest cell of a heat map stand for."""
    low, high = float(blocks.min()), float(blocks.max())
    return (low, high) if high - low > FLAT else (0.0, 1.0)


def legend_in_colour() -> list[tuple[str, str]]:
    """The palette from low to high, as characters with their `rich` style."""
    return [("█", colour) for colour in _colours(np.linspace(0, 1, 8))]


def _cells(shape: tuple[int, ...], columns: int, most_rows: int = HEAT_MAX_ROWS) -> tuple[int, int]:
    """Rows and columns of characters; being twice as high as wide, 1 by 2 make a block if that fits."""
    height, width = shape
    most = min(columns, HEAT_MAX_COLUMNS)
    larger = max(1, min(most // (4 * width), most_rows // (2 * height)))
    shrink = min(1.0, most / (2 * width), most_rows / height)
    return max(1, round(height * larger * shrink)), max(1, round(2 * width * larger * shrink))


def _resampled(blocks: Values, rows: int, columns: int) -> Values:
    """Means over the area of each cell, `[rows, columns]`."""
    down, across = _weights(blocks.shape[0], rows), _weights(blocks.shape[1], columns)
    result: Values = down @ blocks @ across.T
    return result


def _weights(size: int, cells: int) -> Values:
    """Share of each of `size` samples in each of `cells` equal spans, `[cells, size]`; rows sum to 1."""
    edges = np.linspace(0, size, cells + 1)
    low = np.maximum(edges[:-1, None], np.arange(size))
    high = np.minimum(edges[1:, None], np.arange(size) + 1)
    overlap = np.maximum(0, high - low)
    result: Values = overlap / overlap.sum(axis=1, keepdims=True)
    return result


def _stretched(cells: Values, blocks: Values) -> Values:
    low, high = scale(blocks)
    result: Values = np.clip((cells - low) / (high - low), 0, 1)
    return result


def _colours(places: Values) -> list[str]:
    """The colours that views have, at places 0..1 of their scale, as `rich` styles."""
    from infotok_cli.view.drawing import LOWEST, heat_colours

    return ["rgb({},{},{})".format(*colour) for colour in heat_colours(LOWEST ** (1 - places)).tolist()]


def wants_colour(is_terminal: bool) -> bool:
    """Whether to colour: on a terminal that can, unless NO_COLOR is set."""
    return is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"
