"""Large grids are worked on in bands of rows: what comes out must be what the whole grid gives."""

from __future__ import annotations

import pytest
import torch

from infotok_cli.config import PATCH, ModelConfig
from infotok_cli.model import bands
from infotok_cli.model.bands import row_bands, step_runs
from infotok_cli.model.tokenizer import Tokenizer
from infotok_kernels import window_attention
from made_motion import motion_for

CPU = torch.device("cpu")


@pytest.mark.parametrize("overlap", [0, 2])
@pytest.mark.parametrize(
    "size", [(1, 333, 90), (6, 200, 40), (23, 24, 40)], ids=["picture", "odd-steps", "many-steps"]
)
def test_as_the_whole_grid(size: tuple[int, int, int], overlap: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to the last bit: a matrix product may add up in another order when it has fewer rows."""
    config = ModelConfig(
        name="tiny", width=64, head_width=32, compressor_blocks=2, decoder_blocks=2, mlp_width=96,
        overlap=overlap,
    )  # fmt: skip
    torch.manual_seed(0)
    model = Tokenizer(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.05)
    video = torch.rand(1, *size, 3) * 2 - 1
    found = []
    for positions in (1 << 20, 64):
        monkeypatch.setattr(bands, "BAND_POSITIONS", positions)
        with torch.inference_mode():
            motion = motion_for(
                torch.ones(1, *(-(-side // patch) for side, patch in zip(size, PATCH, strict=True)))
            )
            log_error = model.predict(video, motion)
            keep = torch.rand(log_error.shape, generator=torch.Generator().manual_seed(1)) < 0.5
            ids, shown = model.encode(video, keep, motion)
        found.append((log_error, ids * keep, shown))
    for whole, banded in zip(*found, strict=True):
        torch.testing.assert_close(banded, whole, atol=1e-5, rtol=1e-5)


def test_bands_cover_all_rows_at_borders_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bands, "BAND_POSITIONS", 200)
    with torch.no_grad():
        aligned = row_bands((1, 1, 50, 10), CPU, unit=8)
        shifted = row_bands((1, 1, 50, 10), CPU, unit=8, first=4)
    assert [(band.start, band.stop) for band in aligned] == [(0, 16), (16, 32), (32, 48), (48, 50)]
    assert [(band.start, band.stop) for band in shifted] == [(0, 20), (20, 36), (36, 50)]


def test_runs_of_steps_cover_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bands, "BAND_POSITIONS", 100)
    size = (1, 7, 8, 8)
    assert step_runs(size, CPU) == [slice(0, 7)], "gradients"
    with torch.no_grad():
        assert step_runs(size, CPU) == [slice(0, 3), slice(3, 6), slice(6, 7)]
        assert step_runs((1, 3, 20, 20), CPU) == [slice(0, 1), slice(1, 2), slice(2, 3)]
        assert step_runs(size, torch.device("meta")) == [slice(0, 7)]


def test_small_grids_gradients_and_devices_take_one_band(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bands, "BAND_POSITIONS", 100)
    size = (1, 1, 50, 10)
    assert row_bands(size, CPU) == [slice(0, 50)]
    with torch.no_grad():
        assert row_bands((1, 1, 20, 10), CPU) == [slice(0, 20)]
        assert row_bands(size, torch.device("meta")) == [slice(0, 50)]
        assert len(row_bands(size, CPU)) == 5


def test_windows_of_rows_may_be_shifted_on_their_own() -> None:
    torch.manual_seed(0)
    qkv = torch.randn(1, 2, 20, 12, 3, 1, 16)
    ones = torch.ones(16)
    whole = window_attention(qkv, ones, ones, shift=4)
    below = window_attention(qkv[:, :, 12:], ones, ones, shift=4, row_shift=0)
    torch.testing.assert_close(below, whole[:, :, 12:])
    assert not torch.allclose(window_attention(qkv[:, :, 12:], ones, ones, shift=4), whole[:, :, 12:])
