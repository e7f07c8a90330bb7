"""Refining: never worse, better where there is something to gain, and nothing but ids changes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from infotok_cli.blocks import token_grid
from infotok_cli.errors import UsageError
from infotok_cli.model.engine import Coded, Engine, Footage, Runtime
from infotok_cli.model.refine import refine_codes
from infotok_cli.model.weights import load_model
from infotok_cli.motion import no_motion
from infotok_cli.segment_tokens import Tokens
from made_motion import made_motion
from tiny_model import write_tiny_model

SHAPE = (8, 24, 40)
LEVELS = (8, 8, 8, 5, 5, 5)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    write_tiny_model(path)
    return Engine(load_model(path), Runtime(torch.device("cpu"), "fp32"))


def _mean_log_error(shown: NDArray[np.uint8], frames: NDArray[np.uint8]) -> float:
    squared = np.square(shown.astype(np.float64) - frames).mean(axis=(1, 2, 3)) / 127.5**2
    return float(np.log(squared + 2e-4).mean())


def _shown(engine: Engine, coded: Coded) -> NDArray[np.uint8]:
    """What a decoder shows, which must be what the encode said it would."""
    decoded = engine.decode(coded.tokens, *coded.shown.shape[:3])
    assert np.abs(decoded.astype(int) - coded.shown).max() <= 1
    return decoded


@pytest.mark.parametrize("rate", [1.0, 0.4])
def test_refined_ids_show_a_closer_picture(engine: Engine, rate: float) -> None:
    random = np.random.default_rng(5)
    keep = random.random((3, 3, 5)) < rate
    goal = random.integers(0, 64000, int(keep.sum())).astype(np.uint16)
    motion = made_motion(keep.shape)
    frames = engine.decode(Tokens(keep, motion, goal), *SHAPE)
    footage = Footage(frames, motion)
    plain, refined = engine.encode(footage, keep), engine.encode(footage, keep, 12)
    before, after = (_mean_log_error(_shown(engine, coded), frames) for coded in (plain, refined))
    assert refined.tokens.ids.dtype == np.uint16
    assert refined.tokens.ids.shape == plain.tokens.ids.shape
    assert refined.tokens.ids.max() < 64000
    assert refined.shown.shape == plain.shown.shape
    assert not np.array_equal(refined.tokens.ids, plain.tokens.ids)
    assert after < before - 0.2, (before, after)


def test_every_step_is_refined_on_what_the_ones_before_show(engine: Engine) -> None:
    random = np.random.default_rng(9)
    frames = random.integers(0, 256, (16, 24, 40, 3), dtype=np.uint8)
    keep = np.ones((5, 3, 5), np.bool_)
    footage = Footage(frames, no_motion(keep.shape))
    plain, refined = engine.encode(footage, keep), engine.encode(footage, keep, 6)
    changed = (plain.tokens.ids != refined.tokens.ids).reshape(5, 15).any(axis=1)
    assert changed.all()
    for step in range(4):
        part = slice(4 * step, 4 * step + 4)
        assert _mean_log_error(refined.shown[part], frames[part]) < _mean_log_error(
            plain.shown[part], frames[part]
        )


def test_no_moves_change_nothing(engine: Engine) -> None:
    random = np.random.default_rng(6)
    keep = random.random((3, 3, 5)) < 0.5
    frames = random.integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
    footage = Footage(frames, made_motion(keep.shape))
    plain, unmoved = engine.encode(footage, keep), engine.encode(footage, keep, 0)
    assert np.array_equal(plain.tokens.ids, unmoved.tokens.ids)
    assert np.array_equal(plain.shown, unmoved.shown)


@pytest.mark.parametrize("shape", [(5, 17, 9), (1, 1, 1), (13, 8, 30)], ids=str)
def test_a_segment_may_have_any_size(engine: Engine, shape: tuple[int, int, int]) -> None:
    random = np.random.default_rng(7)
    frames = random.integers(0, 256, (*shape, 3), dtype=np.uint8)
    keep = random.random(token_grid(*shape)) < 0.8
    footage = Footage(frames, made_motion(keep.shape))
    plain, refined = engine.encode(footage, keep), engine.encode(footage, keep, 4)
    assert refined.tokens.ids.shape == plain.tokens.ids.shape
    assert refined.shown.shape == frames.shape
    before, after = (_mean_log_error(_shown(engine, coded), frames) for coded in (plain, refined))
    assert after <= before + 1e-3


def test_segments_refined_together_are_what_each_alone_is(engine: Engine) -> None:
    random = np.random.default_rng(8)
    pairs = [
        (
            Footage(random.integers(0, 256, (*SHAPE, 3), dtype=np.uint8), made_motion((3, 3, 5))),
            random.random((3, 3, 5)) < share,
        )
        for share in (0.9, 0.3)
    ]
    for coded, (footage, keep) in zip(engine.start_encode(pairs, 5)(), pairs, strict=True):
        alone, frames = engine.encode(footage, keep, 5), footage.frames
        assert (alone.tokens.ids != coded.tokens.ids).mean() < 0.1
        assert _mean_log_error(coded.shown, frames) == pytest.approx(
            _mean_log_error(alone.shown, frames), abs=0.01
        )


def test_refined_in_half_precision_decodes_to_what_was_shown(engine: Engine) -> None:
    """Tokens are chosen with gradients, but a decoder works without, which rounds otherwise."""
    loaded = load_model(engine.loaded.path)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in loaded.tokenizer.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    half = Engine(loaded, Runtime(torch.device("cpu"), "bf16"))
    frames = np.random.default_rng(4).integers(0, 256, (32, 24, 40, 3), dtype=np.uint8)
    keep = np.ones((9, 3, 5), np.bool_)
    _shown(half, half.encode(Footage(frames, made_motion(keep.shape)), keep, 2))


@pytest.mark.parametrize("of", ["machine", "device"])
def test_too_little_memory_is_told_in_a_line(
    of: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_much(*_: object, **__: object) -> None:
        if of == "device":
            raise torch.OutOfMemoryError
        torch.empty(1 << 55)

    monkeypatch.setattr("infotok_cli.model.tokenizer.refine_codes", too_much)
    frames, keep = np.zeros((*SHAPE, 3), np.uint8), np.ones((3, 3, 5), np.bool_)
    own = Engine(engine.loaded, dataclasses.replace(engine.runtime))
    with pytest.raises(UsageError, match=r"too little memory for one segment: .* without refine"):
        own.encode(own.footage(frames), keep, 1)
    assert len(own.encode(own.footage(frames), keep).tokens.ids) == 45


class Linear:
    """A decoder whose picture is a linear function of the codes of each kept position."""

    def __init__(self, keep: Tensor) -> None:
        self.keep = keep
        self.calls = 0
        self.matrix = (
            torch.randn(len(LEVELS), 4 * 8 * 8 * 3, generator=torch.Generator().manual_seed(0)) * 0.3
        )

    def __call__(self, codes: Tensor) -> Tensor:
        self.calls += 1
        batch, h, w, _ = codes.shape
        cells = torch.where(self.keep[..., None], codes @ self.matrix, 0.1).view(batch, h, w, 4, 8, 8, 3)
        return cells.permute(0, 3, 1, 4, 2, 5, 6).reshape(batch, 4, 8 * h, 8 * w, 3)


def _on_levels(batch: int, h: int, w: int) -> Tensor:
    sizes = torch.tensor(LEVELS) - 1
    return (torch.rand(batch, h, w, len(LEVELS)) * sizes).round() * 2 / sizes - 1


def _losses(picture: Tensor, source: Tensor) -> Tensor:
    return ((picture - source).square().mean(dim=(2, 3, 4)) + 2e-4).log().mean(dim=1)


@pytest.mark.parametrize("moves", [1, 6, 30])
def test_codes_stay_on_their_levels_and_come_closer(moves: int, fresh_seed: int) -> None:
    torch.manual_seed(fresh_seed)
    keep = torch.rand(3, 4, 5) < 0.6
    keep[:, 0, 0] = True
    show, goal, start = Linear(keep), _on_levels(3, 4, 5), _on_levels(3, 4, 5)
    source = show(goal)
    show.calls = 0
    found = refine_codes(show, source, start, keep, levels=LEVELS, moves=moves)
    assert show.calls == moves + 1
    sizes = torch.tensor(LEVELS) - 1
    digits = (found + 1) * sizes / 2
    torch.testing.assert_close(digits, digits.round(), atol=1e-4, rtol=0)
    assert int(digits.round().min()) >= 0
    assert (digits.round() <= sizes).all()
    assert torch.equal(found[~keep], start[~keep]), "where nothing is kept there is no gradient"
    before, after = _losses(show(start), source), _losses(show(found), source)
    assert (after <= before + 1e-6).all()
    assert (after < before).all() or moves == 1
    if moves == 30:
        assert (after < before - 1).all()


def test_perfect_codes_are_kept(fresh_seed: int) -> None:
    torch.manual_seed(fresh_seed)
    keep = torch.rand(2, 3, 3) < 0.7
    show, goal = Linear(keep), _on_levels(2, 3, 3)
    found = refine_codes(show, show(goal), goal, keep, levels=LEVELS, moves=8)
    torch.testing.assert_close(found, goal)


def test_a_keep_map_without_tokens_is_no_trouble() -> None:
    keep = torch.zeros(1, 2, 2, dtype=torch.bool)
    show, start = Linear(keep), _on_levels(1, 2, 2)
    found = refine_codes(show, torch.zeros(1, 4, 16, 16, 3), start, keep, levels=LEVELS, moves=3)
    assert found.isfinite().all()
    torch.testing.assert_close(found, start)
