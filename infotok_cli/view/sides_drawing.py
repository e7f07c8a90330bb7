"""A comparison as one picture: the source, and a cell for each file with its frame, heat and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from PIL import Image, ImageDraw

from infotok_cli.view.drawing import (
    BACKGROUND,
    BAR,
    HEAD,
    INK,
    MUTED,
    Pane,
    Picture,
    draw_timeline,
    fitted,
    font,
    heat_over,
    legend,
    scaled,
    wrapped,
)
from infotok_cli.view.sides import Side, Sides
from infotok_cli.wording import size_in_words

SHORTEST, TALLEST = 256, 540
"""Rows of a pane: smaller pictures are enlarged, larger ones shrunk."""
WIDEST = 2600
"""Columns of the whole, which panes shrink to fit into, to 160 columns at least."""
LEAST_COLUMNS = 160
SHAPE = 16 / 9
"""Width by height that cells are laid out for."""


@dataclass(frozen=True)
class _Layout:
    """Where things stand in a cell, in pixels."""

    pane: tuple[int, int]
    """Width and height of a picture."""
    beside: bool
    """Whether the heat stands beside the picture, not below it."""
    columns: int
    rows: int
    text: int
    foot: bool
    """Whether a line stands below all cells."""

    @property
    def gap(self) -> int:
        return max(6, self.pane[1] // 50)

    @property
    def chart(self) -> int:
        return max(24, self.pane[1] // 9)

    @property
    def cell(self) -> tuple[int, int]:
        width, height = self.pane
        across, down = (2, 1) if self.beside else (1, 2)
        head = round(2.9 * self.text)
        return (
            width * across + self.gap * (across - 1),
            head + (height + self.gap) * down + self.chart,
        )

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the whole, even."""
        width, height = self.cell
        across = self.columns * (width + 2 * self.gap)
        down = self.rows * (height + 2 * self.gap) + (round(1.9 * self.text) if self.foot else 0)
        return across + across % 2, down + down % 2


@dataclass(frozen=True)
class _Moment:
    """What all cells have in common."""

    frame: int
    at: float
    """The play head, as a share of the whole."""
    highest: float
    """Rate at the top of the charts."""


def draw_sides(compared: Sides, title: str) -> Picture:
    """All files at the frame chosen, the source first; `title` names what is compared.

    Bars of tokens over time have one scale in all cells.
    """
    sides = compared.sides
    cells = len(sides) + (compared.source is not None)
    assert sides[0].picture is not None
    height, width, _ = sides[0].picture.shape
    layout = _laid_out((width, height), cells, foot=compared.source is None)
    view = Image.new("RGB", layout.size, BACKGROUND)
    places = product(range(layout.rows), range(layout.columns))
    words = _about(compared)
    if compared.source is not None:
        _draw_source(view, _corner(layout, *next(places)), layout, compared.source, [title, *words])
    else:
        line = (layout.gap, layout.size[1] - round(1.7 * layout.text))
        foot = fitted(" · ".join(words), layout.size[0] - 2 * layout.gap, layout.text)
        ImageDraw.Draw(view).text(line, foot, MUTED, font(layout.text))
    at = (compared.frame + 0.5) / len(sides[0].where.step_of_frame)
    highest = max(float(side.where.rates.max()) for side in sides) or 1.0
    for side, place in zip(sides, places, strict=False):
        _draw_side(view, _corner(layout, *place), layout, side, _Moment(compared.frame, at, highest))
    return np.asarray(view)


def cell_words(side: Side) -> str:
    """What a cell says of its file, the most important first."""
    report, quality = side.report, side.quality
    measured = [] if quality is None else [f"{quality.psnr_db:.2f} dB"]
    similar = [] if quality is None else [f"SSIM {quality.ssim:.3f}"]
    share = f"{100 * report.token_rate:.0f} % of tokens"
    return " · ".join([size_in_words(report.size_bytes), *measured, share, *similar])


def _about(compared: Sides) -> list[str]:
    """What holds for all cells, a part for each thing."""
    report = compared.sides[0].report
    at = compared.frame * report.duration_seconds / report.frames
    words = [f"frame {compared.frame}, {at:.1f} s of {report.duration_seconds:.1f} s"]
    if compared.sides[0].quality is not None:
        words.append("dB, SSIM: means over all frames")
    return [*words, "heat: where the tokens went", "bars: tokens over time, all on one scale"]


