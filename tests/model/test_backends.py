"""The whole model on both backends: the same ids but at near-ties, and nearly the same picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from infotok_cli.config import ModelConfig
from infotok_cli.errors import UsageError
from infotok_cli.model.engine import Engine, Runtime, choose_runtime
from infotok_cli.model.tokenizer import Tokenizer
from infotok_cli.model.weights import LoadedModel
from infotok_kernels import backend, select_backend

pytest.importorskip("triton", reason="triton exists for Linux only")

NEAR_TIE = 1e-3
"""In steps between levels. Float32 rounding, through a few layers, moves values by less."""


@pytest.fixture(autouse=True)
def _choice_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "_selected", {})


def small_model(head_dim: int = 32) -> Tokenizer:
    """Random weights in which, unlike in a fresh model, every block has its say."""
    config = ModelConfig(
        name="tiny", width=64, head_dim=head_dim, encoder_blocks=2, compressor_blocks=1,
        decompressor_blocks=1, decoder_blocks=1, mlp_width=64,
    )  # fmt: skip
    model = Tokenizer(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


@torch.inference_mode()
def through(model: Tokenizer, video: Tensor, keep: Tensor, kernels: str) -> dict[str, Tensor]:
    """Everything a codec takes from the model, and the values before rounding."""
    select_backend(kernels, video.device.type)
    hidden: list[Tensor] = []
    handle = model.compressor.register_forward_hook(lambda *facts: hidden.append(facts[2]))
    analysis = model.analyze(video)
    codes, ids = model.compress(analysis, keep)
    handle.remove()
    values = F.linear(hidden[0].float(), model.to_code.weight, model.to_code.bias)
    return {"log_error": analysis.log_error, "ids": ids, "codes": codes, "values": values}


def check_model(device: str) -> None:
    model = small_model().to(device)
    video = torch.rand(1, 8, 67, 80, 3, device=device) * 2 - 1
    keep = torch.rand(1, 2, 9, 10, device=device) < 0.7
    one = through(model, video, keep, "reference")
    other = through(model, video, keep, "triton")
    torch.testing.assert_close(other["log_error"], one["log_error"], atol=1e-4, rtol=1e-4)
    steps = torch.tensor(model.config.levels, device=device) - 1
    scaled = (one["values"].clamp(-1, 1) + 1) * steps / 2
    near = ((scaled - scaled.floor() - 0.5).abs() < NEAR_TIE).any(dim=-1)
    assert near.float().mean() < 0.1, "most positions must count"
    same = one["ids"] == other["ids"]
    assert bool((same | near)[keep].all())
    assert len(one["ids"][keep].unique()) > 50, "the ids must say something"
    with torch.inference_mode():
        pictures = []
        for kernels in ("reference", "triton"):
            select_backend(kernels, device)
            pictures.append(model.reconstruct(one["codes"], keep))
    torch.testing.assert_close(pictures[1], pictures[0], atol=1e-4, rtol=1e-4)
    assert float(pictures[0].std()) > 0.01


def test_interpreted(fresh_seed: int) -> None:
    torch.manual_seed(fresh_seed)
    check_model("cpu")


@pytest.mark.gpu
def test_on_gpu(fresh_seed: int) -> None:
    if not torch.cuda.is_available():
        pytest.fail("this test needs a CUDA device, and torch finds none", pytrace=False)
    torch.manual_seed(fresh_seed)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        check_model("cuda")
    finally:
        torch.set_float32_matmul_precision(before)


def engine(head_dim: int, kernels: str | None) -> Engine:
    model = small_model(head_dim)
    loaded = LoadedModel(model, model.config, "0" * 64, Path("tiny.safetensors"))
    choose_runtime("cpu", kernels)
    return Engine(loaded, Runtime(torch.device("cpu"), "fp32"))


def test_an_engine_says_what_runs() -> None:
    frames = np.zeros((4, 16, 16, 3), np.uint8)
    assert engine(64, None).runtime.backend == "reference"
    chosen = engine(32, "triton")
    assert chosen.runtime.backend == "triton"
    assert chosen.analyze(frames).log_error.shape == (1, 1, 2, 2)


def test_an_engine_refuses_a_model_its_kernels_cannot_run() -> None:
    with pytest.raises(UsageError, match=r"head size 16.*kernels reference"):
        engine(16, "triton")


def test_an_unknown_backend_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="'cuda' is unknown"):
        choose_runtime("cpu", "cuda")
