"""The made-up footage that docs/FINETUNING.md measures on."""

from __future__ import annotations

import numpy as np

from make_screencasts import HEIGHT, RATE, SECONDS, WIDTH, modules_of, screencast


def test_measured_text_is_none_that_was_learned() -> None:
    learned, measured = modules_of(0), modules_of(1)
    assert len(learned) > 2 * len(measured) > 20
    assert not set(learned) & set(measured)


def test_the_same_seed_makes_the_same_recording() -> None:
    source = modules_of(1)[0]
    pictures = screencast(source, np.random.default_rng(3))
    assert pictures.shape == (RATE * SECONDS, HEIGHT, WIDTH, 3)
    assert np.array_equal(pictures, screencast(source, np.random.default_rng(3)))
    assert not np.array_equal(pictures, screencast(source, np.random.default_rng(4)))


def test_recordings_rest_at_both_ends_and_move_between() -> None:
    for seed in range(4):
        pictures = screencast(modules_of(0)[seed], np.random.default_rng(seed)).astype(np.int16)
        assert pictures.std() > 5, "there is text to see"
        assert np.abs(np.diff(pictures[RATE:-RATE], axis=0)).max() > 0
