"""Tokens of a segment by itself: the rate is that of the calibration clips together."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from infotok_cli.allocation.allocate import allocate_blocks
from infotok_cli.allocation.rate_scale import RATES, RateScale

ErrorMap = NDArray[np.float32]


@pytest.fixture(scope="module")
def clips() -> list[ErrorMap]:
    """Maps of calm and of busy clips."""
    random = np.random.default_rng(0)
    return [
        (scale * random.gamma(1, 1, (8, 16, 16))).astype(np.float32) for scale in (0.01, 0.02, 0.05, 0.1, 0.2)
    ]


@pytest.fixture(scope="module")
def scale(clips: list[ErrorMap]) -> RateScale:
    return RateScale.fit(clips)


@pytest.mark.parametrize("rate", [0.125, 0.2, 0.333, 0.5, 0.77, 0.95, 1.0])
def test_the_clips_of_the_calibration_get_the_rate(
    rate: float, clips: list[ErrorMap], scale: RateScale
) -> None:
    alone = [scale.allocate(error, rate) for error in clips]
    kept = sum(chosen.tokens for chosen in alone) / sum(error.size for error in clips)
    assert kept == pytest.approx(rate, abs=0.004)
    # One multiplier over all of them gives each the same, but for the last steps.
    together = allocate_blocks(clips, rate)
    for mine, other in zip(alone, together, strict=True):
        assert mine.tokens == pytest.approx(other.tokens, abs=0.02 * mine.keep.size)


def test_twice_the_error_deserves_about_twice_the_tokens(clips: list[ErrorMap], scale: RateScale) -> None:
    tokens = [scale.allocate(error, 0.4).tokens for error in clips]
    assert tokens == sorted(tokens)
    middle = clips[2]
    ratio = scale.allocate(2 * middle, 0.4).tokens / scale.allocate(middle, 0.4).tokens
    assert 1.5 < ratio < 2.2
    harder = scale.allocate(1e6 * middle, 0.4)
    assert harder.keep.all()


def test_blocks_get_tokens_by_error(scale: RateScale) -> None:
    """The smallest power of two above error / worth, between one and eight."""
    worth = float(np.exp(np.interp(0.4, RATES, np.log(scale.worths))))
    for factor, level in ((0.1, 1), (0.9, 1), (1.1, 2), (2.1, 4), (3.9, 4), (4.1, 8), (99, 8)):
        error = np.full((6, 2, 2), factor * worth, np.float32)
        levels = scale.allocate(error, 0.4).levels
        assert levels is not None
        assert levels[2, 0, 0] == level  # the first two blocks in time count for more


def test_cut_blocks_and_strange_values(scale: RateScale) -> None:
    error = np.full((3, 5, 7), np.nan, np.float32)
    chosen = scale.allocate(error, 0.5)
    assert chosen.levels is not None
    assert chosen.tokens == chosen.levels.size
    assert scale.allocate(error, 1.0).keep.all()


def test_survives_json(scale: RateScale) -> None:
    again = RateScale.from_json(json.loads(json.dumps(scale.to_json())))
    assert again == scale
    values = scale.to_json()
    with pytest.raises(ValueError, match="do not fall"):
        RateScale.from_json(values | {"worths": list(reversed(scale.worths))})
    with pytest.raises(ValueError, match="57 token rates"):
        RateScale.from_json(values | {"worths": [1.0]})
    with pytest.raises(TypeError, match="wrong kind"):
        RateScale.from_json(values | {"worths": "high"})
    with pytest.raises(ValueError, match="whole blocks"):
        RateScale.fit([np.ones((3, 4, 4), np.float32)])
