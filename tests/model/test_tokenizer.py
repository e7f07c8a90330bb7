"""The closed loop: causal, the same on both sides, and with ids as the whole message."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load, save

from infotok_cli.allocation.fits import Fits
from infotok_cli.blocks import SPREAD_ORDER, token_grid
from infotok_cli.config import CONFIG_KEY, PATCH, ModelConfig
from infotok_cli.errors import ModelError
from infotok_cli.model.grid import (
    AROUND_VALUES,
    around,
    from_blocks,
    kept_places,
    kept_ranks,
    pad_video,
    patchify,
    to_blocks,
    unpatchify,
)
from infotok_cli.model.pixels import to_signal
from infotok_cli.model.tokenizer import GRADIENT_STEPS, SHOWN_LIMIT, Tokenizer
from infotok_cli.model.weights import (
    CALIBRATION_KEY,
    TRAINING_KEY,
    build_model,
    load_model,
    read_config,
    save_model,
)
from infotok_cli.motion import STILL
from made_motion import motion_for


def small_model(overlap: int = 0) -> Tokenizer:
    """A tiny network with random weights in which, unlike in a fresh model, every part has its say."""
    config = ModelConfig(
        name="tiny", width=64, head_width=32, compressor_blocks=2, decoder_blocks=2, mlp_width=96,
        overlap=overlap,
    )  # fmt: skip
    torch.manual_seed(0)
    model = Tokenizer(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model.eval()


SIZES = [
    pytest.param((1, 1, 1), id="1x1"),
    pytest.param((3, 5, 7), id="7x5"),
    pytest.param((16, 240, 64), id="240p-rows"),
    pytest.param((5, 97, 30), id="portrait"),
    pytest.param((32, 40, 72), id="32-frames"),
    pytest.param((4, 720, 32), id="720p-rows"),
    pytest.param((64, 9, 17), id="64-frames"),
]


@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_any_size_through_ids(size: tuple[int, int, int], fresh_seed: int) -> None:
    """What the encoder shows is what the decoder shows of its ids, to the end of a segment."""
    model = small_model()
    torch.manual_seed(fresh_seed)
    video = torch.rand(1, *size, 3) * 2 - 1
    grid = tuple(-(-side // patch) for side, patch in zip(size, PATCH, strict=True))
    keep = torch.rand(1, *grid) < 0.6
    motion = motion_for(keep)
    log_error = model.predict(video, motion)
    assert log_error.shape == (1, *grid)
    assert log_error.dtype == torch.float32
    ids, shown = model.encode(video, keep, motion)
    assert ids.shape == (1, *grid)
    assert 0 <= int(ids.min()) <= int(ids.max()) < 64000
    assert shown.shape == (1, 4 * grid[0], 8 * grid[1], 8 * grid[2], 3)
    assert shown.isfinite().all()
    torch.testing.assert_close(model.decode(ids, keep, motion), shown, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("overlap", [0, 2])
@torch.no_grad()
def test_what_is_shown_hangs_on_every_step_before(overlap: int) -> None:
    """Else the other tests of the loop would show nothing."""
    model = small_model(overlap)
    ids = torch.randint(0, 64000, (1, 5, 4, 4))
    keep = torch.ones(ids.shape, dtype=torch.bool)
    motion = motion_for(keep)
    other = ids.clone()
    other[:, 0] = torch.randint(0, 64000, (1, 4, 4))
    change = (model.decode(other, keep, motion) - model.decode(ids, keep, motion)).abs().view(1, 5, -1)
    assert (change.amax(dim=(0, 2)) > 1e-3).all()


@pytest.mark.parametrize("step", [1, 2, 4])
@torch.no_grad()
def test_nothing_depends_on_what_comes_later(step: int, fresh_seed: int) -> None:
    model = small_model()
    torch.manual_seed(fresh_seed)
    video = torch.rand(2, 20, 37, 50, 3) * 2 - 1
    keep = torch.rand(2, *token_grid(20, 37, 50)) < 0.7
    motion = motion_for(keep)
    other = video.clone()
    other[:, 4 * step : 4 * step + 4] = torch.rand(2, 4, 37, 50, 3) * 2 - 1
    (ids, shown), (other_ids, other_shown) = (model.encode(one, keep, motion) for one in (video, other))
    assert torch.equal(ids[:, :step], other_ids[:, :step])
    assert torch.equal(shown[:, : 4 * step], other_shown[:, : 4 * step])
    assert not torch.equal(ids[:, step], other_ids[:, step])
    assert not torch.equal(shown[:, 4 * step : 4 * step + 4], other_shown[:, 4 * step : 4 * step + 4])
    # Of later steps, which have the same source, only the context differs.
    if step < 4:
        assert not torch.equal(ids[:, step + 1 :], other_ids[:, step + 1 :])


@torch.no_grad()
def test_the_first_steps_can_be_shown_without_the_rest(fresh_seed: int) -> None:
    model = small_model()
    torch.manual_seed(fresh_seed)
    keep = torch.rand(2, 6, 5, 3) < 0.7
    motion = motion_for(keep)
    ids = torch.randint(0, 64000, keep.shape)
    whole = model.decode(ids, keep, motion)
    for steps in range(1, 7):
        later = ids.clone()
        later[:, steps:] = torch.randint(0, 64000, later[:, steps:].shape)
        pictures = list(islice(model.decode_steps(later, keep, motion), steps))
        assert all(picture.shape == (2, 4, 40, 24, 3) for picture in pictures)
        assert torch.equal(torch.cat(pictures, dim=1), whole[:, : 4 * steps])
    for steps in (2, 4):  # whole blocks: a keep map tells of both steps of a block
        first = (ids[:, :steps], keep[:, :steps], motion[:, :steps])
        assert torch.equal(model.decode(*first), whole[:, : 4 * steps])


@torch.no_grad()
def test_dropped_ids_do_not_reach_the_picture() -> None:
    model = small_model()
    keep = torch.rand(1, 4, 6, 6) < 0.5
    motion = motion_for(keep)
    ids = torch.randint(0, 64000, keep.shape)
    other = torch.where(keep, ids, torch.randint(0, 64000, keep.shape))
    first = model.decode(ids, keep, motion)
    assert torch.equal(first, model.decode(other, keep, motion))
    assert not torch.equal(first, model.decode(ids, ~keep, motion))


@torch.no_grad()
def test_dropped_codes_do_not_reach_what_the_encoder_shows() -> None:
    """The compressor's codes of dropped positions have no effect, on this step or on the next."""
    model = small_model()
    video = torch.rand(1, 8, 48, 48, 3) * 2 - 1
    keep = torch.rand(1, 2, 6, 6) < 0.5
    motion = motion_for(keep)
    _, shown = model.encode(video, keep, motion)
    real = model.compress

    def disturbed(*given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        codes, ids = real(*given)  # type: ignore[arg-type]
        kept = given[2][..., None] < 8
        return torch.where(kept, codes, torch.rand_like(codes) * 2 - 1), ids

    model.compress = disturbed  # type: ignore[assignment,method-assign]
    assert torch.equal(model.encode(video, keep, motion)[1], shown)


@torch.no_grad()
def test_compressor_sees_the_keep_map() -> None:
    """In a first step, which has no other context, and though the step's own positions are all kept."""
    model = small_model()
    video = torch.rand(1, 8, 32, 32, 3) * 2 - 1
    whole = torch.ones(1, 2, 4, 4, dtype=torch.bool)
    motion = motion_for(whole)
    part = whole.clone()
    part[:, 1] = False
    one, other = (model.encode(video, keep, motion)[0][:, 0] for keep in (whole, part))
    assert not torch.equal(one, other)


@torch.no_grad()
def test_the_decoder_sees_the_keep_map() -> None:
    """Of a step's picture, where a block's tokens are for the other step, but the same in this one."""
    model = small_model()
    ids = torch.randint(0, 64000, (1, 2, 4, 4))
    whole = torch.ones(1, 2, 4, 4, dtype=torch.bool)
    motion = motion_for(whole)
    part = whole.clone()
    part[:, 1] = False
    assert not torch.equal(model.decode(ids, whole, motion)[:, :4], model.decode(ids, part, motion)[:, :4])


def test_gradients_reach_every_parameter() -> None:
    model = small_model(overlap=1).train()
    video = torch.rand(2, 8, 32, 32, 3) * 2 - 1
    keep = torch.rand(2, 2, 4, 4) < 0.7
    motion = motion_for(keep)
    log_error = model.predict(video, motion)
    _, shown = model.encode(video, keep, motion)
    loss = (shown - video).square().mean() + log_error.mean()
    loss.backward()  # type: ignore[no-untyped-call]
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_gradients_go_back_through_a_few_steps() -> None:
    """Steps teach those before them what to remember, and training keeps the memory of a few."""
    model, steps = small_model(), 2 * GRADIENT_STEPS
    video = (torch.rand(1, 4 * steps, 16, 16, 3) * 2 - 1).requires_grad_()
    keep = torch.ones(1, steps, 2, 2, dtype=torch.bool)
    _, shown = model.encode(video, keep, motion_for(keep))
    for last in (GRADIENT_STEPS - 1, GRADIENT_STEPS, 2 * GRADIENT_STEPS - 1):
        loss = shown[:, 4 * last : 4 * last + 4].square().sum()
        (gradient,) = torch.autograd.grad(loss, video, retain_graph=True)
        felt = gradient.abs().amax(dim=(2, 3, 4)).view(steps, 4).amax(dim=1) > 0
        first = last // GRADIENT_STEPS * GRADIENT_STEPS
        assert felt.tolist() == [first <= step <= last for step in range(steps)]


@torch.no_grad()
def test_what_predicts_the_next_step_is_the_shown_picture_within_limits() -> None:
    model = small_model()
    model.patch_out.bias.fill_(5)
    keep = torch.ones(1, 2, 3, 3, dtype=torch.bool)
    places = kept_places(keep)
    codes = torch.rand(1, 3, 3, 6) * 2 - 1
    motion = motion_for(keep)
    context = model.context(None, keep[:, 0], motion[:, 0], 0)
    assert not context.prediction.rows(slice(0, 24)).any(), "grey"
    picture, state = model.show(codes, context, keep[:, 0], places[0][:, 0], places[1][:, 0])
    memory = model.remember(state, picture)
    assert float(picture.max()) > 2
    within = picture.clamp(-SHOWN_LIMIT, SHOWN_LIMIT)
    assert torch.equal(memory.last, within[:, 3])
    assert torch.equal(memory.hidden, model.remember(state, within).hidden)
    assert not torch.equal(memory.hidden, model.remember(state, -within).hidden)
    still = torch.full_like(motion[:, 1], STILL)
    following = model.context(memory, keep[:, 1], still, 1)
    assert torch.equal(following.prediction.rows(slice(0, 24))[:, 0], memory.last)
    moved = model.context(memory, keep[:, 1], motion[:, 1], 1)
    assert not torch.equal(moved.hidden, following.hidden)
    assert (following.gain > 0).all()


@torch.no_grad()
@pytest.mark.parametrize("frames", [1, 7, 8])
def test_pixels_are_taken_as_they_are_read(frames: int, fresh_seed: int) -> None:
    """uint8 as well as what it stands for; and no more frames than wanted are made."""
    torch.manual_seed(fresh_seed)
    model = small_model()
    pixels = torch.randint(0, 256, (2, frames, 21, 30, 3), dtype=torch.uint8)
    keep = torch.rand(2, -(-frames // 4), 3, 4) < 0.7
    motion = motion_for(keep)
    signal = to_signal(pixels)
    assert torch.equal(model.predict(pixels, motion), model.predict(signal, motion))
    ids, shown = model.encode(pixels, keep, motion)
    assert all(
        torch.equal(one, other)
        for one, other in zip((ids, shown), model.encode(signal, keep, motion), strict=True)
    )
    assert torch.equal(model.tokens(pixels, keep, motion), ids)
    pictures = list(model.decode_steps(ids, keep, motion, frames))
    assert torch.equal(torch.cat(pictures, dim=1), model.decode(ids, keep, motion)[:, :frames])


@torch.no_grad()
def test_an_error_is_predicted_from_its_step_and_the_frame_before(fresh_seed: int) -> None:
    model = small_model()
    torch.manual_seed(fresh_seed)
    video = torch.rand(2, 20, 37, 50, 3) * 2 - 1
    motion = motion_for(torch.ones(2, 5, 5, 7))
    motion[:, 1:, :, ::2] = STILL
    predicted = model.predict(video, motion)
    for step in range(5):
        first = 4 * step
        other = torch.rand_like(video) * 2 - 1
        seen = slice(max(0, first - 1), first + 4)
        other[:, seen] = video[:, seen]
        assert torch.equal(model.predict(other, motion)[:, step], predicted[:, step])
        for frame in range(first - 1 if step else 0, first + 4):
            changed = video.clone()
            changed[:, frame] = other[:, (frame + 8) % 20]
            again = model.predict(changed, motion)
            assert (again[:, step] != predicted[:, step]).any(), "every frame counts"
            assert torch.equal(again[:, :step], predicted[:, :step]) or frame < first, "the future does not"


@torch.no_grad()
def test_an_error_of_a_first_step_is_predicted_as_such() -> None:
    """A still clip has nothing new but at its start."""
    model = small_model()
    video = (torch.rand(1, 1, 24, 24, 3) * 2 - 1).expand(-1, 16, -1, -1, -1)
    motion = torch.full((1, 4, 2, 2), STILL, dtype=torch.uint8)
    predicted = model.predict(video, motion)
    assert not torch.allclose(predicted[:, 0], predicted[:, 1], atol=1e-3)
    torch.testing.assert_close(predicted[:, 1:2].expand(-1, 3, -1, -1), predicted[:, 1:])


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


def places_by_loops(keep: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ranks and counts of one keep map `[t, h, w]`."""
    ranks, counts = np.full(keep.shape, 8), np.zeros(keep.shape, np.int64)
    for corner in np.ndindex(*(-(-side // 2) for side in keep.shape)):
        places = [
            tuple(2 * at + offset for at, offset in zip(corner, cell, strict=True)) for cell in SPREAD_ORDER
        ]
        inside = [place for place in places if all(at < n for at, n in zip(place, keep.shape, strict=True))]
        kept = [place for place in inside if keep[place]]
        for place in inside:
            counts[place] = len(kept)
        for rank, place in enumerate(kept):
            ranks[place] = rank
    return ranks, counts


@pytest.mark.parametrize("grid", [(1, 1, 1), (2, 4, 6), (3, 5, 4), (5, 3, 7)], ids=str)
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_places_tell_rank_and_tokens_of_the_block(
    grid: tuple[int, int, int], share: float, fresh_seed: int
) -> None:
    keep = np.random.default_rng(fresh_seed).random((2, *grid)) < share
    ranks, counts = kept_places(torch.from_numpy(keep))
    assert ranks.dtype == counts.dtype == torch.int64
    for each, (own_ranks, own_counts) in enumerate(map(places_by_loops, keep)):
        assert np.array_equal(ranks[each].numpy(), own_ranks)
        assert np.array_equal(counts[each].numpy(), own_counts)


@pytest.mark.parametrize("size", [(8, 8), (16, 24), (40, 8)], ids=str)
def test_around_is_a_patch_with_its_eight_neighbours(size: tuple[int, int], fresh_seed: int) -> None:
    height, width = size
    frame = np.random.default_rng(fresh_seed).random((2, height, width, 3)).astype(np.float32)
    whole = slice(0, height // 8)
    found = around(torch.from_numpy(frame), whole).numpy()
    for row in range(height // 8):
        assert np.array_equal(
            around(torch.from_numpy(frame), slice(row, row + 1)).numpy()[:, 0], found[:, row]
        )
    assert found.shape == (2, height // 8, width // 8, AROUND_VALUES)
    for each, y, x in np.ndindex(*found.shape[:3]):
        expected = [
            frame[
                each,
                min(max(8 * (y + up) + row, 0), height - 1),
                min(max(8 * (x + across) + column, 0), width - 1),
            ]
            for up in (-1, 0, 1)
            for across in (-1, 0, 1)
            for row in range(8)
            for column in range(8)
        ]
        assert np.array_equal(found[each, y, x], np.concatenate(expected))


def test_weights_file_round_trip_is_strict(tmp_path: Path) -> None:
    model = small_model()
    path = tmp_path / "tiny.safetensors"
    digest = save_model(path, model, model.state_dict(), '{"steps": 1}')
    loaded = load_model(path)
    assert loaded.sha256 == digest
    assert (loaded.fits, loaded.token_net) == (Fits(), None)
    assert loaded.config == model.config
    for name, tensor in loaded.tokenizer.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name].half().float()), name
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


def test_weights_of_the_whole_segment_network_are_refused_in_a_line(tmp_path: Path) -> None:
    path, model = tmp_path / "small.safetensors", small_model()
    save_model(path, model, model.state_dict(), "{}")
    config = json.loads(model.config.to_json()) | {"encoder_blocks": 2, "decompressor_blocks": 2}
    del config["head_width"]
    metadata = {CONFIG_KEY: json.dumps(config), CALIBRATION_KEY: "{}", TRAINING_KEY: "{}"}
    path.write_bytes(save({"patch_in.weight": torch.zeros(64, 768)}, metadata))
    with pytest.raises(ModelError) as caught:
        load_model(path)
    assert str(caught.value) == (
        f"{path}: was made by another version of infotok (its config has decompressor_blocks, "
        "encoder_blocks): use the version it was made with, or other weights"
    )
