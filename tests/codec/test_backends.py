"""Files do not depend on the kernels that ran: the same ids, and the same bytes, under both backends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from infotok_cli.codec.decode_segments import decoded_segments
from infotok_cli.codec.encode import encode_file
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.container.reader import ItkReader
from infotok_cli.itk.tokens import pack_tokens, unpack_tokens
from infotok_cli.model.engine import Engine, choose_runtime
from infotok_cli.model.weights import load_model
from infotok_kernels import backend
from make_video import make_video, moving_shapes
from tiny_model import write_tiny_model

pytest.importorskip("triton", reason="triton exists for Linux only")


@pytest.fixture(autouse=True)
def _choice_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "_selected", {})


@pytest.mark.parametrize("router", ["fast", "exact"])
def test_same_file_under_both_backends(router: str, tmp_path: Path) -> None:
    """Triton's interpreter on a CPU, in float32: in the clip no value lies between two ids."""
    clip = make_video(tmp_path / "clip.mkv", moving_shapes(12, 40, 56))
    write_tiny_model(tmp_path / "tiny.safetensors", coded=True)
    loaded = load_model(tmp_path / "tiny.safetensors")
    torch.manual_seed(0)
    with torch.no_grad():  # unlike in a fresh model, every block has its say
        for parameter in loaded.tokenizer.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    options = EncodeOptions(rate=0.6, router=router, segment_frames=8)
    files, pictures = [], []
    for kernels in ("reference", "triton"):
        engine = Engine(loaded, choose_runtime("cpu", kernels, precision="fp32"))
        report = encode_file(clip, tmp_path / f"{kernels}.itk", engine, options)
        assert report.backend == kernels
        files.append((tmp_path / f"{kernels}.itk").read_bytes())
        with ItkReader(tmp_path / "reference.itk") as reader:
            for segment in reader.segments():
                tokens = unpack_tokens(reader, segment, loaded.token_net)
                assert len(np.unique(tokens.ids)) > min(10, len(tokens.ids) // 2), "they must say something"
                assert pack_tokens(tokens, reader.header, loaded.token_net) == segment.payloads
            pictures.append(np.concatenate(list(decoded_segments(reader, engine, range(12)))))
    assert files[0] == files[1]
    assert np.abs(pictures[0].astype(int) - pictures[1]).max() <= 1
