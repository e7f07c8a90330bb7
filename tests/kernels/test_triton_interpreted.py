"""The Triton kernels under Triton's interpreter, over the small cases of the table."""

from __future__ import annotations

import importlib

import pytest
import torch

pytest.importorskip("triton", reason="triton exists for Linux only")

from infotok_kernels import error_map, fsq_encode, window_attention
from infotok_kernels.backend import interpreted
from infotok_kernels.cases import ATTENTION, ERROR_MAP, FSQ, LEVELS, AttentionCase, ErrorMapCase, FsqCase
from kernel_checks import attention_inputs, check_attention, check_boundaries, check_error_map, check_fsq


@pytest.fixture(autouse=True)
def _interpreter(fresh_seed: int) -> None:
    assert interpreted(), "TRITON_INTERPRET must be 1 before triton is imported: see tests/conftest.py"
    torch.manual_seed(fresh_seed)


@pytest.mark.parametrize("case", [case for case in ATTENTION if case.small], ids=lambda case: case.name)
def test_attention(case: AttentionCase) -> None:
    check_attention(case, "cpu")


@pytest.mark.parametrize("case", [case for case in FSQ if case.small], ids=lambda case: case.name)
def test_fsq(case: FsqCase) -> None:
    check_fsq(case, "cpu")


def test_fsq_boundaries() -> None:
    check_boundaries("cpu")


@pytest.mark.parametrize("case", [case for case in ERROR_MAP if case.small], ids=lambda case: case.name)
def test_error_map(case: ErrorMapCase) -> None:
    check_error_map(case, "cpu")


@pytest.mark.parametrize("scaled", [False, True], ids=["no-gain", "gain"])
def test_autocast_changes_no_ids(scaled: bool) -> None:
    hidden, weight = torch.randn(7, 8), torch.randn(6, 8)
    gain = torch.rand(7, 6) + 0.5 if scaled else None
    outside = fsq_encode(hidden, weight, torch.zeros(6), LEVELS, gain, backend="triton")
    for backend in ("triton", "reference"):
        with torch.autocast("cpu", torch.bfloat16):
            inside = fsq_encode(hidden, weight, torch.zeros(6), LEVELS, gain, backend=backend)
        assert all(torch.equal(one, other) for one, other in zip(inside, outside, strict=True))


def test_views_and_half_precision_norms_are_taken() -> None:
    """A qkv that is no contiguous piece, and norm weights of another dtype."""
    case = AttentionCase(name="views", grid=(1, 1, 4, 5))
    qkv, query_norm, key_norm, _ = attention_inputs(case, "cpu")
    wide = torch.zeros(1, 1, 4, 5, 3, 1, 64)
    wide[..., ::2] = qkv.detach()
    norms = query_norm.detach().bfloat16(), key_norm.detach().bfloat16()
    found = window_attention(wide[..., ::2], *norms, backend="triton")
    wanted = window_attention(qkv.detach(), *(norm.float() for norm in norms), backend="reference")
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def test_nothing_to_do() -> None:
    empty = torch.zeros(0, 1, 4, 5, 3, 1, 32)
    assert window_attention(empty, torch.ones(32), torch.ones(32), backend="triton").shape == (
        0,
        1,
        4,
        5,
        1,
        32,
    )
    codes, ids = fsq_encode(torch.zeros(0, 8), torch.zeros(6, 8), torch.zeros(6), LEVELS, backend="triton")
    assert (codes.shape, ids.shape) == ((0, 6), (0,))
    assert error_map(torch.zeros(0, 4, 8, 8, 3), torch.zeros(0, 4, 8, 8, 3), backend="triton").shape == (
        0,
        1,
        1,
        1,
    )


def test_compiles_into_one_graph() -> None:
    """torch.compile sees the kernels as operators, forward and backward."""
    qkv, query_norm, key_norm, _ = attention_inputs(AttentionCase(name="compiled", grid=(1, 1, 4, 5)), "cpu")

    def run(x: torch.Tensor) -> torch.Tensor:
        return window_attention(x, query_norm, key_norm, shift=4, backend="triton") * 2

    compiled = torch.compile(run, backend="aot_eager", fullgraph=True, dynamic=False)
    out, wanted = compiled(qkv), run(qkv)
    assert torch.equal(out, wanted)
    inputs = (qkv, query_norm, key_norm)
    for one, other in zip(
        torch.autograd.grad(out.sum(), inputs), torch.autograd.grad(wanted.sum(), inputs), strict=True
    ):
        assert torch.equal(one, other)


def test_operators_keep_torch_s_rules() -> None:
    """Schemas, shapes under tracing, and gradients, as torch checks them."""
    for folder in ("window_attention", "fsq", "error_map"):
        importlib.import_module(f"infotok_kernels.{folder}.fused")
    qkv, query_norm, key_norm, _ = attention_inputs(AttentionCase(name="rules", grid=(1, 1, 4, 5)), "cpu")
    operators = torch.ops.infotok
    torch.library.opcheck(operators.window_attention, (qkv, query_norm, key_norm, 8, 4))
    hidden, weight = torch.randn(5, 8, requires_grad=True), torch.randn(6, 8, requires_grad=True)
    gain = (torch.rand(5, 6) + 0.5).requires_grad_()
    for given in (None, gain):
        torch.library.opcheck(operators.fsq_encode, (hidden, weight, torch.randn(6), given, LEVELS, True))
    pixels = torch.rand(2, 1, 4, 8, 9, 3)
    torch.library.opcheck(operators.error_map, (pixels[0], pixels[1], 4, 8, 8))


@pytest.mark.parametrize(
    ("dtype", "head_dim", "named"),
    [
        (torch.float64, 32, "float64"),
        (torch.float32, 16, "head size 16"),
        (torch.float32, 128, "head size 128"),
    ],
)
def test_attention_refuses_by_name(dtype: torch.dtype, head_dim: int, named: str) -> None:
    qkv = torch.zeros(1, 1, 1, 1, 3, 1, head_dim, dtype=dtype)
    with pytest.raises(ValueError, match=named):
        window_attention(qkv, torch.ones(head_dim), torch.ones(head_dim), backend="triton")


def test_fsq_and_error_map_refuse_by_name() -> None:
    with pytest.raises(ValueError, match="float64"):
        fsq_encode(torch.zeros(1, 4).double(), torch.zeros(6, 4), torch.zeros(6), LEVELS, backend="triton")
    gain = torch.ones(1, 6).double()
    with pytest.raises(ValueError, match="float64"):
        fsq_encode(torch.zeros(1, 4), torch.zeros(6, 4), torch.zeros(6), LEVELS, gain, backend="triton")
    with pytest.raises(ValueError, match="17 levels"):
        fsq_encode(torch.zeros(1, 4), torch.zeros(17, 4), torch.zeros(17), (2,) * 17, backend="triton")
    with pytest.raises(ValueError, match="int32"):
        error_map(torch.zeros(1, 1, 1, 1, 3).int(), torch.zeros(1, 1, 1, 1, 3).int(), backend="triton")
    with pytest.raises(ValueError, match="no gradient"):
        error_map(
            torch.zeros(1, 1, 1, 1, 3, requires_grad=True), torch.zeros(1, 1, 1, 1, 3), backend="triton"
        )
