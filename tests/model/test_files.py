"""Whole encodes and decodes on a device, together and alone; on a GPU, nearly the CPU's pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

pytest.importorskip("av", reason="whole files need PyAV, which a machine for kernels may lack")
pytest.importorskip("constriction", reason="whole files need constriction")
pytest.importorskip("google_crc32c", reason="whole files need google-crc32c")

from infotok_cli.codec.decode import decode_file
from infotok_cli.codec.encode import encode_file
from infotok_cli.codec.load_engine import load_engine
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.model.engine import Engine
from infotok_cli.video.reader import open_video
from infotok_kernels import backend
from make_video import make_video, moving_shapes
from tiny_model import write_tiny_model


@pytest.fixture(autouse=True)
def _global_choices_are_undone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(backend, "_selected", {})
    precision = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(precision)


def pictures(path: Path) -> NDArray[np.int64]:
    with open_video(path) as video:
        return np.stack(list(video.frames())).astype(int)


def check_files(device: str, kernels: str, folder: Path) -> None:
    """Segments together and alone, deterministic or not, through files."""
    weights = folder / "tiny.safetensors"
    write_tiny_model(weights)
    clip = make_video(folder / "clip.mkv", moving_shapes(42, 40, 48))

    def run(name: str, engine: Engine) -> tuple[bytes, NDArray[np.int64], int]:
        itk, shown = folder / f"{name}.itk", folder / f"{name}.mkv"
        report = encode_file(clip, itk, engine, EncodeOptions(rate=0.5, segment_frames=4))
        decoded = decode_file(itk, shown, engine, codec="ffv1")
        assert (report.device, report.backend) == (device, kernels)
        assert (decoded.device, decoded.backend, decoded.frames) == (device, kernels, 42)
        return itk.read_bytes(), pictures(shown), report.tokens

    exact = load_engine(str(weights), device, kernels, deterministic=True)
    together = dataclasses.replace(exact.runtime, batch_segments=3)
    first = run("first", exact)
    again = run("again", Engine(exact.loaded, together))
    assert first[0] == again[0]
    assert np.array_equal(first[1], again[1])

    plain = load_engine(str(weights), device, kernels, precision="fp32")
    batched = Engine(plain.loaded, dataclasses.replace(plain.runtime, batch_segments=3))
    _, shown, tokens = run("batched", batched)
    assert tokens == first[2]
    # A value at the edge between two levels may fall on either side, which changes a patch.
    assert np.mean(np.abs(shown - first[1]) > 2) < 0.02

    halves = run("halves", load_engine(str(weights), device, kernels, precision="bf16"))
    assert halves[2] == tokens


def test_on_the_cpu(tmp_path: Path) -> None:
    check_files("cpu", "reference", tmp_path)


@pytest.mark.gpu
@pytest.mark.parametrize("kernels", ["reference", "triton"])
def test_on_gpu(kernels: str, tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.fail("this test needs a CUDA device, and torch finds none", pytrace=False)
    check_files("cuda", kernels, tmp_path)
    seen = load_engine(str(tmp_path / "tiny.safetensors"), "cpu", precision="fp32")
    on_cpu = tmp_path / "cpu.mkv"
    decode_file(tmp_path / "first.itk", on_cpu, seen, codec="ffv1")
    assert np.abs(pictures(on_cpu) - pictures(tmp_path / "first.mkv")).max() <= 1
