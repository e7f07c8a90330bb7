"""Flicker and quality by place against made-up errors whose figures are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from infotok_cli.evaluate.seams import SeamMeter, SeamReport
from infotok_cli.metrics import psnr

LENGTH = 16


def report(errors: list[int], length: int = LENGTH) -> SeamReport:
    """Report over a noisy moving video whose frame t is off by errors[t] everywhere."""
    random = np.random.default_rng(3)
    source = random.integers(64, 192, (len(errors), 8, 10, 3)).astype(np.uint8)
    decoded = (source.astype(int) + np.array(errors)[:, None, None, None]).astype(np.uint8)
    meter = SeamMeter(length)
    for first in range(0, len(errors), length):
        one, other = source[first : first + length], decoded[first : first + length]
        meter.add(one, other, np.minimum(psnr(one, other), 100))
    return meter.report()


def test_a_steady_error_does_not_flicker_however_the_picture_moves() -> None:
    found = report([9] * 48)
    assert (found.seam_flicker, found.step_flicker, found.inside_flicker) == (0, 0, 0)
    assert found.seams == 2
    assert found.start_db == found.end_db == found.rest_db == pytest.approx(20 * math.log10(255 / 9))


def test_a_jump_is_told_where_it_is() -> None:
    at_cuts = report([5] * 16 + [-7] * 16)
    assert at_cuts.seam_flicker == pytest.approx(12)
    assert (at_cuts.step_flicker, at_cuts.inside_flicker) == (0, 0)
    at_steps = report(([4] * 4 + [6] * 4) * 4)
    assert at_steps.seam_flicker == pytest.approx(2)
    assert at_steps.step_flicker == pytest.approx(2)
    assert at_steps.inside_flicker == 0
    inside = report([1, 1, 4, 4] * 8)
    # Of three pairs in a step one jumps; every step and cut goes back.
    assert inside.inside_flicker == pytest.approx(1)
    assert inside.seam_flicker == inside.step_flicker == pytest.approx(3)


def test_errors_that_uint8_cannot_hold_count_whole() -> None:
    source = np.zeros((2, 4, 4, 3), np.uint8)
    source[0] = 255
    meter = SeamMeter(1)
    for frame in range(2):
        meter.add(source[frame : frame + 1], 255 - source[frame : frame + 1], np.zeros(1))
    assert meter.report().seam_flicker == 510


def test_starts_and_ends_are_latent_steps() -> None:
    segment = [8] * 4 + [2] * 8 + [4] * 4
    found = report(segment * 2)
    level = lambda error: pytest.approx(20 * math.log10(255 / error))  # noqa: E731
    assert (found.start_db, found.rest_db, found.end_db) == (level(8), level(2), level(4))
    assert len(found.psnr_by_place) == LENGTH
    assert found.psnr_by_place[0] == pytest.approx(20 * math.log10(255 / 8), abs=1e-3)


def test_a_short_last_segment_flickers_but_has_no_places() -> None:
    whole = report([3] * 16)
    longer = report([3] * 16 + [9] * 5)
    assert (longer.start_db, longer.psnr_by_place) == (whole.start_db, whole.psnr_by_place)
    assert longer.seam_flicker == pytest.approx(6)


@pytest.mark.parametrize(("frames", "length"), [(5, 16), (16, 8), (1, 4)])
def test_what_cannot_be_told_is_none(frames: int, length: int) -> None:
    found = report([1] * frames, length)
    assert found.start_db is found.end_db is found.rest_db is None
    if frames <= length:
        assert found.seam_flicker is None
    if frames == 1:
        assert found.inside_flicker is None


def test_frames_must_pair_up() -> None:
    frames: NDArray[np.uint8] = np.zeros((4, 2, 2, 3), np.uint8)
    with pytest.raises(ValueError, match="zip"):
        SeamMeter(4).add(frames, frames[:3], np.zeros(4))
