"""Drawing a view: panes side by side, a headline, and under them tokens over time.

Pictures are uint8 `[H, W, 3]`, RGB. Text is set in the font that Pillow carries, so that views look the same
everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from infotok_cli.metrics import luma

Picture = NDArray[np.uint8]

BACKGROUND = (17, 19, 24)
INK = (236, 238, 242)
MUTED = (140, 146, 158)
BAR = (104, 140, 190)
REST = (62, 70, 84)
HEAD = (255, 196, 61)
HATCH = (240, 138, 122)
"""Stripes where tokens are lost."""

HEAT_COLOURS = ((16, 24, 74), (38, 84, 124), (76, 132, 124), (160, 176, 84), (255, 222, 66))
"""From the fewest tokens to all of them: blue to yellow, rising in brightness, so that grey print and readers
who confuse red with green keep the order."""

HEAT_SHARE = 0.62
"""Of the heat colours in the heat pane; the rest is the picture in grey."""

LOWEST = 1 / 8
"""Share of its positions that a block always keeps: the lower end of the heat scale, which is logarithmic."""

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Pane:
    """One picture and what stands over it."""

    label: str
    picture: Picture
    over: Callable[[Picture], Picture] | None = None
    """Draws onto the picture once it has its size, so that this is sharp."""


@dataclass(frozen=True)
class Timeline:
    """Tokens over time."""

    rates: NDArray[np.float64]
    """`[steps]` share of its positions that each latent step keeps, 0..1."""
    ends: NDArray[np.float64]
    """`[steps]` where each step ends, as a share of the whole, never falling, to 1; leads take no room."""
    lost: NDArray[np.bool_]
    """`[steps]` whether the step's tokens are lost."""
    seconds: float

    @property
    def highest(self) -> float:
        """Rate of the busiest step that is drawn."""
        drawn = np.diff(self.ends, prepend=0.0) > 0
        return float(self.rates[drawn].max(initial=0.0)) or 1.0


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font at `size` pixels."""
    return ImageFont.load_default(size)


def heat_colours(values: NDArray[np.float64]) -> Picture:
    """Colours `[..., 3]` of shares 0..1 of kept positions, on a logarithmic scale from `LOWEST` to 1."""
    place = np.clip(np.log2(np.maximum(values, LOWEST) / LOWEST) / np.log2(1 / LOWEST), 0, 1)
    stops = np.linspace(0, 1, len(HEAT_COLOURS))
    table = np.array(HEAT_COLOURS, np.float64)
    channels = [np.interp(place, stops, table[:, channel]) for channel in range(3)]
    colours: Picture = np.stack(channels, axis=-1).round().astype(np.uint8)
    return colours


def heat_over(picture: Picture, shares: NDArray[np.float64]) -> Picture:
    """The luma of `picture` under the colours of `shares` `[rows, columns]`, stretched to its size."""
    height, width, _ = picture.shape
    rows = np.minimum(np.arange(height) * shares.shape[0] // height, shares.shape[0] - 1)
    columns = np.minimum(np.arange(width) * shares.shape[1] // width, shares.shape[1] - 1)
    weighted = (HEAT_SHARE * heat_colours(shares)).astype(np.float32)
    mixed = weighted[rows][:, columns]
    mixed += np.float32(1 - HEAT_SHARE) * luma(picture)[..., None]
    shown: Picture = mixed.astype(np.uint8)
    return shown


def hatched(picture: Picture) -> Picture:
    """The picture under stripes: its tokens are lost."""
    height, width, _ = picture.shape
    gap = max(12, min(height, width) // 12)
    stripes = (np.arange(height)[:, None] + np.arange(width)) % gap < max(2, gap // 5)
    striped = picture.copy()
    striped[stripes] = HATCH
    return striped


class Sheet:
    """Views whose pictures and play head change while all else stays: panes side by side, a chart, a line.

    Pictures are scaled to panes that are all `height` rows high.
    """

    def __init__(
        self, sizes: Sequence[tuple[int, int]], headline: str, timeline: Timeline, *, height: int
    ) -> None:
        """sizes: width and height of the pictures, from left to right."""
        self._widths = [_width_at(size, height) for size in sizes]
        self._height, self._timeline = height, timeline
        gap = self._gap = max(6, height // 50)
        width = sum(self._widths) + gap * (len(sizes) + 1)
        text = self._text = text_size(width, height)
        self._top = gap + round(1.5 * text)
        chart_top = self._top + height + gap
        self._chart = (gap, chart_top, width - gap, chart_top + max(36, height // 6))
        total = self._chart[3] + 1 + round(1.7 * text) + gap
        self._line = self._chart[3] + round(0.3 * text)
        before = Image.new("RGB", (width + width % 2, total + total % 2), BACKGROUND)
        after = before.copy()
        for sheet, colour in ((before, REST), (after, BAR)):
            draw_timeline(ImageDraw.Draw(sheet), timeline, self._chart, colour)
            room = width - 2 * gap - font(text).getlength(self._times(1)) - text
            ImageDraw.Draw(sheet).text((gap, self._line), fitted(headline, room, text), INK, font(text))
        self._before, self._gone_by = before, after.crop(self._chart)

    def draw(self, panes: Sequence[Pane], at: float) -> Picture:
        """A view of these panes; at: where the play head stands, as a share of the whole, 0..1."""
        view = self._before.copy()
        draw = ImageDraw.Draw(view)
        text, x = self._text, self._gap
        for pane, width in zip(panes, self._widths, strict=True):
            draw.text((x, self._gap), fitted(pane.label, width, text), INK, font(text))
            view.paste(scaled(pane, width, self._height), (x, self._top))
            x += width + self._gap
        left, top, right, bottom = self._chart
        head = left + round(at * (right - left - 1))
        view.paste(self._gone_by.crop((0, 0, head - left, bottom - top)), (left, top))
        draw.line((head, top, head, bottom), HEAD, width=max(2, (right - left) // 500))
        times = self._times(at)
        draw.text((right - font(text).getlength(times), self._line), times, MUTED, font(text))
        return np.asarray(view)

    def _times(self, at: float) -> str:
        seconds = self._timeline.seconds
        return f"{at * seconds:.1f} s of {seconds:.1f} s"


def legend(picture: Picture) -> Picture:
    """The heat pane with the scale of its colours in a corner."""
    view = Image.fromarray(picture)
    draw = ImageDraw.Draw(view)
    height, width, _ = picture.shape
    text = max(10, min(height, width) // 20)
    fewest, most, letters = "1 in 8", "all", font(text)
    wide = max(width // 5, round(letters.getlength(f"{fewest}   {most}")))
    high = max(4, text // 2)
    left, top = text // 2, height - high - round(1.9 * text)
    box = (0, top - text // 2, wide + text, height)
    view.paste(Image.blend(view.crop(box), Image.new("RGB", (box[2], box[3] - box[1])), 0.55), box[:2])
    colours = heat_colours(LOWEST ** (1 - np.linspace(0, 1, wide)))
    view.paste(Image.fromarray(np.repeat(colours[None], high, axis=0)), (left, top))
    below = top + high + text // 6
    draw.text((left, below), fewest, INK, letters)
    draw.text((left + wide - letters.getlength(most), below), most, INK, letters)
    return np.asarray(view)


def scaled(pane: Pane, width: int, height: int) -> Image.Image:
    """The pane's picture at this size, with what is drawn over it."""
    image = Image.fromarray(pane.picture)
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    return image if pane.over is None else Image.fromarray(pane.over(np.asarray(image)))


