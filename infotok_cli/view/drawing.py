"""Drawing a view: panes side by side, a headline, and under them tokens over time.

Pictures are uint8 `[H, W, 3]`, RGB. Text is set in the font that Pillow carries, so that views look the same
everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
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
HEAD = (255, 196, 61)

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


@dataclass(frozen=True)
class Timeline:
    """Tokens over time."""

    rates: NDArray[np.float64]
    """`[steps]` share of its positions that each latent step keeps, 0..1."""
    ends: NDArray[np.float64]
    """`[steps]` where each step ends, as a share of the whole, rising to 1."""
    seconds: float


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
    colours = heat_colours(shares)[rows][:, columns].astype(np.float64)
    mixed: Picture = (HEAT_SHARE * colours + (1 - HEAT_SHARE) * luma(picture)[..., None]).astype(np.uint8)
    return mixed


def compose(panes: Sequence[Pane], headline: str, timeline: Timeline, *, at: float, height: int) -> Picture:
    """One view with panes `height` rows high, all scaled alike; even sizes.

    at: where the play head stands, as a share of the whole, 0..1.
    """
    scaled = [_scaled(pane.picture, height) for pane in panes]
    gap = max(6, height // 50)
    width = sum(picture.width for picture in scaled) + gap * (len(scaled) + 1)
    text = _text_size(width, height)
    top = gap + round(1.5 * text)
    chart = max(36, height // 6)
    total = top + height + gap + chart + round(1.7 * text) + gap
    view = Image.new("RGB", (width + width % 2, total + total % 2), BACKGROUND)
    draw = ImageDraw.Draw(view)
    x = gap
    for pane, picture in zip(panes, scaled, strict=True):
        label = _fitted(pane.label, picture.width, text)
        draw.text((x, gap), label, INK, font(text))
        view.paste(picture, (x, top))
        x += picture.width + gap
    box = (gap, top + height + gap, width - gap, top + height + gap + chart)
    _draw_timeline(draw, timeline, box, at)
    y = box[3] + round(0.3 * text)
    times = f"{at * timeline.seconds:.1f} s of {timeline.seconds:.1f} s"
    room = width - 2 * gap - draw.textlength(times, font(text)) - text
    draw.text((gap, y), _fitted(headline, room, text), INK, font(text))
    draw.text((width - gap - draw.textlength(times, font(text)), y), times, MUTED, font(text))
    return np.asarray(view)


def legend(picture: Picture) -> Picture:
    """The heat pane with the scale of its colours in a corner."""
    view = Image.fromarray(picture)
    draw = ImageDraw.Draw(view)
    height, width, _ = picture.shape
    text = max(9, min(height, width) // 22)
    wide, high = max(24, width // 5), max(4, text // 2)
    left, top = text // 2, height - high - round(1.9 * text)
    box = (0, top - text // 2, wide + text, height)
    view.paste(Image.blend(view.crop(box), Image.new("RGB", (box[2], box[3] - box[1])), 0.55), box[:2])
    colours = heat_colours(LOWEST ** (1 - np.linspace(0, 1, wide)))
    view.paste(Image.fromarray(np.repeat(colours[None], high, axis=0)), (left, top))
    below = top + high + text // 6
    draw.text((left, below), "1 in 8", INK, font(text))
    all_of = "all"
    draw.text((left + wide - draw.textlength(all_of, font(text)), below), all_of, INK, font(text))
    return np.asarray(view)


def _scaled(picture: Picture, height: int) -> Image.Image:
    width = max(1, round(picture.shape[1] * height / picture.shape[0]))
    image = Image.fromarray(picture)
    return image if image.size == (width, height) else image.resize((width, height), Image.Resampling.LANCZOS)


def _text_size(width: int, height: int) -> int:
    return max(11, min(width // 60, height // 12))


def _fitted(words: str, room: float, size: int) -> str:
    """As much of `words` as there is room for: parts between dots go first from the end."""
    letters = font(size)
    parts = words.split(" · ")
    while len(parts) > 1 and letters.getlength(" · ".join(parts)) > room:
        parts.pop()
    line = " · ".join(parts)
    while len(line) > 1 and letters.getlength(line) > room:
        line = line[:-1]
    return line


def _draw_timeline(
    draw: ImageDraw.ImageDraw, timeline: Timeline, box: tuple[int, int, int, int], at: float
) -> None:
    """Bars from zero to the busiest step, those gone by in colour, and the play head."""
    left, top, right, bottom = box
    highest = float(timeline.rates.max(initial=0.0)) or 1.0
    columns = np.arange(right - left)
    middles = (columns + 0.5) / len(columns)
    steps = np.minimum(np.searchsorted(timeline.ends, middles), len(timeline.rates) - 1)
    for column, rate in zip(columns.tolist(), timeline.rates[steps].tolist(), strict=True):
        tall = round((bottom - top) * rate / highest)
        colour: Colour = BAR if middles[column] <= at else (62, 70, 84)
        draw.line((left + column, bottom - tall, left + column, bottom), colour)
    draw.line((left, bottom, right, bottom), MUTED)
    head = left + round(at * (right - left - 1))
    draw.line((head, top, head, bottom), HEAD, width=max(2, (right - left) // 500))
