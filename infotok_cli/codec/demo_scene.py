"""A made-up landscape at dusk and what moves in it: windmills, balloons, a train. Pure numpy.

Pictures are float32 `[H, W, 3]`, 0..255; lengths are pixels, angles radians, times frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]
Colour = tuple[float, float, float]

HORIZON = 0.56
"""Of the height: where the sky ends."""
RAILS = 0.8
"""Of the height: where the train runs."""


def landscape(random: np.random.Generator, height: int, width: int) -> Pixels:
    """Sky with clouds, two mountain ranges, woods and a meadow with rails, `[height, width, 3]`."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    down = (rows / height)[..., None]
    sky = _mixed(down / HORIZON, (52, 84, 140), (244, 186, 128))
    clouds = np.clip(_fractal(random, height, width, 72, stretch=3) * 1.5 - 0.1, 0, 1)[..., None]
    picture = sky + 0.75 * clouds * (np.array((255, 222, 196), np.float32) - sky)
    sun = np.hypot(rows - 0.47 * height, columns - 0.3 * width)[..., None]
    picture += np.array((120, 84, 20), np.float32) * np.exp(-sun / 30) + 90 * np.clip(12 - sun, 0, 1)
    for far, top, colour in ((0.12, 0.43, (142, 136, 160)), (0.07, 0.5, (104, 114, 134))):
        ridge = _ridge(random, width, 96) * far * height + top * height
        rock = np.array(colour, np.float32) * (1 + 0.16 * _fractal(random, height, width, 24)[..., None])
        picture = _over(picture, rock, rows - ridge[None])
    woods = _ridge(random, width, 24) * 0.025 * height + HORIZON * height
    trees = np.array((74, 98, 82), np.float32) * (1 + 0.2 * _fractal(random, height, width, 10)[..., None])
    picture = _over(picture, trees, rows - woods[None])
    return np.clip(_with_meadow(random, picture, rows), 0, 255).astype(np.float32)


def _with_meadow(random: np.random.Generator, picture: Pixels, rows: Pixels) -> Pixels:
    """A meadow below the woods, with rails across it."""
    height, width, _ = picture.shape
    edge = _ridge(random, width, 60) * 0.02 * height + 0.64 * height
    near = np.clip((rows - 0.64 * height) / (0.36 * height), 0, 1)[..., None]
    blades = _fractal(random, height, width, 9)[..., None] * (0.06 + 0.14 * near)
    fields = _fractal(random, height, width, 50, stretch=3)[..., None]
    grass = _mixed(near, (142, 152, 92), (74, 100, 54)) * (1 + blades + 0.16 * fields)
    grass += np.clip(fields - 0.05, 0, 0.5) * np.array((120, 70, -10), np.float32)
    picture = _over(picture, grass, rows - edge[None])
    rails = 0.5 - abs(rows - RAILS * height) / 5
    gravel = np.array((126, 124, 96), np.float32) * (1 + 0.12 * _fractal(random, height, width, 4)[..., None])
    return _over(picture, gravel, 6 * rails)


@dataclass(frozen=True)
class Balloon:
    """A hot-air balloon with gores in two colours that drifts and sways."""

    centre: tuple[float, float]
    """Row and column at frame 0."""
    radius: float
    drift: float
    """Columns a frame."""
    colours: tuple[Colour, Colour]
    gores: int = 5

    def paint(self, picture: Pixels, frame: float) -> None:
        """Draw onto the picture with soft edges."""
        radius = self.radius
        y = self.centre[0] + 0.12 * radius * np.sin(0.13 * frame + self.centre[1])
        x = self.centre[1] + self.drift * frame
        area, rows, columns = _window(picture, y + 0.4 * radius, x, 1.5 * radius + 4)
        if not area.size:
            return
        rows, columns = rows - np.float32(y), columns - np.float32(x)
        below = np.clip(rows / radius, 0, 1.35)
        waist = (
            radius * np.sqrt(np.clip(1 - np.minimum(rows / radius, 0) ** 2, 0, 1)) * (1 - 0.5 * below**1.7)
        )
        across = columns / np.maximum(waist, 1e-3)
        angle = np.arcsin(np.clip(across, -1, 1)) / np.pi + 0.5
        stripe = (np.floor(angle * self.gores) % 2)[..., None]
        colour = _mixed(stripe, *self.colours)
        light = 0.62 + 0.5 * np.clip(0.75 - 0.5 * across - 0.35 * rows / radius, 0, 1)[..., None]
        inside = np.minimum(waist - abs(columns), np.minimum(rows + radius, 1.2 * radius - rows))
        area += _cover(inside) * (colour * light - area)
        basket = np.minimum(0.16 * radius - abs(columns), 0.12 * radius - abs(rows - 1.55 * radius))
        area += _cover(basket) * (np.array((84, 58, 36), np.float32) - area)


