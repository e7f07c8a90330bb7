"""Fitting the token coder: it learns, and it can go on from one that has."""

from __future__ import annotations

import numpy as np
import pytest

from infotok_cli.entropy.token_net import input_count
from infotok_cli.train.token_net import TokenSamples, _RoundedNet, fit_token_net
from made_net import made_net

LEVELS = (8, 8, 8, 5, 5, 5)


@pytest.fixture(scope="module")
def samples() -> TokenSamples:
    """Tokens whose digits are those of the first neighbour, give or take one."""
    random = np.random.default_rng(0)
    levels = np.array(LEVELS)
    before = random.integers(0, levels, (4000, 6))
    digits = np.clip(before + random.integers(-1, 2, before.shape), 0, levels - 1)
    inputs = np.zeros((4000, input_count(6)), np.int16)
    inputs[:, :6] = 2 * before - (levels - 1)
    inputs[:, 6] = 8
    return TokenSamples(inputs, digits.astype(np.uint8))


def test_integers_come_back_from_a_net_that_was_taken() -> None:
    net = made_net()
    once = _RoundedNet.of(net).integers()
    for name in ("base", "base_bias"):
        assert np.array_equal(once.arrays()[name], net.arrays()[name])
    # What no digit uses is made 0 the first time.
    again = _RoundedNet.of(once).integers()
    for name, array in once.arrays().items():
        assert again.arrays()[name].dtype == array.dtype
        assert np.array_equal(again.arrays()[name], array), name


def test_going_on_is_ahead_of_beginning_anew(samples: TokenSamples) -> None:
    _, untrained = fit_token_net(samples, LEVELS, steps=20, batch=512)
    learned, bits = fit_token_net(samples, LEVELS, steps=200, batch=512)
    assert bits < untrained - 0.5
    _, onward = fit_token_net(samples, LEVELS, steps=20, batch=512, start=learned, seed=1)
    assert onward < untrained - 0.5
    assert onward < bits + 0.3
