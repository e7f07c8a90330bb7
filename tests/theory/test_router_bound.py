"""docs/THEORY.md, section 3: what the ELBO bounds, and how it hangs together with the error."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

Vector = NDArray[np.float64]

VALUES, TOKENS, SCALE = 16, 4, 1.5

CENTRES = np.array([1.0, 5.0, 9.0, 13.0])


def likelihood() -> NDArray[np.float64]:
    """p(x | z) `[TOKENS, VALUES]`: a Laplace of SCALE around each centre, over the values, summing to 1."""
    table = np.exp(-abs(np.arange(VALUES) - CENTRES[:, None]) / SCALE)
    normal: NDArray[np.float64] = table / table.sum(axis=1, keepdims=True)
    return normal


def bits(table: Vector) -> Vector:
    return -np.log2(table)


PRIOR = 1 / TOKENS
MODEL = (PRIOR * likelihood()).sum(axis=0)
NEAREST = abs(np.arange(VALUES) - CENTRES[:, None]).argmin(axis=0)
NEGATIVE_ELBO = bits(PRIOR * likelihood()[NEAREST, np.arange(VALUES)])
"""Tokens plus residual of a tokenizer that takes the nearest centre, in bits."""


def test_elbo_bounds_the_models_code_length_and_the_gap_is_the_posteriors() -> None:
    posterior = PRIOR * likelihood() / MODEL
    gap = bits(posterior[NEAREST, np.arange(VALUES)])
    assert (bits(MODEL) <= NEGATIVE_ELBO).all()
    np.testing.assert_allclose(NEGATIVE_ELBO, bits(MODEL) + gap)
    assert gap.max() > 5 * gap.min()


def test_lengths_from_the_elbo_make_a_lossless_code_of_known_excess(fresh_seed: int) -> None:
    lengths = np.ceil(NEGATIVE_ELBO)
    assert (2.0**-lengths).sum() <= 1
    source = np.random.default_rng(fresh_seed).dirichlet(np.ones(VALUES))
    entropy = float(source @ bits(source))
    excess = float(source @ (bits(MODEL) - bits(source))) + float(source @ (NEGATIVE_ELBO - bits(MODEL)))
    assert entropy <= source @ lengths <= entropy + excess + 1


def test_negative_elbo_is_affine_in_the_error_with_an_intercept() -> None:
    """Laplace densities: tokens + d log2(2b) + d err / (b ln 2), for any picture."""
    random = np.random.default_rng(0)
    size, scale, tokens, codes = 1000, 0.05, 16, 64000
    errors, costs = [], []
    for spread in (0.01, 0.05, 0.2):
        difference = random.laplace(0, spread, size)
        density = np.exp(-abs(difference) / scale) / (2 * scale)
        errors.append(float(abs(difference).mean()))
        costs.append(tokens * math.log2(codes) + float(bits(density).sum()))
    slope = size / (scale * math.log(2))
    intercept = tokens * math.log2(codes) + size * math.log2(2 * scale)
    np.testing.assert_allclose(costs, intercept + slope * np.array(errors))
    assert intercept < 0
    # So twice the error is not twice the code length, whichever way the intercept goes.
    assert (intercept + slope * 0.2) / (intercept + slope * 0.1) != pytest.approx(2, rel=0.1)


def test_equal_errors_do_not_mean_equal_code_lengths(page: str) -> None:
    """A value in the middle of the range and one at its end, both one step from their centre."""
    inside, outside = 4, 0
    error = abs(np.arange(VALUES) - CENTRES[NEAREST])
    assert error[inside] == error[outside] == 1
    difference = abs(float(bits(MODEL)[inside] - bits(MODEL)[outside]))
    assert round(difference, 2) == 0.13
    assert f"two values with error 1 differ by {difference:.2f} bits." in page


def test_the_error_part_is_the_residuals_cost_not_the_tokens() -> None:
    residual = bits(likelihood()[NEAREST, np.arange(VALUES)])
    np.testing.assert_allclose(NEGATIVE_ELBO - residual, math.log2(TOKENS))
