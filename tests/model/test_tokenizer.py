"""The model's shapes, its keep map, and that ids are the whole message."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save

from infotok_cli.blocks import token_grid
from infotok_cli.config import CONFIG_KEY, ModelConfig
from infotok_cli.errors import ModelError
from infotok_cli.model.grid import from_blocks, kept_ranks, pad_video, patchify, to_blocks, unpatchify
from infotok_cli.model.tokenizer import Tokenizer
from infotok_cli.model.weights import (
    CALIBRATION_KEY,
    TRAINING_KEY,
    build_model,
    load_model,
    read_config,
    save_model,
)


def small_model() -> Tokenizer:
    """A tiny network with random weights everywhere, residual outputs included."""
    config = ModelConfig(
        name="tiny", width=64, encoder_blocks=2, compressor_blocks=2, decompressor_blocks=2, decoder_blocks=2,
        mlp_width=96,
    )  # fmt: skip
    torch.manual_seed(0)
    model = Tokenizer(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.05)
    return model.eval()


SIZES = [
    pytest.param((1, 1, 1), id="1x1"),
    pytest.param((3, 5, 7), id="7x5"),
    pytest.param((16, 240, 64), id="240p-rows"),
    pytest.param((5, 97, 30), id="portrait"),
    pytest.param((32, 40, 72), id="32-frames"),
    pytest.param((4, 720, 32), id="720p-rows"),
]


@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_any_size_through_ids(size: tuple[int, int, int], fresh_seed: int) -> None:
    torch.manual_seed(fresh_seed)
    model = small_model()
    video = torch.rand(1, *size, 3) * 2 - 1
    analysis = model.analyze(video)
    grid = token_grid(*size)
    assert analysis.log_error.shape == (1, *grid)
    keep = torch.rand(1, *grid) < 0.6
    codes, ids = model.compress(analysis, keep)
    assert 0 <= int(ids.min()) <= int(ids.max()) < 64000
    restored = model.codes_of(ids, keep)
    torch.testing.assert_close(restored, codes)
    shown = model.reconstruct(restored, keep)
    assert shown.shape == (1, 4 * grid[0], 8 * grid[1], 8 * grid[2], 3)
    assert shown.isfinite().all()


@torch.no_grad()
def test_dropped_ids_do_not_reach_the_picture() -> None:
    model = small_model()
    keep = torch.rand(1, 4, 6, 6) < 0.5
    ids = torch.randint(0, 64000, keep.shape)
    other = torch.where(keep, ids, torch.randint(0, 64000, keep.shape))
    first = model.reconstruct(model.codes_of(ids, keep), keep)
    assert torch.equal(first, model.reconstruct(model.codes_of(other, keep), keep))
    assert not torch.equal(first, model.reconstruct(model.codes_of(ids, ~keep), ~keep))


@torch.no_grad()
def test_compressor_sees_the_keep_map() -> None:
    model = small_model()
    analysis = model.analyze(torch.rand(1, 8, 32, 32, 3) * 2 - 1)
    whole = torch.ones(1, 2, 4, 4, dtype=torch.bool)
    part = whole.clone()
    part[:, 1] = False
    assert not torch.equal(model.compress(analysis, whole)[1][:, 0], model.compress(analysis, part)[1][:, 0])


def test_gradients_reach_every_parameter() -> None:
    model = small_model().train()
    video = torch.rand(2, 8, 32, 32, 3) * 2 - 1
    analysis = model.analyze(video)
    keep = torch.rand(analysis.log_error.shape) < 0.7
    codes, _ = model.compress(analysis, keep)
    loss = (model.reconstruct(codes, keep) - video).square().mean() + analysis.log_error.mean()
    loss.backward()  # type: ignore[no-untyped-call]
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_patches_and_blocks_are_reversible(fresh_seed: int) -> None:
    torch.manual_seed(fresh_seed)
    video = torch.rand(2, 8, 24, 40, 3)
    assert torch.equal(unpatchify(patchify(video)), video)
    for grid in [(1, 1, 1), (3, 5, 7), (4, 2, 6)]:
        x = torch.rand(2, *grid, 3)
        assert torch.equal(from_blocks(to_blocks(x), grid), x)


@pytest.mark.parametrize(
    ("size", "padded"), [((1, 1, 1), (4, 8, 8)), ((5, 8, 9), (8, 8, 16)), ((4, 8, 8), (4, 8, 8))]
)
def test_padding_repeats_the_last_frame_row_and_column(
    size: tuple[int, int, int], padded: tuple[int, int, int]
) -> None:
    video = torch.rand(1, *size, 3)
    result = pad_video(video, (4, 8, 8))
    assert result.shape == (1, *padded, 3)
    t, h, w = size
    assert torch.equal(result[:, :t, :h, :w], video)
    assert (result[:, t:] == result[:, t - 1 : t]).all()
    assert (result[:, :, h:] == result[:, :, h - 1 : h]).all()
    assert (result[:, :, :, w:] == result[:, :, :, w - 1 : w]).all()


def test_ranks_number_the_kept_cells_of_a_block() -> None:
    keep = torch.rand(1, 3, 4, 5) < 0.5
    ranks, counts = kept_ranks(keep)
    for row, count in zip(ranks.reshape(-1, 8).tolist(), counts.flatten().tolist(), strict=True):
        assert [rank for rank in row if rank < 8] == list(range(count))
    assert int(counts.sum()) == int(keep.sum())


def test_weights_file_round_trip_is_strict(tmp_path: Path) -> None:
    model = small_model()
    path = tmp_path / "tiny.safetensors"
    digest = save_model(path, model, model.state_dict(), '{"steps": 1}')
    loaded = load_model(path)
    assert loaded.sha256 == digest
    assert loaded.config == model.config
    tensors = model.state_dict()
    del tensors["mask"]
    with pytest.raises(ModelError, match="mask"):
        build_model(model.config, tensors, "x")
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(path)
    with pytest.raises(ModelError, match=f"^{path}: cannot be read as weights"):
        read_config(path)
    with pytest.raises(ModelError, match=r"none\.safetensors: does not exist"):
        load_model(tmp_path / "none.safetensors")


def test_weights_of_other_versions(tmp_path: Path) -> None:
    """What an older version wrote beside the fits is passed over; a config with unknown keys is refused."""
    path, model = tmp_path / "tiny.safetensors", small_model()
    save_model(path, model, model.state_dict(), "{}")
    tensors, fits = load(path.read_bytes()), json.dumps({"mean_error": 0.05})
    metadata = {CONFIG_KEY: model.config.to_json(), CALIBRATION_KEY: fits, TRAINING_KEY: "{}"}
    path.write_bytes(save(tensors, metadata))
    assert load_model(path).config == model.config
    config = json.loads(model.config.to_json()) | {"zebra": 1, "apple": 2}
    path.write_bytes(save(tensors, metadata | {CONFIG_KEY: json.dumps(config)}))
    told = (
        rf"^{path}: was made by another version of infotok \(its config has apple, zebra\): use the version"
    )
    for read in (load_model, read_config):
        with pytest.raises(ModelError, match=told):
            read(path)
    path.write_bytes(save(tensors, {"made by": "somebody else"}))
    with pytest.raises(ModelError, match=f"^{path}: is not an infotok model"):
        load_model(path)
