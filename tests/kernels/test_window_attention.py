"""Window attention against a plain per-window loop in double precision."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from infotok_kernels import window_attention
from infotok_kernels.window_attention.reference import rope_table
from infotok_kernels.window_attention.windows import window_count, window_runs


def spelled_out(qkv: Tensor, query_norm: Tensor, key_norm: Tensor, window: int, shift: int) -> Tensor:
    """The definition: one softmax per window and head, in float64."""
    qkv = qkv.double()
    batch, steps, height, width, _, heads, size = qkv.shape
    out = torch.zeros(batch, steps, height, width, heads, size, dtype=torch.float64)

    row_window = [(y - shift) // window for y in range(height)]
    column_window = [(x - shift) // window for x in range(width)]
    for wy in sorted(set(row_window)):
        for wx in sorted(set(column_window)):
            ys = [y for y in range(height) if row_window[y] == wy]
            xs = [x for x in range(width) if column_window[x] == wx]
            part = qkv[:, :, ys][:, :, :, xs]
            flat = part.reshape(batch, -1, 3, heads, size).permute(2, 0, 3, 1, 4)
            cosine, sine = (table.double() for table in rope_table(steps, len(ys), len(xs), size, "cpu"))
            turned = []
            for x, weight in ((flat[0], query_norm), (flat[1], key_norm)):
                normal = x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * weight.double()
                a, b = normal.chunk(2, dim=-1)
                turned.append(torch.cat((a * cosine - b * sine, b * cosine + a * sine), dim=-1))
            scores = turned[0] @ turned[1].transpose(-1, -2) / size**0.5
            mixed = scores.softmax(-1) @ flat[2]
            mixed = mixed.permute(0, 2, 1, 3).reshape(batch, steps, len(ys), len(xs), heads, size)
            for i, y in enumerate(ys):
                out[:, :, y, xs] = mixed[:, :, i]
    return out


SHAPES = [
    pytest.param((1, 1, 1, 1), 8, 0, id="one-position"),
    pytest.param((2, 4, 8, 8), 8, 0, id="one-window"),
    pytest.param((1, 2, 8, 8), 8, 4, id="one-window-shifted"),
    pytest.param((1, 3, 9, 17), 8, 0, id="ragged"),
    pytest.param((2, 1, 13, 5), 8, 4, id="ragged-shifted"),
    pytest.param((1, 2, 3, 20), 8, 4, id="narrower-than-shift"),
    pytest.param((1, 8, 7, 7), 4, 3, id="small-windows"),
]


@pytest.mark.parametrize(("shape", "window", "shift"), SHAPES)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.bfloat16, 4e-2), (torch.float64, 1e-6)], ids=str
)
def test_agrees_with_the_definition(
    shape: tuple[int, ...], window: int, shift: int, dtype: torch.dtype, tolerance: float, fresh_seed: int
) -> None:
    torch.manual_seed(fresh_seed)
    qkv = torch.randn(*shape, 3, 2, 16, dtype=dtype)
    query_norm, key_norm = torch.rand(16) + 0.5, torch.rand(16) + 0.5
    out = window_attention(qkv, query_norm, key_norm, window=window, shift=shift)
    assert out.dtype == dtype
    wanted = spelled_out(qkv, query_norm, key_norm, window, shift)
    torch.testing.assert_close(out.double(), wanted, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("shift", [0, 1])
def test_gradients_are_those_of_the_definition(shift: int, fresh_seed: int) -> None:
    torch.manual_seed(fresh_seed)
    qkv = torch.randn(1, 2, 2, 3, 3, 1, 8, dtype=torch.float64, requires_grad=True)
    norms = [(torch.rand(8, dtype=torch.float64) + 0.5).requires_grad_() for _ in range(2)]

    def attend(x: Tensor, query_norm: Tensor, key_norm: Tensor) -> Tensor:
        return window_attention(x, query_norm, key_norm, window=2, shift=shift)

    assert torch.autograd.gradcheck(attend, (qkv, *norms), eps=1e-6, atol=1e-4)


@pytest.mark.parametrize("length", [1, 3, 4, 8, 9, 16, 57])
@pytest.mark.parametrize("shift", [0, 1, 4, 7])
def test_runs_cover_the_axis_once(length: int, shift: int) -> None:
    covered, windows = [], 0
    for start, count, size in window_runs(length, 8, shift):
        assert size <= 8
        covered += list(range(start, start + count * size))
        windows += count
    assert covered == list(range(length))
    assert windows == window_count(length, 8, shift)


def test_positions_in_other_windows_do_not_matter(fresh_seed: int) -> None:
    torch.manual_seed(fresh_seed)
    qkv = torch.randn(1, 2, 8, 16, 3, 2, 16)
    ones = torch.ones(16)
    before = window_attention(qkv, ones, ones)
    qkv[:, :, :, 8:] = torch.randn(1, 2, 8, 8, 3, 2, 16)
    after = window_attention(qkv, ones, ones)
    assert torch.equal(before[:, :, :, :8], after[:, :, :, :8])
    assert not torch.equal(before[:, :, :, 8:], after[:, :, :, 8:])


@pytest.mark.parametrize(
    ("shape", "options", "named"),
    [
        ((1, 2, 8, 8, 2, 2, 16), {}, "shape"),
        ((1, 2, 8, 8, 3, 2, 12), {}, "head size 12"),
        ((1, 2, 8, 8, 3, 2, 16), {"shift": 8}, "shift 8"),
        ((1, 2, 8, 8, 3, 2, 16), {"row_shift": 12}, "shift 12"),
        ((1, 2, 8, 8, 3, 2, 16), {"backend": "cuda"}, "'cuda' is unknown"),
    ],
)
def test_refuses_by_name(shape: tuple[int, ...], options: dict[str, Any], named: str) -> None:
    ones = torch.ones(shape[-1])
    with pytest.raises(ValueError, match=named):
        window_attention(torch.zeros(shape), ones, ones, **options)


def test_refuses_norms_and_integers_by_name() -> None:
    qkv = torch.zeros(1, 1, 1, 1, 3, 1, 16)
    with pytest.raises(ValueError, match=r"key_norm has shape \(8,\)"):
        window_attention(qkv, torch.ones(16), torch.ones(8))
    with pytest.raises(ValueError, match="int32"):
        window_attention(qkv.int(), torch.ones(16), torch.ones(16))