def _laid_out(size: tuple[int, int], cells: int, *, foot: bool) -> _Layout:
    """The layout nearest to `SHAPE` of this many cells with pictures of `size` (width, height)."""
    beside = size[1] > size[0]
    rows = min(max(size[1], SHORTEST), TALLEST)
    found = []
    for columns in range(1, cells + 1):
        layout = replace(_scaled_layout(size, rows, beside, columns, -(-cells // columns)), foot=foot)
        width, height = layout.size
        empty = layout.columns * layout.rows - cells
        found.append((abs(np.log(width / height / SHAPE)) + 0.2 * empty, columns, layout))
    return min(found, key=lambda one: one[:2])[2]


def _scaled_layout(size: tuple[int, int], height: int, beside: bool, columns: int, rows: int) -> _Layout:
    """Panes as high as `height`, lower where the whole would be too wide."""
    across = columns * (2 if beside else 1)
    width = min(size[0] * height / size[1], max(LEAST_COLUMNS, WIDEST / across - 24))
    pane = (max(1, round(width)), max(1, round(width * size[1] / size[0])))
    cell_width = pane[0] * (2 if beside else 1)
    return _Layout(pane, beside, columns, rows, text=max(12, min(22, cell_width // 20)), foot=False)


def _corner(layout: _Layout, row: int, column: int) -> tuple[int, int]:
    """Left and top of a cell."""
    width, height = layout.cell
    gap = layout.gap
    return gap + column * (width + 2 * gap), gap + row * (height + 2 * gap)


def _draw_head(view: Image.Image, corner: tuple[int, int], layout: _Layout, lines: Sequence[str]) -> None:
    draw, text = ImageDraw.Draw(view), layout.text
    for number, line in enumerate(lines):
        place = corner[0], corner[1] + round(1.3 * text * number)
        draw.text(place, fitted(line, layout.cell[0], text), INK, font(text))


def _draw_source(
    view: Image.Image, corner: tuple[int, int], layout: _Layout, picture: Picture, words: Sequence[str]
) -> None:
    """The source's cell: its name and picture, and in the place of heat the rest of `words`."""
    _draw_head(view, corner, layout, ["source", words[0]])
    left, top = corner[0], corner[1] + round(2.9 * layout.text)
    view.paste(scaled(Pane("", picture), *layout.pane), (left, top))
    left, top = _aside(layout, left, top)
    draw, text = ImageDraw.Draw(view), layout.text
    lines = [line for part in words[1:] for line in wrapped(part, layout.pane[0], text)]
    for number, line in enumerate(lines):
        draw.text((left, top + round(1.4 * text * number)), line, MUTED, font(text))


def _aside(layout: _Layout, left: int, top: int) -> tuple[int, int]:
    """Left and top of the heat of a picture that stands there."""
    width, height = layout.pane
    return (left + width + layout.gap, top) if layout.beside else (left, top + height + layout.gap)


def _draw_side(
    view: Image.Image,
    corner: tuple[int, int],
    layout: _Layout,
    side: Side,
    moment: _Moment,
) -> None:
    assert side.picture is not None
    _draw_head(view, corner, layout, [side.path.name, cell_words(side)])
    (left, top), (width, height) = corner, layout.pane
    top += round(2.9 * layout.text)
    view.paste(scaled(Pane("", side.picture), width, height), (left, top))
    heat = heat_over(side.picture, side.where.shares[int(side.where.step_of_frame[moment.frame])])
    view.paste(scaled(Pane("", heat, legend), width, height), _aside(layout, left, top))
    floor = corner[1] + layout.cell[1]
    box = (left, floor - layout.chart, left + layout.cell[0], floor)
    draw = ImageDraw.Draw(view)
    draw_timeline(draw, side.where.timeline(side.report.duration_seconds), box, BAR, moment.highest)
    head = left + round(moment.at * (layout.cell[0] - 1))
    draw.line((head, box[1], head, floor), HEAD, width=2)
