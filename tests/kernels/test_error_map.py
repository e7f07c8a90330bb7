"""The error map against a loop over positions, edges included."""

from __future__ import annotations

import pytest
import torch

from infotok_kernels import error_map


@pytest.mark.parametrize(
    "shape", [(1, 4, 8, 8), (2, 5, 7, 9), (1, 1, 1, 1), (1, 12, 17, 24)], ids=lambda s: "x".join(map(str, s))
)
def test_agrees_with_a_loop(shape: tuple[int, int, int, int], fresh_seed: int) -> None:
    torch.manual_seed(fresh_seed)
    one, other = torch.rand(*shape, 3), torch.rand(*shape, 3)
    result = error_map(one, other)
    t, h, w = (-(-n // side) for n, side in zip(shape[1:], (4, 8, 8), strict=True))
    assert result.shape == (shape[0], t, h, w)
    for step in range(t):
        for row in range(h):
            for column in range(w):
                cell = (
                    slice(None),
                    slice(4 * step, 4 * step + 4),
                    slice(8 * row, 8 * row + 8),
                    slice(8 * column, 8 * column + 8),
                )
                wanted = (one[cell] - other[cell]).abs().double().flatten(1)
                mean = wanted.mean(dim=1)
                torch.testing.assert_close(result[:, step, row, column].double(), mean, atol=1e-6, rtol=1e-5)


def test_half_precision_is_summed_in_single() -> None:
    one = torch.full((1, 4, 8, 8, 3), 0.5, dtype=torch.bfloat16)
    assert float(error_map(one, torch.zeros_like(one))) == 0.5


def test_gradients_of_the_reference(fresh_seed: int) -> None:
    torch.manual_seed(fresh_seed)
    one = torch.rand(1, 3, 5, 9, 3, dtype=torch.float64)
    # No difference near zero, where its magnitude has no derivative.
    other = one + (0.1 + torch.rand_like(one)) * torch.where(torch.rand_like(one) < 0.5, -1, 1)
    inputs = (one.requires_grad_(), other.detach().requires_grad_())
    assert torch.autograd.gradcheck(error_map, inputs, eps=1e-6, atol=1e-6)


def test_refuses_different_shapes() -> None:
    with pytest.raises(ValueError, match="differ"):
        error_map(torch.zeros(1, 4, 8, 8, 3), torch.zeros(1, 4, 8, 9, 3))
