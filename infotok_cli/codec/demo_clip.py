"""A made-up clip whose content goes from still to busy, for the demo and for quick trials.

Pure numpy, the same on every machine: a still textured ground, then a few moving shapes, then many while
the camera pans.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

SIDE = 256
"""Height and width in pixels."""

FRAME_RATE = Fraction(30)
PHASE_FRAMES = 32
"""Frames of each of the three phases: two segments of the default length."""

PHASES = ("still", "moving", "busy")
FRAMES = PHASE_FRAMES * len(PHASES)

PAN_PIXELS = 3
"""How far the camera moves per frame in the last phase."""

FEW, MANY = 3, 18

Pixels = NDArray[np.float32]


@dataclass(frozen=True)
class _Shape:
    """A striped disc or square that circles around a point; lengths in pixels, angles in radians."""

    square: bool
    radius: float
    centre: tuple[float, float]
    orbit: float
    turn_per_frame: float
    phase: float
    stripe: float
    colour: tuple[float, float, float]

    def paint(self, picture: Pixels, frame: int) -> None:
        """Draw onto `[H, W, 3]`, 0..255, with soft edges."""
        angle = self.phase + self.turn_per_frame * frame
        y = self.centre[0] + self.orbit * np.sin(angle)
        x = self.centre[1] + self.orbit * np.cos(angle)
        reach = int(self.radius) + 2
        top, left = max(0, int(y) - reach), max(0, int(x) - reach)
        area = picture[top : max(top, int(y) + reach), left : max(left, int(x) + reach)]
        rows, columns = np.mgrid[top : top + area.shape[0], left : left + area.shape[1]].astype(np.float32)
        rows, columns = rows - np.float32(y), columns - np.float32(x)
        distance = np.maximum(abs(rows), abs(columns)) if self.square else np.hypot(rows, columns)
        cover = np.clip(self.radius - distance, 0, 1)[..., None]
        along = rows * np.sin(angle) + columns * np.cos(angle)
        stripes = 0.75 + 0.25 * np.sin(along * (2 * np.pi / self.stripe))
        area += cover * (stripes[..., None] * np.array(self.colour, np.float32) - area)


def sample_frames() -> Iterator[NDArray[np.uint8]]:
    """The clip's frames `[SIDE, SIDE, 3]`, RGB, 0..255."""
    random = np.random.default_rng(2025)
    ground = _ground(random, SIDE, SIDE + PAN_PIXELS * PHASE_FRAMES)
    shapes = [_shape(random, quick=index >= FEW) for index in range(MANY)]
    for frame in range(FRAMES):
        phase, since = divmod(frame, PHASE_FRAMES)
        pan = PAN_PIXELS * since if phase == 2 else 0
        picture = ground[:, pan : pan + SIDE].copy()
        for shape in shapes[: (0, FEW, MANY)[phase]]:
            shape.paint(picture, frame)
        yield picture.round().astype(np.uint8)


def _ground(random: np.random.Generator, height: int, width: int) -> Pixels:
    """A colour gradient with soft patches and a fine weave, `[height, width, 3]`, 0..255."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    picture = np.stack(
        [70 + 90 * columns / width, 80 + 70 * rows / height, 150 - 60 * columns / width], axis=-1
    )
    for size, strength in ((64, 24), (24, 12), (10, 5)):
        picture += strength * _patches(random, height, width, size)
    picture += (4 * np.sin(rows * 0.9) * np.sin(columns * 0.7))[..., None]
    clipped: Pixels = np.clip(picture, 0, 255).astype(np.float32)
    return clipped


def _patches(random: np.random.Generator, height: int, width: int, size: int) -> Pixels:
    """Smooth noise in -1..1, `[height, width, 3]`, with features of `size` pixels."""
    knots = random.uniform(-1, 1, (height // size + 2, width // size + 2, 3))
    down, across = _blend(height, size, len(knots)), _blend(width, size, knots.shape[1])
    patches: Pixels = np.einsum("yk,klc,xl->yxc", down, knots, across, optimize=True).astype(np.float32)
    return patches


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


def _shape(random: np.random.Generator, *, quick: bool) -> _Shape:
    return _Shape(
        square=bool(random.integers(2)),
        radius=float(random.uniform(14, 30)),
        centre=(float(random.uniform(50, SIDE - 50)), float(random.uniform(50, SIDE - 50))),
        orbit=float(random.uniform(25, 60)),
        turn_per_frame=float(random.uniform(0.1, 0.2) if quick else random.uniform(0.04, 0.08)),
        phase=float(random.uniform(0, 2 * np.pi)),
        stripe=float(random.uniform(7, 14)),
        colour=(
            float(random.uniform(90, 250)),
            float(random.uniform(90, 250)),
            float(random.uniform(90, 250)),
        ),
    )
