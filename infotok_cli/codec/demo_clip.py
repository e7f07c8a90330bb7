"""A made-up clip whose content goes from still to busy, for the demo, pictures and quick trials.

Pure numpy, the same on every machine: a landscape in which nothing moves, then a windmill turns and balloons
drift in, then a train crosses while the camera pans.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from infotok_cli.codec.demo_scene import Balloon, Train, Windmill, landscape

SIDE = 256
"""Height and width in pixels."""

FRAME_RATE = Fraction(30)
PHASE_FRAMES = 32
"""Frames of each of the three phases, a segment each in the demo."""

PHASES = ("still", "moving", "busy")
FRAMES = PHASE_FRAMES * len(PHASES)

PAN_PIXELS = 2
"""How far the camera moves per frame in the last phase."""

TRAIN_PIXELS = 3
"""How far the train moves per frame, against the camera."""

BALLOONS = (
    Balloon((70, 292), 38, -1.6, ((206, 62, 58), (244, 226, 190))),
    Balloon((40, -20), 20, 2.0, ((58, 104, 170), (240, 190, 84))),
)
"""Out of sight at first; they drift in from both sides."""
WINDMILL = Windmill((192, 116), 80, 0.06)
TRAIN = Train(5, 84, 30, ((170, 46, 48), (54, 82, 128)))


def sample_frames() -> Iterator[NDArray[np.uint8]]:
    """The clip's frames `[SIDE, SIDE, 3]`, RGB, 0..255."""
    still = landscape(np.random.default_rng(2025), SIDE, SIDE + PAN_PIXELS * PHASE_FRAMES)
    for frame in range(FRAMES):
        since = max(0, frame - PHASE_FRAMES)
        busy = max(0, frame - 2 * PHASE_FRAMES + 1)
        picture = still.copy()
        for balloon in BALLOONS:
            balloon.paint(picture, since)
        WINDMILL.paint(picture, since)
        if busy:
            TRAIN.paint(picture, SIDE - TRAIN_PIXELS * busy)
        pan = PAN_PIXELS * max(0, busy - 1)
        yield np.clip(picture[:, pan : pan + SIDE].round(), 0, 255).astype(np.uint8)
