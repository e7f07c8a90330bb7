"""Checks of the Triton kernels against their references in float64, for any device.

The interpreter's tests and the GPU's tests run the same functions over the same cases.
"""

from __future__ import annotations

import torch
from torch import Tensor

from infotok_kernels import error_map, fsq_encode, ids_to_codes, window_attention
from infotok_kernels.backend import Backend
from infotok_kernels.cases import (
    ERROR_MAP_TOLERANCE,
    FSQ_TOLERANCES,
    TOLERANCES,
    AttentionCase,
    ErrorMapCase,
    FsqCase,
)
from infotok_kernels.fsq import ENCODE_EPSILON


def relative_error(result: Tensor, wanted: Tensor) -> float:
    """||result - wanted|| / ||wanted||; NaN counts as infinite."""
    difference = (result.detach().double() - wanted.double()).norm() / wanted.double().norm().clamp_min(1e-30)
    return float(difference.nan_to_num(torch.inf))


def attention_inputs(case: AttentionCase, device: str) -> tuple[Tensor, Tensor, Tensor, dict[str, object]]:
    """Random qkv, query_norm and key_norm that want gradients, and the options of the call."""
    qkv = torch.randn((*case.grid, 3, case.heads, case.head_dim), device=device).to(case.dtype)
    norms = torch.rand((2, case.head_dim), device=device) + 0.5
    options: dict[str, object] = {"window": case.window, "shift": case.shift}
    return qkv.requires_grad_(), norms[0].clone().requires_grad_(), norms[1].clone().requires_grad_(), options


def check_attention(case: AttentionCase, device: str) -> None:
    """Forward, and the gradients of all three inputs."""
    *inputs, options = attention_inputs(case, device)
    wide = [tensor.detach().double().requires_grad_() for tensor in inputs]
    out = window_attention(*inputs, backend="triton", **options)  # type: ignore[arg-type]
    wanted = window_attention(*wide, backend="reference", **options)  # type: ignore[arg-type]
    assert out.dtype == case.dtype
    allowed = TOLERANCES[case.dtype]
    assert relative_error(out, wanted.detach()) < allowed.forward
    upstream = torch.randn(out.shape, device=device).to(case.dtype)
    found = torch.autograd.grad(out, inputs, upstream)
    gradients = torch.autograd.grad(wanted, wide, upstream.double())
    for name, one, other in zip(("qkv", "query_norm", "key_norm"), found, gradients, strict=True):
        # With a single key the scores do not matter and these gradients vanish: compare with the inputs.
        error = relative_error(one, other)
        if float(other.norm()) < 1e-6 * float(upstream.norm()):
            error = float(one.norm() / upstream.norm())
        assert error < allowed.gradient, f"gradient of {name}: {error}"


def check_fsq(case: FsqCase, device: str) -> None:
    """Ids, codes, and all gradients."""
    channels = len(case.levels)
    hidden = torch.randn((case.rows, case.width), device=device)
    weight = torch.randn((channels, case.width), device=device) * case.width**-0.5
    hidden[0] = 4 * weight[0] / weight[0].square().sum()  # about 4 in its first channel, where 1 is the bound
    hidden = hidden.to(case.dtype).requires_grad_()
    weight.requires_grad_()
    bias = (torch.randn(channels, device=device) * 0.1).requires_grad_()
    inputs = {"hidden": hidden, "weight": weight, "bias": bias}
    if case.gain is not None:
        gain = (torch.randn((case.rows, channels), device=device) / 2).exp().to(case.gain)
        inputs["gain"] = gain.requires_grad_()
    codes, ids = fsq_encode(**inputs, levels=case.levels, backend="triton")
    wide = {name: tensor.detach().double().requires_grad_() for name, tensor in inputs.items()}
    wanted, wanted_ids = fsq_encode(**wide, levels=case.levels, backend="reference")
    steps = torch.tensor(case.levels, device=device) - 1
    values = (wide["hidden"] @ wide["weight"].T + wide["bias"]).detach()
    values = (values / wide["gain"].detach() if "gain" in wide else values).clamp(-1, 1)
    scaled = (values + 1) * steps / 2
    near = ((scaled - scaled.floor() - 0.5).abs() < ENCODE_EPSILON).any(dim=-1)
    assert near.double().mean() < 0.05 or case.rows < 100
    assert torch.equal(ids[~near], wanted_ids[~near])
    assert ((ids >= 0) & (ids < torch.tensor(case.levels).prod().to(device))).all()
    torch.testing.assert_close(codes.detach(), ids_to_codes(ids, case.levels), atol=1e-6, rtol=0)
    assert (codes - wanted).abs().max() <= 2 / steps.min() + 1e-6

    allowed = FSQ_TOLERANCES[case.dtype]
    upstream = torch.randn(codes.shape, device=device)
    found = torch.autograd.grad(codes, list(inputs.values()), upstream)
    gradients = torch.autograd.grad(wanted, list(wide.values()), upstream.double())
    assert (values.abs() == 1).any(), "the clamp must be met"
    for name, one, other in zip(inputs, found, gradients, strict=True):
        assert one.dtype == inputs[name].dtype
        assert relative_error(one, other) < allowed, f"gradient of {name}"


def check_boundaries(device: str) -> None:
    """Values at known distances from every boundary: ids are right as soon as that exceeds the epsilon."""
    levels = (8, 5)
    rows = []
    for distance in (-0.3, -4 * ENCODE_EPSILON, -1.5 * ENCODE_EPSILON, 1.5 * ENCODE_EPSILON, 0.2):
        for boundary in range(7):
            rows.append([boundary + 0.5 + distance, boundary % 4 + 0.5 + distance])
    scaled = torch.tensor(rows, dtype=torch.float64, device=device)
    steps = torch.tensor([7.0, 4.0], dtype=torch.float64, device=device)
    hidden = torch.zeros((len(rows), 16), device=device)
    hidden[:, :2] = (scaled * 2 / steps - 1).float()
    weight = torch.zeros((2, 16), device=device)
    weight[0, 0] = weight[1, 1] = 1
    wanted = (scaled.round() * torch.tensor([1, 8], device=device)).sum(dim=-1).long()
    bias, gain = torch.zeros(2, device=device), torch.rand((len(rows), 2), device=device) + 0.5
    scaled_hidden = hidden.clone()
    scaled_hidden[:, :2] *= gain
    backends: tuple[Backend, ...] = ("reference", "triton")
    for backend in backends:
        _, ids = fsq_encode(hidden, weight, bias, levels, backend=backend)
        assert torch.equal(ids, wanted), backend
        _, ids = fsq_encode(scaled_hidden, weight, bias, levels, gain, backend=backend)
        assert torch.equal(ids, wanted), f"{backend} with gain"


def check_error_map(case: ErrorMapCase, device: str) -> None:
    """The map, with nothing read from outside the picture."""
    batch, frames, height, width = case.video
    video = torch.rand((*case.video, 3), device=device).to(case.dtype)
    if case.cut:
        whole = torch.full((batch, frames + 2, height + 6, width + 1, 3), torch.nan, device=device)
        whole[:, :frames, :height, :width] = torch.rand((*case.video, 3), device=device)
        reconstruction = whole.to(case.dtype)[:, :frames, :height, :width]
    else:
        reconstruction = torch.rand((*case.video, 3), device=device).to(case.dtype)
    found = error_map(video, reconstruction, case.patch, backend="triton")
    wanted = error_map(video.double(), reconstruction.double(), case.patch, backend="reference")
    assert found.shape == wanted.shape
    assert found.dtype == torch.float32
    assert relative_error(found, wanted) < ERROR_MAP_TOLERANCE
