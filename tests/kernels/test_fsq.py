"""FSQ: exact ids, exact inverse, straight-through gradients."""

from __future__ import annotations

import math

import pytest
import torch

from infotok_kernels import codes_to_ids, fsq_encode, ids_to_codes, nearest_codes

LEVELS = (8, 8, 8, 5, 5, 5)


def test_every_id_survives_the_round_trip() -> None:
    ids = torch.arange(math.prod(LEVELS))
    codes = ids_to_codes(ids, LEVELS)
    assert codes.abs().max() == 1
    assert torch.equal(codes_to_ids(codes, LEVELS), ids)
    assert len(torch.unique(codes, dim=0)) == len(ids)


def test_first_channel_is_the_least_digit() -> None:
    lowest = -torch.ones(6)
    assert codes_to_ids(lowest, LEVELS) == 0
    step = lowest.clone()
    step[0] += 2 / 7
    assert codes_to_ids(step, LEVELS) == 1
    step = lowest.clone()
    step[3] += 2 / 4
    assert codes_to_ids(step, LEVELS) == 512


@pytest.mark.parametrize("scaled", [False, True], ids=["no-gain", "gain"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
def test_codes_are_the_nearest_levels(dtype: torch.dtype, scaled: bool, fresh_seed: int) -> None:
    torch.manual_seed(fresh_seed)
    hidden = torch.randn(3, 5, 16).to(dtype)
    weight, bias = torch.randn(6, 16) * 0.2, torch.randn(6) * 0.1
    gain = torch.randn(3, 5, 6).exp() if scaled else None
    codes, ids = fsq_encode(hidden, weight, bias, LEVELS, gain)
    values = hidden.double() @ weight.double().T + bias.double()
    values = (values if gain is None else values / gain.double()).clamp(-1, 1)
    for channel, level in enumerate(LEVELS):
        allowed = torch.linspace(-1, 1, level, dtype=torch.float64)
        distance = (values[..., channel, None] - allowed).abs()
        chosen = (values[..., channel] - codes[..., channel].double()).abs()
        assert (chosen <= distance.min(dim=-1).values + 1e-5).all()
    assert torch.equal(codes_to_ids(codes, LEVELS), ids)
    assert 0 <= int(ids.min()) <= int(ids.max()) < 64000


def test_nearest_codes_are_those_of_the_quantizer(fresh_seed: int) -> None:
    torch.manual_seed(fresh_seed)
    values = torch.rand(500, 6) * 2 - 1
    codes, ids = fsq_encode(values, torch.eye(6), torch.zeros(6), LEVELS)
    nearest = nearest_codes(values, LEVELS)
    assert torch.equal(nearest, codes)
    assert torch.equal(nearest, ids_to_codes(ids, LEVELS))
    assert torch.equal(nearest_codes(nearest, LEVELS), nearest)


def test_gradient_passes_straight_through_and_leads_back_inside() -> None:
    values = torch.tensor([[0.3, 2.0, -2.0, 2.0, -2.0, 0.0]], requires_grad=True)
    codes, _ = fsq_encode(values, torch.eye(6), torch.zeros(6), LEVELS)
    codes.backward(torch.tensor([[0.7, 1.0, 1.0, -1.0, -1.0, -0.5]]))
    assert values.grad is not None
    # Descent would push channels 2 and 3 further out: blocked. Channels 1 and 4 come back.
    assert values.grad.tolist() == [pytest.approx([0.7, 1.0, 0.0, 0.0, -1.0, -0.5])]


def test_a_gain_scales_gradients_and_has_one_of_its_own() -> None:
    """Whether a gradient leads back inside is judged by the scaled values, for the gain too."""
    values = torch.tensor([[0.3, 1.5, -4.0, 4.0, -1.5, 0.0]], requires_grad=True)
    gain = torch.tensor([[0.5, 2.0, 2.0, 2.0, 1.0, 3.0]], requires_grad=True)
    codes, _ = fsq_encode(values, torch.eye(6), torch.zeros(6), LEVELS, gain)
    codes.backward(torch.tensor([[0.7, -1.0, 1.0, 1.0, -1.0, -0.6]]))
    assert values.grad is not None
    assert gain.grad is not None
    assert values.grad.tolist() == [pytest.approx([1.4, -0.5, 0.0, 0.5, -1.0, -0.2])]
    assert gain.grad.tolist() == [pytest.approx([-0.84, 0.375, 0.0, -1.0, -1.5, 0.0])]


def test_a_gain_of_one_changes_nothing(fresh_seed: int) -> None:
    torch.manual_seed(fresh_seed)
    hidden, weight, bias = torch.randn(3, 5, 16), torch.randn(6, 16) * 0.2, torch.randn(6) * 0.1
    plain = fsq_encode(hidden, weight, bias, LEVELS)
    scaled = fsq_encode(hidden, weight, bias, LEVELS, torch.ones(3, 5, 6))
    assert all(torch.equal(one, other) for one, other in zip(plain, scaled, strict=True))


def test_gradients_of_the_reference(fresh_seed: int) -> None:
    """They are as if nothing were rounded, which is what straight-through means."""
    torch.manual_seed(fresh_seed)
    inputs = [torch.randn(*size).double().mul_(0.1).requires_grad_() for size in ((2, 3, 4), (6, 4), (6,))]
    codes, _ = fsq_encode(*inputs, LEVELS)
    upstream = torch.randn_like(codes)
    found = torch.autograd.grad(codes, inputs, upstream)
    plain = torch.autograd.grad(inputs[0] @ inputs[1].T + inputs[2], inputs, upstream)
    torch.testing.assert_close(found, plain)
    gain = (torch.rand(2, 3, 6).double() + 1).requires_grad_()
    codes, _ = fsq_encode(*inputs, LEVELS, gain)
    found = torch.autograd.grad(codes, (*inputs, gain), upstream)
    values = (inputs[0] @ inputs[1].T + inputs[2]) / gain
    torch.testing.assert_close(found, torch.autograd.grad(values, (*inputs, gain), upstream))


def test_refuses_shapes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="6 levels"):
        fsq_encode(torch.zeros(1, 4), torch.zeros(5, 4), torch.zeros(5), LEVELS)


@pytest.mark.parametrize(
    ("gain", "named"),
    [
        (torch.ones(6), r"gain has shape \(6,\), expected \(2, 3, 6\)"),
        (torch.ones(2, 3, 5), r"gain has shape \(2, 3, 5\)"),
        (torch.ones(2, 3, 1), r"gain has shape \(2, 3, 1\)"),
        (torch.ones(2, 3, 6, dtype=torch.int32), "gain is torch.int32, expected a float dtype"),
        (torch.ones(2, 3, 6, device="meta"), "tensors lie on cpu and meta"),
    ],
    ids=["vector", "channels", "broadcast", "integers", "device"],
)
def test_refuses_gains_that_do_not_fit(gain: torch.Tensor, named: str) -> None:
    hidden, weight, bias = torch.zeros(2, 3, 4), torch.zeros(6, 4), torch.zeros(6)
    with pytest.raises(ValueError, match=named):
        fsq_encode(hidden, weight, bias, LEVELS, gain)
