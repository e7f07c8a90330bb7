"""The Triton kernels on a GPU, over every case of the table. `make test-gpu` runs these.

Without a GPU they fail: a run that was asked for on a GPU must not pass by skipping.
"""

from __future__ import annotations

import pytest
import torch

from infotok_kernels import select_backend, why_not_triton, window_attention
from infotok_kernels.backend import interpreted
from infotok_kernels.cases import ATTENTION, ERROR_MAP, FSQ, AttentionCase, ErrorMapCase, FsqCase
from kernel_checks import attention_inputs, check_attention, check_boundaries, check_error_map, check_fsq

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def _device(fresh_seed: int) -> None:
    if not torch.cuda.is_available():
        pytest.fail("these tests need a CUDA device, and torch finds none", pytrace=False)
    assert not interpreted(), "set TRITON_INTERPRET=0: these tests are about compiled kernels"
    assert why_not_triton("cuda") is None, why_not_triton("cuda")
    torch.manual_seed(fresh_seed)


@pytest.mark.parametrize("case", ATTENTION, ids=lambda case: case.name)
def test_attention(case: AttentionCase) -> None:
    check_attention(case, "cuda")


@pytest.mark.parametrize("case", FSQ, ids=lambda case: case.name)
def test_fsq(case: FsqCase) -> None:
    check_fsq(case, "cuda")


def test_fsq_boundaries() -> None:
    check_boundaries("cuda")


@pytest.mark.parametrize("case", ERROR_MAP, ids=lambda case: case.name)
def test_error_map(case: ErrorMapCase) -> None:
    check_error_map(case, "cuda")


def test_triton_is_chosen_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INFOTOK_KERNELS", raising=False)
    assert select_backend(None, "cuda") == "triton"


def test_the_same_call_gives_the_same_bits() -> None:
    case = next(case for case in ATTENTION if case.name == "256p-shifted")
    *inputs, options = attention_inputs(case, "cuda")
    upstream = torch.randn((*case.grid, case.heads, case.head_dim), device="cuda").to(case.dtype)

    def run() -> list[torch.Tensor]:
        out = window_attention(*inputs, backend="triton", **options)  # type: ignore[arg-type]
        return [out, *torch.autograd.grad(out, inputs, upstream)]

    for one, other in zip(run(), run(), strict=True):
        assert torch.equal(one, other)


def test_compiles_with_inductor() -> None:
    case = AttentionCase(name="compiled", grid=(1, 4, 9, 10), head_dim=64, dtype=torch.bfloat16)
    qkv, query_norm, key_norm, _ = attention_inputs(case, "cuda")

    def run(x: torch.Tensor) -> torch.Tensor:
        return window_attention(x, query_norm, key_norm, shift=4, backend="triton") * 2

    compiled = torch.compile(run, fullgraph=True, dynamic=False)
    torch.testing.assert_close(compiled(qkv), run(qkv))
    torch.testing.assert_close(
        torch.autograd.grad(compiled(qkv).sum(), qkv), torch.autograd.grad(run(qkv).sum(), qkv)
    )
