"""The made-up clip does what its phases say."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from numpy.typing import NDArray

from infotok_cli.codec.demo_clip import FRAMES, PHASE_FRAMES, PHASES, SIDE, sample_frames


@pytest.fixture(scope="module")
def frames() -> NDArray[np.uint8]:
    return np.stack(list(sample_frames()))


def changed(frames: NDArray[np.uint8], phase: str) -> float:
    """Share of the pixels that differ from one frame of the phase to the next."""
    start = PHASES.index(phase) * PHASE_FRAMES
    part = frames[start : start + PHASE_FRAMES].astype(int)
    return float((np.abs(np.diff(part, axis=0)).max(axis=-1) > 2).mean())


def test_it_goes_from_still_to_busy(frames: NDArray[np.uint8]) -> None:
    assert frames.shape == (FRAMES, SIDE, SIDE, 3)
    assert frames.dtype == np.uint8
    assert changed(frames, "still") == 0
    assert 0.01 < changed(frames, "moving") < 0.2
    assert changed(frames, "busy") > 0.4


def test_every_frame_after_the_still_ones_is_new(frames: NDArray[np.uint8]) -> None:
    seen = {hashlib.sha256(frame.tobytes()).digest() for frame in frames[PHASE_FRAMES:]}
    assert len(seen) == FRAMES - PHASE_FRAMES


def test_it_is_the_same_every_time(frames: NDArray[np.uint8]) -> None:
    assert (next(sample_frames()) == frames[0]).all()


def test_nothing_jumps_where_a_phase_begins(frames: NDArray[np.uint8]) -> None:
    for start in (PHASE_FRAMES, 2 * PHASE_FRAMES):
        step = np.abs(frames[start].astype(int) - frames[start - 1]).mean()
        inside = np.abs(frames[start + 2].astype(int) - frames[start + 1]).mean()
        assert step <= 1.5 * inside + 0.01
