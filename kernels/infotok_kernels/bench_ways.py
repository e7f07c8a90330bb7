"""What the benchmarks time: for each case, our kernels and torch's ways of doing the same work.

Every way starts from the tensors a model has (qkv as projected, hidden vectors, videos) and ends with
the tensors it needs, so permuted copies count. Ways that windows of several sizes make impossible are
left out for those cases.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from infotok_kernels.cases import AttentionCase, ErrorMapCase, FsqCase
from infotok_kernels.error_map import error_map
from infotok_kernels.fsq import fsq_encode
from infotok_kernels.window_attention import window_attention
from infotok_kernels.window_attention.reference import EPSILON, rope_table

Run = Callable[[], object]


@dataclass(frozen=True)
class Work:
    """One case of one operation, and the ways to do it."""

    operation: str
    case: str
    bytes: int
    """The fewest that must be moved."""
    operations: int
    """Floating-point operations of the matrix products."""
    ways: dict[str, Run]


def attention_inputs(
    case: AttentionCase, device: str = "cuda"
) -> tuple[tuple[Tensor, Tensor, Tensor], dict[str, Any]]:
    """qkv and norm weights that want gradients, and the options of the call."""
    qkv = torch.randn((*case.grid, 3, case.heads, case.head_dim), device=device).to(case.dtype)
    norms = [torch.rand(case.head_dim, device=device) + 0.5 for _ in range(2)]
    options: dict[str, Any] = {"window": case.window, "shift": case.shift}
    return (qkv.requires_grad_(), norms[0].requires_grad_(), norms[1].requires_grad_()), options


def window_numbers(case: AttentionCase, device: str) -> tuple[Tensor, Tensor]:
    """Window of each position `[T * H * W]`, and its place (t, y, x) in it `[T * H * W, 3]`."""
    _, steps, height, width = case.grid

    def axis(length: int) -> tuple[Tensor, Tensor]:
        moved = torch.arange(length, device=device) + -case.shift % case.window
        return moved // case.window, moved % case.window

    (wy, y), (wx, x) = axis(height), axis(width)
    number = wy[:, None] * (int(wx.max()) + 1) + wx[None, :]
    places = torch.stack(
        [
            torch.arange(steps, device=device)[:, None, None].expand(steps, height, width),
            y[None, :, None].expand(steps, height, width),
            x[None, None, :].expand(steps, height, width),
        ],
        dim=-1,
    )
    return number.expand(steps, height, width).reshape(-1), places.reshape(-1, 3)


def pairs(case: AttentionCase, device: str = "cuda") -> int:
    """Pairs of a query and a key over all windows, per head."""
    number, _ = window_numbers(case, device)
    return case.grid[0] * int(number.bincount().square().sum())


def attention_work(case: AttentionCase) -> Iterator[Work]:
    """Forward, and backward alone."""
    inputs, options = attention_inputs(case)
    # One of q, k, v, out or their gradients.
    part = inputs[0].numel() // 3 * inputs[0].element_size()
    dot = 2 * case.head_dim * case.heads * pairs(case)
    ways = attention_ways(case, options)
    yield Work(
        "attention forward", case.name, 4 * part, 2 * dot,
        {name: _quietly(way, inputs) for name, way in ways.items()},
    )  # fmt: skip
    upstream = torch.randn((*case.grid, case.heads, case.head_dim), device="cuda").to(case.dtype)
    # qkv, out and its gradient are read, three gradients written; five products, one of them again.
    yield Work(
        "attention backward", case.name, 8 * part, 5 * dot,
        {name: _backward(way, inputs, upstream) for name, way in ways.items()},
    )  # fmt: skip


def _quietly(way: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> Run:
    def run() -> Tensor:
        with torch.no_grad():
            return way(*inputs)

    return run


def _backward(way: Callable[..., Tensor], inputs: tuple[Tensor, ...], upstream: Tensor) -> Run:
    """The backward pass alone; the forward runs at the first call."""
    kept: list[Tensor] = []

    def run() -> object:
        if not kept:
            kept.append(way(*inputs))
        return torch.autograd.grad(kept[0], inputs, upstream, retain_graph=True)

    return run


def attention_ways(
    case: AttentionCase, options: dict[str, Any], device: str = "cuda", compiled: bool = True
) -> dict[str, Callable[..., Tensor]]:
    """Our kernel, the reference eager and compiled, and the best arrangements around torch's kernels."""

    def faster(way: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return torch.compile(way, dynamic=False) if compiled else way

    def reference(qkv: Tensor, query_norm: Tensor, key_norm: Tensor) -> Tensor:
        return window_attention(qkv, query_norm, key_norm, backend="reference", **options)

    def ours(qkv: Tensor, query_norm: Tensor, key_norm: Tensor) -> Tensor:
        return window_attention(qkv, query_norm, key_norm, backend="triton", **options)

    return {
        "triton": ours,
        "eager": reference,
        "compiled": faster(reference),
        "sdpa padded": faster(_padded(case, device)),
        "flex by window": faster(_flex(case, device)),
    }


def _prepare(x: Tensor, norm: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Norm and rotation of `[..., P, heads, D]` with tables `[P, D / 2]`."""
    wide = x.float()
    wide = wide * torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + EPSILON) * norm
    first, second = wide.chunk(2, dim=-1)
    c, s = cosine[:, None], sine[:, None]
    return torch.cat((first * c - second * s, second * c + first * s), dim=-1).to(x.dtype)


def _tables(case: AttentionCase, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Window numbers, and cosine and sine of each position `[T * H * W, D / 2]`."""
    number, places = window_numbers(case, device)
    steps = case.grid[1]
    cosine, sine = rope_table(steps, case.window, case.window, case.head_dim, device)
    row = (places[:, 0] * case.window + places[:, 1]) * case.window + places[:, 2]
    return number, cosine[row], sine[row]


def _padded(case: AttentionCase, device: str) -> Callable[..., Tensor]:
    """All windows padded to whole ones, one call of SDPA with a mask where padding is."""
    batch, steps, height, width = case.grid
    window = case.window
    _, cosine, sine = _tables(case, device)
    before = -case.shift % window
    rows, columns = (-(-(before + n) // window) * window for n in (height, width))
    pad = (0, 0, 0, 0, before, columns - width - before, before, rows - height - before)
    grid = (steps, rows // window, window, columns // window, window)
    order = (0, 2, 4, 6, 1, 3, 5, 7)
    back = (0, 4, 1, 5, 2, 6, 3, 7)
    inside = F.pad(torch.ones((1, steps, height, width, 1, 1), device=device), pad)
    inside = inside.reshape(1, *grid, 1, 1).permute(order)
    windows = inside.shape[1] * inside.shape[2]
    real = inside.reshape(1, windows, 1, -1) > 0
    mask = None if bool(real.all()) else real.expand(batch, -1, -1, -1).reshape(batch * windows, 1, 1, -1)

    def windowed(x: Tensor) -> Tensor:
        x = F.pad(x.reshape(batch, steps, height, width, case.heads, case.head_dim), pad)
        x = x.reshape(batch, *grid, case.heads, case.head_dim).permute(order)
        return x.reshape(batch * windows, case.heads, -1, case.head_dim)

    def run(qkv: Tensor, query_norm: Tensor, key_norm: Tensor) -> Tensor:
        query, key, value = qkv.flatten(1, 3).unbind(dim=2)
        query, key = _prepare(query, query_norm, cosine, sine), _prepare(key, key_norm, cosine, sine)
        out = F.scaled_dot_product_attention(windowed(query), windowed(key), windowed(value), attn_mask=mask)
        out = out.reshape(batch, *inside.shape[1:3], case.heads, *inside.shape[4:7], case.head_dim)
        out = out.permute(back)
        out = out.reshape(batch, steps, rows, columns, case.heads, case.head_dim)
        return out[:, :, before : before + height, before : before + width]

    return run


def _flex(case: AttentionCase, device: str) -> Callable[..., Tensor]:
    """Positions sorted by window, so that FlexAttention's blocks are nearly diagonal."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    number, cosine, sine = _tables(case, device)
    order = number.argsort(stable=True)
    back = order.argsort()
    number, cosine, sine = number[order], cosine[order], sine[order]

    def same_window(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return number[query] == number[key]

    blocks = create_block_mask(same_window, None, None, len(order), len(order), device=device)

    def run(qkv: Tensor, query_norm: Tensor, key_norm: Tensor) -> Tensor:
        query, key, value = qkv.flatten(1, 3)[:, order].unbind(dim=2)
        query, key = _prepare(query, query_norm, cosine, sine), _prepare(key, key_norm, cosine, sine)
        query, key, value = (x.transpose(1, 2) for x in (query, key, value))
        out = flex_attention(query, key, value, block_mask=blocks)
        return out.transpose(1, 2)[:, back].reshape(*case.grid, case.heads, case.head_dim)

    return run


def sweep_ways(case: AttentionCase) -> Iterator[tuple[str, Run]]:
    """The attention kernels with other tile sizes, forward and backward."""
    from infotok_kernels.window_attention.fused import Blocks, backward, forward

    wanting, options = attention_inputs(case)
    qkv, query_norm, key_norm = (x.detach() for x in wanting)
    saved = forward(qkv, query_norm, key_norm, **options)
    upstream = torch.randn_like(saved[0])
    for queries, keys, warps, stages in itertools.product((64, 128), (32, 64, 128), (4, 8), (2, 3, 4)):
        blocks = Blocks(queries, keys, warps, stages)
        yield f"forward  {blocks}", partial(forward, qkv, query_norm, key_norm, **options, blocks=blocks)
    for queries, keys, warps, stages in itertools.product((32, 64, 128), (32, 64, 128), (4, 8), (1, 2, 3)):
        blocks = Blocks(queries, keys, warps, stages)
        given = (upstream, qkv, query_norm, key_norm, *saved)
        yield f"backward {blocks}", partial(backward, *given, **options, blocks=blocks)


def fsq_work(case: FsqCase) -> Iterator[Work]:
    """Encode, forward."""
    channels = len(case.levels)
    hidden = torch.randn((case.rows, case.width), device="cuda").to(case.dtype)
    weight = torch.randn((channels, case.width), device="cuda") * case.width**-0.5
    bias = torch.randn(channels, device="cuda") * 0.1
    gain = None
    if case.gain is not None:
        gain = (torch.rand((case.rows, channels), device="cuda") + 0.5).to(case.gain)

    def encode(backend: Any) -> Run:
        return lambda: fsq_encode(hidden, weight, bias, case.levels, gain, backend=backend)

    operations = 2 * case.rows * case.width * channels
    vectors = hidden.numel() * hidden.element_size()
    if gain is not None:
        vectors += gain.numel() * gain.element_size()
    moved = vectors + case.rows * (4 * channels + 8)
    ways = {
        "triton": encode("triton"),
        "eager": encode("reference"),
        "compiled": torch.compile(encode("reference"), dynamic=False),
    }
    yield Work("fsq encode", case.name, moved, operations, {key: _no_grad(way) for key, way in ways.items()})


def error_map_work(case: ErrorMapCase) -> Iterator[Work]:
    """One pass over two videos."""
    one, other = (torch.rand((*case.video, 3), device="cuda").to(case.dtype) for _ in range(2))

    def run(backend: Any) -> Run:
        return lambda: error_map(one, other, case.patch, backend=backend)

    ways = {
        "triton": run("triton"),
        "eager": run("reference"),
        "compiled": torch.compile(run("reference"), dynamic=False),
    }
    moved = 2 * one.numel() * one.element_size() + one.numel() // 192 // case.patch[0] * 4
    yield Work("error map", case.name, moved, 0, {key: _no_grad(way) for key, way in ways.items()})


def _no_grad(run: Run) -> Run:
    def quiet() -> object:
        with torch.no_grad():
            return run()

    return quiet
