"""Without gradients bfloat16 takes shorter ways; they must end where the wide ones do."""

from __future__ import annotations

import pytest
import torch

from infotok_cli.config import ModelConfig
from infotok_cli.model.layers import Block, RmsNorm
from infotok_kernels import window_attention

CONFIG = ModelConfig(name="lean", width=128, mlp_width=256)


def relative(one: torch.Tensor, other: torch.Tensor) -> float:
    """Root mean square of the difference over that of `other`."""
    return float(
        (one.double() - other.double()).square().mean().sqrt() / other.double().square().mean().sqrt()
    )


def test_norm(fresh_seed: int) -> None:
    torch.manual_seed(fresh_seed)
    norm = RmsNorm(128)
    with torch.no_grad():
        norm.weight.copy_(torch.rand(128) + 0.5)
    x = torch.randn(2, 3, 5, 128, dtype=torch.bfloat16) * torch.logspace(-3, 2, 5)[:, None].bfloat16()
    wide = norm(x)
    with torch.no_grad():
        lean = norm(x)
        assert relative(lean, norm(x.double())) < 6e-3
    assert lean.dtype == wide.dtype == torch.bfloat16
    assert relative(lean, wide) < 6e-3
    with torch.no_grad():
        assert torch.isfinite(norm(torch.zeros(1, 128, dtype=torch.bfloat16))).all()


@pytest.mark.parametrize("shift", [0, 4])
def test_window_attention(shift: int, fresh_seed: int) -> None:
    torch.manual_seed(fresh_seed)
    qkv = torch.randn(1, 3, 11, 9, 3, 2, 64).bfloat16()
    before = qkv.clone()
    norms = torch.rand(64) + 0.5, torch.rand(64) + 0.5
    wide = window_attention(qkv, *norms, shift=shift, backend="reference")
    with torch.no_grad():
        exact = window_attention(qkv.double(), *norms, shift=shift, backend="reference")
        lean = window_attention(qkv, *norms, shift=shift, backend="reference")
    assert lean.dtype == torch.bfloat16
    assert torch.equal(qkv, before)
    assert relative(lean, exact) < 2.5 * max(relative(wide, exact), 4e-3)


def test_block(fresh_seed: int) -> None:
    torch.manual_seed(fresh_seed)
    block = Block(CONFIG, shift=4)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    x = torch.randn(1, 2, 9, 10, 128)
    with torch.no_grad():
        exact = block(x)
        with torch.autocast("cpu", torch.bfloat16):
            lean = block(x.bfloat16())
    assert relative(lean, exact) < 0.01