@dataclass(frozen=True)
class Windmill:
    """A tower with four latticed sails."""

    foot: tuple[float, float]
    """Row and column."""
    tall: float
    turn_per_frame: float

    def paint(self, picture: Pixels, turned: float) -> None:
        """Draw onto the picture; turned: frames that the sails have turned for."""
        tall = self.tall
        hub = self.foot[0] - tall, self.foot[1]
        area, rows, columns = _window(picture, hub[0] + 0.2 * tall, hub[1], 1.1 * tall)
        if not area.size:
            return
        up = (np.float32(self.foot[0]) - rows) / tall
        aside = columns - np.float32(hub[1])
        tower = np.minimum(tall * (0.2 - 0.09 * up) - abs(aside), tall * np.minimum(up, 1.06 - up))
        light = (0.78 - 1.4 * aside / tall)[..., None]
        bricks = (1 + 0.06 * np.sign(np.sin(rows * 2.1)))[..., None]
        area += _cover(tower) * (np.array((226, 214, 196), np.float32) * light * bricks - area)
        cap = np.minimum(tall * 0.15 - abs(aside), tall * np.minimum(up - 0.96, 1.14 - up))
        area += _cover(cap) * (np.array((120, 52, 44), np.float32) * light - area)
        for arm in range(4):
            angle = 0.4 + turned * self.turn_per_frame + arm * np.pi / 2
            self._paint_sail(area, rows - np.float32(hub[0]), aside, angle)

    def _paint_sail(self, area: Pixels, rows: Pixels, columns: Pixels, angle: float) -> None:
        tall = self.tall
        along = columns * np.cos(angle) + rows * np.sin(angle)
        across = rows * np.cos(angle) - columns * np.sin(angle)
        sail = np.minimum(
            0.1 * tall - abs(across - 0.09 * tall), np.minimum(along - 0.18 * tall, 0.86 * tall - along)
        )
        lattice = 1 - 0.12 * (np.sin(along * (2 * np.pi / 13)) > 0)[..., None]
        area += _cover(sail) * (np.array((246, 240, 226), np.float32) * lattice - area)
        arm = np.minimum(1.2 - abs(across), np.minimum(along, 0.88 * tall - along))
        area += _cover(arm) * (np.array((74, 50, 38), np.float32) - area)


@dataclass(frozen=True)
class Train:
    """Cars with lit windows on the rails of the landscape."""

    cars: int
    length: float
    tall: float
    colours: tuple[Colour, ...]

    def paint(self, picture: Pixels, nose: float) -> None:
        """Draw onto the picture; nose: column of its front, the cars follow to the right."""
        height = picture.shape[0]
        floor = RAILS * height
        top = round(floor - self.tall - 4)
        area = picture[top : round(floor + 4)]
        rows, columns = np.mgrid[0 : area.shape[0], 0 : area.shape[1]].astype(np.float32)
        up = np.float32(floor - top) - rows
        for car in range(self.cars):
            along = columns - np.float32(nose + car * (self.length + 3))
            body = np.minimum(np.minimum(along, self.length - along), np.minimum(up - 2, self.tall - up))
            if car == 0:
                body = np.minimum(body, along * 0.8 + 8 - up * 0.5)
            band = (abs(up - 0.3 * self.tall) < 1.5)[..., None]
            colour = np.array(self.colours[car % len(self.colours)], np.float32)
            shade = (0.8 + 0.25 * up / self.tall)[..., None]
            area += _cover(body) * (np.where(band, 235, colour * shade) - area)
            pitch = (self.length - 10) / 4
            window = np.minimum(
                0.34 * pitch - abs((along - 5) % pitch - pitch / 2),
                0.17 * self.tall - abs(up - 0.66 * self.tall),
            )
            lit = np.minimum(window, np.minimum(along - 5, self.length - 5 - along))
            area += _cover(lit) * (np.array((255, 232, 150), np.float32) - area)


def _window(picture: Pixels, y: float, x: float, reach: float) -> tuple[Pixels, Pixels, Pixels]:
    """The part of the picture around a place, and the rows and columns of its pixels."""
    top, left = max(0, int(y - reach)), max(0, int(x - reach))
    area = picture[top : max(top, int(y + reach)), left : max(left, int(x + reach))]
    rows, columns = np.mgrid[top : top + area.shape[0], left : left + area.shape[1]].astype(np.float32)
    return area, rows, columns


def _cover(inside: Pixels) -> Pixels:
    """How much of each pixel is covered, `[h, w, 1]` 0..1, by the pixels that it lies inside of an edge."""
    cover: Pixels = np.clip(inside + 0.5, 0, 1)[..., None].astype(np.float32)
    return cover


def _over(picture: Pixels, top: Pixels, inside: Pixels) -> Pixels:
    laid: Pixels = picture + _cover(inside) * (top - picture)
    return laid


def _mixed(share: Pixels, one: Colour, other: Colour) -> Pixels:
    first, second = np.array(one, np.float32), np.array(other, np.float32)
    mixed: Pixels = first + np.clip(share, 0, 1) * (second - first)
    return mixed


def _ridge(random: np.random.Generator, width: int, size: int) -> Pixels:
    """A line `[width]` of about -1..1 that looks like hills of `size` columns."""
    line: Pixels = _fractal(random, 1, width, size)[0]
    return line


def _fractal(random: np.random.Generator, height: int, width: int, size: int, *, stretch: int = 1) -> Pixels:
    """Noise `[height, width]` of about -1..1 with features of `size` rows and all finer ones."""
    total = np.zeros((height, width), np.float32)
    strength, whole = 1.0, 0.0
    while size >= 2:
        knots = random.uniform(-1, 1, (height // size + 2, width // (size * stretch) + 2))
        down, across = _blend(height, size, len(knots)), _blend(width, size * stretch, knots.shape[1])
        total += strength * (down @ knots @ across.T).astype(np.float32)
        whole += strength
        size, strength = size // 2, 0.55 * strength
    scaled: Pixels = total * np.float32(1.6 / whole)
    return scaled


def _blend(length: int, size: int, knots: int) -> NDArray[np.float64]:
    """Weights `[length, knots]` of a smooth interpolation between knots `size` pixels apart."""
    place = np.arange(length) / size
    near = place.astype(int)
    step = place - near
    step = step * step * (3 - 2 * step)
    weights = np.zeros((length, knots))
    weights[np.arange(length), near] = 1 - step
    weights[np.arange(length), near + 1] = step
    return weights
