"""Fitting the token coder: it learns, and it can go on from one that has."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from infotok_cli.entropy.token_coding import to_digits
from infotok_cli.entropy.token_net import Waves, input_count
from infotok_cli.segment_tokens import Tokens
from infotok_cli.train.token_net import TokenSamples, _RoundedNet, _samples, fit_token_net
from made_motion import made_motion
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
    inputs[:, 0:12:2] = 2 * before - (levels - 1)
    inputs[:, 1:12:2] = np.abs(inputs[:, 0:12:2])
    inputs[:, 12] = 8
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


def test_bits_in_training_are_those_of_the_coder() -> None:
    keep = np.random.default_rng(1).random((4, 5, 7)) < 0.7
    ids = np.random.default_rng(2).integers(0, 64_000, int(keep.sum())).astype(np.uint16)
    tokens = Tokens(keep, made_motion(keep.shape, 3), ids)
    torch.manual_seed(4)
    model = _RoundedNet(LEVELS)
    with torch.no_grad():
        model.own.mul_(4)  # so that each input of a token tells
        model.out.mul_(4)
    net = model.integers()
    inputs, digits = (np.concatenate(parts) for parts in zip(*_samples(tokens, LEVELS), strict=True))
    trained = model(torch.from_numpy(inputs).float(), torch.from_numpy(digits).long())
    nats = 0.0
    whole = np.zeros((*keep.shape, len(LEVELS)), np.int32)
    whole[keep] = to_digits(ids, LEVELS)
    for wave in Waves(net, tokens.maps):
        mine = whole[wave.step][wave.where]
        for channel in range(len(LEVELS)):
            chances = wave.chances(channel)
            nats -= float(np.log(chances[np.arange(len(mine)), mine[:, channel]]).sum())
            wave.put(channel, mine[:, channel])
    # The coder rounds logits to sixteenths of a nat.
    assert nats / len(ids) == pytest.approx(float(trained.detach()), rel=0.003)


def test_going_on_is_ahead_of_beginning_anew(samples: TokenSamples) -> None:
    _, untrained = fit_token_net(samples, LEVELS, steps=20, batch=512)
    learned, bits = fit_token_net(samples, LEVELS, steps=200, batch=512)
    assert bits < untrained - 0.5
    _, onward = fit_token_net(samples, LEVELS, steps=20, batch=512, start=learned, seed=1)
    assert onward < untrained - 0.5
    assert onward < bits + 0.3