def _width_at(size: tuple[int, int], height: int) -> int:
    """Columns of a picture of `size` (width, height) that is scaled to `height` rows."""
    return max(1, round(size[0] * height / size[1]))


def text_size(width: int, height: int) -> int:
    """Pixels of the letters of a view that is `width` wide with panes of `height` rows."""
    return max(11, min(width // 60, height // 12))


def fitted(words: str, room: float, size: int) -> str:
    """As much of `words` as there is room for: parts between dots go first from the end."""
    letters = font(size)
    parts = words.split(" · ")
    while len(parts) > 1 and letters.getlength(" · ".join(parts)) > room:
        parts.pop()
    line = " · ".join(parts)
    while len(line) > 1 and letters.getlength(line) > room:
        line = line[:-1]
    return line


def wrapped(words: str, room: float, size: int) -> list[str]:
    """The words in lines that fit into `room`, as far as blanks allow."""
    letters = font(size)
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and letters.getlength(longer) > room:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def draw_timeline(
    draw: ImageDraw.ImageDraw,
    timeline: Timeline,
    box: tuple[int, int, int, int],
    colour: Colour,
    highest: float | None = None,
) -> None:
    """Bars from zero to the busiest step, or to the rate `highest`; stripes where tokens are lost."""
    left, top, right, bottom = box
    top_rate = timeline.highest if highest is None else highest
    columns = np.arange(right - left)
    middles = (columns + 0.5) / len(columns)
    steps = np.minimum(np.searchsorted(timeline.ends, middles), len(timeline.rates) - 1)
    for column, step in zip(columns.tolist(), steps.tolist(), strict=True):
        x = left + column
        tall = round((bottom - top) * timeline.rates[step] / top_rate)
        draw.line((x, bottom - tall, x, bottom), colour)
        if timeline.lost[step]:
            for y in range(top + (-x - top) % 8, bottom, 8):
                draw.line((x, y, x, min(y + 1, bottom)), HATCH)
    draw.line((left, bottom, right, bottom), MUTED)
