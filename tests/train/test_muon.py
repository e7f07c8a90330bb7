"""Our Muon: orthogonal steps of the right length and direction, as torch's own takes them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from infotok_cli.config import ModelConfig
from infotok_cli.model.tokenizer import Tokenizer
from infotok_cli.train.muon import COEFFICIENTS, ITERATIONS, Muon, orthogonalized
from infotok_cli.train.optimizing import make_optimizers

SHAPES = [(96, 32), (32, 96), (64, 64), (48, 1), (1, 48)]

PRECISIONS = {torch.float32: 1e-3, torch.bfloat16: 0.05}
"""Relative error that each may have."""


def relative(found: Tensor, wanted: Tensor) -> float:
    """Root mean square of the difference over that of `wanted`."""
    return float((found.double() - wanted.double()).norm() / wanted.double().norm())


def by_plain_iteration(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Newton-Schulz on the matrix itself, as it is published."""
    a, b, c = COEFFICIENTS
    x = matrix / np.linalg.norm(matrix)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
def test_rows_or_columns_become_nearly_orthonormal(
    shape: tuple[int, int], dtype: torch.dtype, fresh_seed: int
) -> None:
    """Each singular value ends between 0.6 and 1.3, whatever it was, on the axes that it had."""
    torch.manual_seed(fresh_seed)
    short = min(shape)
    left = torch.linalg.qr(torch.randn(3, shape[0], short))[0]
    right = torch.linalg.qr(torch.randn(3, shape[1], short))[0]
    sizes = torch.linspace(0.1, 1, short)
    for scale in (1e-4, 1.0, 1e3):
        found = orthogonalized((scale * (left * sizes) @ right.mT).to(dtype)).float()
        assert found.shape == (3, *shape)
        singular = torch.linalg.svdvals(found)
        assert 0.6 < float(singular.min()) <= float(singular.max()) < 1.3
        on_axes = left.mT @ found @ right
        diagonal = torch.diag_embed(on_axes.diagonal(dim1=1, dim2=2))
        assert (on_axes.diagonal(dim1=1, dim2=2) > 0.6).all()
        assert float((on_axes - diagonal).abs().max()) < (0.01 if dtype == torch.float32 else 0.1)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
def test_each_matrix_of_a_stack_is_what_the_published_iteration_gives(
    shape: tuple[int, int], dtype: torch.dtype, fresh_seed: int
) -> None:
    torch.manual_seed(fresh_seed)
    matrices = torch.randn(3, *shape) * torch.tensor([0.01, 1.0, 30.0])[:, None, None]
    found = orthogonalized(matrices.to(dtype))
    assert found.dtype == dtype
    for each, matrix in zip(found, matrices.to(dtype).double().numpy(), strict=True):
        assert relative(each, torch.from_numpy(by_plain_iteration(matrix))) < PRECISIONS[dtype]


def test_a_gradient_of_zero_moves_nothing() -> None:
    assert not orthogonalized(torch.zeros(2, 5, 3)).any()


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
def test_steps_are_those_of_torch(dtype: torch.dtype, fresh_seed: int) -> None:
    """Weights so large that forgetting to decay them would show, and gradients of very unlike sizes."""
    torch.manual_seed(fresh_seed)
    shapes = [(96, 32), (32, 96), (64, 64), (96, 32), (32, 96)]
    starts = [10 * torch.randn(shape) for shape in shapes]
    ours, theirs = ([start.clone().requires_grad_() for start in starts] for _ in range(2))
    mine = Muon(ours, 0.02, 0.02, dtype)
    torchs = torch.optim.Muon(
        theirs, lr=0.02, weight_decay=0.02, momentum=0.95, nesterov=True, adjust_lr_fn="match_rms_adamw"
    )
    before = starts
    for step in range(6):
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            if (step, number) == (3, 3):
                one.grad = other.grad = None  # a matrix that a step does not reach
                continue
            one.grad = 10.0 ** (number - 2) * (torch.randn_like(one) + 0.5)
            other.grad = one.grad.clone()
        for optimizer in (mine, torchs):
            for group in optimizer.param_groups:
                group["lr"] = 0.02 * (1 - step / 10)
            optimizer.step()
        after = [matrix.detach().clone() for matrix in ours]
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            # The decay alone is a third of a step's length or more; theirs is always in bfloat16.
            moved, wanted = after[number] - before[number], other.detach() - starts[number]
            if (step, number) == (3, 3):
                assert not moved.any()
            assert relative(one.detach() - starts[number], wanted) < 0.05
        before = after


def test_weights_decay_by_the_learning_rate() -> None:
    matrix = torch.full((4, 6), 3.0).requires_grad_()
    matrix.grad = torch.zeros(4, 6)
    Muon([matrix], 0.5, 0.02, torch.float32).step()
    torch.testing.assert_close(matrix.detach(), torch.full((4, 6), 3.0 * (1 - 0.5 * 0.02)))


def test_momentum_survives_a_checkpoint() -> None:
    def made() -> tuple[Tensor, Muon]:
        torch.manual_seed(0)
        matrix = torch.randn(8, 6).requires_grad_()
        return matrix, Muon([matrix], 0.1, 0.02, torch.float32)

    gradients = [torch.randn(8, 6) for _ in range(4)]
    through, optimizer = made()
    for gradient in gradients:
        through.grad = gradient.clone()
        optimizer.step()
    stopped, first = made()
    for gradient in gradients[:2]:
        stopped.grad = gradient.clone()
        first.step()
    again = Muon([stopped], 0.1, 0.02, torch.float32)
    again.load_state_dict(first.state_dict())
    for gradient in gradients[2:]:
        stopped.grad = gradient.clone()
        again.step()
    torch.testing.assert_close(stopped, through, rtol=0, atol=0)


@pytest.mark.parametrize("half", [False, True])
def test_matrices_of_all_blocks_go_to_muon_and_the_rest_to_adam(half: bool) -> None:
    config = ModelConfig(
        name="tiny", width=64, head_width=32, compressor_blocks=2, decoder_blocks=1, mlp_width=64
    )
    model = Tokenizer(config)
    muon, adam = make_optimizers(model, 1e-3, half=half)
    assert isinstance(muon, Muon)
    assert isinstance(adam, torch.optim.AdamW)
    matrices = {id(parameter) for block in model.blocks() for parameter in block.parameters()}
    matrices = {id(p) for p in model.parameters() if id(p) in matrices and p.dim() == 2}
    assert len(matrices) == 4 * (1 + 2 + 1)
    owned = [{id(p) for group in o.param_groups for p in group["params"]} for o in (muon, adam)]
    assert owned[0] == matrices
    assert owned[1] == {id(p) for p in model.parameters()} - matrices
    assert {group["lr"] for group in muon.param_groups} == {1e-3}
    assert {group["weight_decay"] for group in muon.param_groups} == {0.02}
    for group in (*muon.param_groups, *adam.param_groups):
        assert group["base_lr"] == group["lr"]
    seen: list[torch.dtype] = []

    def spied(stack: Tensor) -> Tensor:
        seen.append(stack.dtype)
        return orthogonalized(stack)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("infotok_cli.train.muon.orthogonalized", spied)
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter)
        muon.step()
    assert set(seen) == {torch.bfloat16 if half else torch.float32}
