"""Single steps: accumulated gradients, spikes and NaNs left out, old checkpoints, elastic masks."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from infotok_cli.config import ModelConfig
from infotok_cli.errors import ModelError, UsageError
from infotok_cli.model.tokenizer import Tokenizer
from infotok_cli.model.weights import load_model, training_history
from infotok_cli.routers import MaskingName
from infotok_cli.train import step
from infotok_cli.train.checkpoint import read_checkpoint
from infotok_cli.train.frame_cache import CropShape
from infotok_cli.train.loop import train
from infotok_cli.train.masking import draw_tails, keep_at_rate
from infotok_cli.train.optimizing import SPIKE, SpikeGuard
from infotok_cli.train.options import TrainOptions
from infotok_cli.train.reporting import Report
from infotok_cli.train.step import StepLosses, TrainingModule
from train_together import TINY, clips, gradients


def options(cache: Path, output: Path, steps: int) -> TrainOptions:
    return TrainOptions(
        coder_steps=0,
        cache=cache, output=output, config=TINY, steps=steps, batch=2, crops=(CropShape(8, 16),),
        report_seconds=0.0,
    )  # fmt: skip


def silent(_: Report) -> None:
    pass


def test_accumulated_gradients_are_those_of_one_large_batch() -> None:
    torch.manual_seed(1)
    module = TrainingModule(Tokenizer(TINY), torch.Generator())
    parts = [clips(number, 4) for number in range(3)]
    summed = gradients(module, parts)
    module.zero_grad()
    # The first quarter of a batch is kept whole, the rest masked: the large batch has the same order.
    whole = gradients(module, [torch.cat([part[:1] for part in parts] + [part[1:] for part in parts])])
    module.zero_grad()
    first = gradients(module, parts[:1])
    assert sum(float(gradient.norm()) for gradient in whole.values()) > 0.1
    for name, gradient in whole.items():
        torch.testing.assert_close(summed[name], gradient, rtol=1e-3, atol=1e-6)
    assert any(not torch.allclose(first[name], whole[name], rtol=0.05, atol=1e-5) for name in whole)


def test_a_run_counts_the_clips_of_all_its_batches(cache: Path, tmp_path: Path) -> None:
    wanted = replace(options(cache, tmp_path / "a.safetensors", 2), accumulate=3)
    train(wanted, silent)
    assert read_checkpoint(wanted.checkpoint)[1].clips == 2 * 3 * 2


def test_a_cache_on_the_device_changes_nothing_but_where_crops_are_cut(cache: Path, tmp_path: Path) -> None:
    weights = []
    for name, on_device in (("disk", False), ("device", True)):
        wanted = replace(options(cache, tmp_path / f"{name}.safetensors", 2), device_cache=on_device)
        train(wanted, silent)
        weights.append(read_checkpoint(wanted.checkpoint)[0])
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor)


def test_guard_skips_spikes_but_follows_a_lasting_change() -> None:
    guard = SpikeGuard()
    assert all(guard.allows(1.0) for _ in range(10))
    assert not guard.allows(math.nan)
    assert not guard.allows(math.inf)
    assert not guard.allows(SPIKE * 1.5)
    assert guard.allows(1.0)
    decisions = [guard.allows(SPIKE * 3) for _ in range(100)]
    assert not decisions[0]
    assert decisions[-1]


@pytest.mark.parametrize("factor", [math.nan, math.inf, 1e6])
def test_a_bad_step_is_left_out_and_counted(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factor: float
) -> None:
    calls = 0
    real = step.training_losses
    states: list[dict[str, torch.Tensor]] = []

    def losses(model: Tokenizer, video: torch.Tensor, generator: torch.Generator) -> StepLosses:
        nonlocal calls
        calls += 1
        states.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        found = real(model, video, generator)
        return replace(found, total=found.total * (factor if calls == 2 else 1.0))

    monkeypatch.setattr(step, "training_losses", losses)
    wanted = options(cache, tmp_path / "a.safetensors", 4)
    train(wanted, silent)
    tensors, progress, _ = read_checkpoint(wanted.checkpoint)
    assert (progress.step, progress.skipped) == (4, 1)
    assert all(bool(tensor.isfinite().all()) for tensor in tensors.values())

    def moved(before: int) -> bool:
        return any(not torch.equal(states[before][name], states[before + 1][name]) for name in states[0])

    assert [moved(0), moved(1), moved(2)] == [True, False, True]


def test_a_checkpoint_from_before_these_options_goes_on(cache: Path, tmp_path: Path) -> None:
    wanted = options(cache, tmp_path / "a.safetensors", 2)
    train(wanted, silent)
    tensors, progress, config = read_checkpoint(wanted.checkpoint)
    old = {"step": 2, "clips": 4, "seconds": 1.0, "skipped": 0}
    assert set(old) < set(vars(progress))
    assert "masking" not in config
    save_file(tensors, wanted.checkpoint, {"progress": json.dumps(old), "config": config})
    reports: list[Report] = []
    train(replace(wanted, steps=3), reports.append)
    assert reports[-1].progress.step == 3
    assert reports[-1].progress.clips == 6


def test_a_time_budget_ends_the_run_with_weights(cache: Path, tmp_path: Path) -> None:
    reports: list[Report] = []
    began = time.monotonic()
    wanted = replace(options(cache, tmp_path / "a.safetensors", 1), steps=None, minutes=1 / 60)
    train(wanted, reports.append)
    assert time.monotonic() - began > 1
    assert reports[-1].share_done == 1
    assert reports[-1].progress.step > 0
    assert load_model(wanted.output).config == TINY


def test_weights_tell_that_tails_were_dropped(cache: Path, tmp_path: Path) -> None:
    wanted = replace(options(cache, tmp_path / "a.safetensors", 1), masking="elastic")
    train(wanted, silent)
    assert load_model(wanted.output).config == replace(TINY, masking="elastic")
    with pytest.raises(UsageError, match="a run with masking elastic, not error"):
        train(replace(wanted, masking="error"), silent)
    # Going on, or starting from these weights, keeps their masking unless another is asked for.
    train(replace(wanted, masking=None, steps=2), silent)
    assert load_model(wanted.output).config.masking == "elastic"
    wishes: list[tuple[MaskingName | None, str]] = [(None, "elastic"), ("error", "error")]
    for masking, found in wishes:
        other = tmp_path / f"{masking}.safetensors"
        train(replace(wanted, output=other, init=wanted.output, masking=masking, steps=1), silent)
        assert load_model(other).config.masking == found
    with safe_open(other, framework="pt") as reader:
        assert "masking" not in reader.metadata()["infotok.config"]


def test_an_unknown_masking_is_refused() -> None:
    with pytest.raises(ModelError, match="'zebra' is unknown"):
        ModelConfig.from_json(json.dumps({"name": "a", "levels": [8, 8], "masking": "zebra"}))


def test_elastic_training_masks_only_tails(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []
    model = Tokenizer(replace(TINY, masking="elastic"))
    real = model.encode

    def encode(*given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(given[1])
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(model, "encode", encode)
    video = clips(0, 8).float() / 127.5 - 1
    step.training_losses(model, video, torch.Generator().manual_seed(0))
    (keep,) = seen
    assert keep[:2].all()
    kept = keep[2:].flatten(1).long()
    assert (kept.diff(dim=1) <= 0).all()
    assert kept.sum() < kept.numel()


def test_tail_lengths_are_drawn_evenly() -> None:
    keep = draw_tails(torch.zeros(4000, 2, 4, 4), torch.Generator().manual_seed(0))
    lengths = keep.flatten(1).sum(dim=1)
    assert (int(lengths.min()), int(lengths.max())) == (2, 32)
    counts = lengths.bincount(minlength=33)[2:].float()
    assert (counts / counts.mean() - 1).abs().max() < 0.4


def test_held_out_rates_follow_the_masking() -> None:
    errors = torch.randn(2, 2, 4, 4)
    tails = keep_at_rate(errors, 0.25, "elastic").flatten(1)
    assert tails.tolist() == [[True] * 8 + [False] * 24] * 2
    blocks = keep_at_rate(errors, 0.25, "error").flatten(1)
    # Steps cost 1, 2 or 4 tokens: the last one may not fit.
    assert all(5 <= count <= 8 for count in blocks.sum(dim=1).tolist())
    assert blocks.tolist() != tails.tolist()


def test_options_that_make_no_run_are_refused(tmp_path: Path) -> None:
    good = TrainOptions(cache=tmp_path, output=tmp_path / "a.safetensors", config=TINY, steps=1)
    for change, message in (
        ({"accumulate": 0}, "accumulate 0"),
        ({"final_share": 1.5}, "final_share 1.5"),
        ({"average_decay": 1.0}, "average_decay 1"),
        ({"seed": -1}, "seed -1"),
        ({"batch": 1}, "batch 1 is too low: choose 2 or more"),
        ({"minutes": 0.0}, "minutes 0 is out of range"),
        ({"learning_rate": math.inf}, "learning_rate inf"),
        ({"steps": None}, "minutes or steps is needed"),
        ({"output": tmp_path / "a.pt"}, "a.pt is not a .safetensors file"),
        ({"name": "a\nb"}, r"name 'a\\nb' does not fit"),
        ({"masking": "zebra"}, "masking 'zebra' is unknown"),
    ):
        with pytest.raises(UsageError, match=message):
            replace(good, **change)


def test_overlap_is_kept_and_can_be_added_once(cache: Path, tmp_path: Path) -> None:
    plain = options(cache, tmp_path / "plain.safetensors", 1)
    train(plain, silent)
    assert load_model(plain.output).config.overlap == 0
    wider = replace(plain, output=tmp_path / "wider.safetensors", init=plain.output, overlap=2)
    train(wider, silent)
    model = load_model(wider.output)
    assert model.config.overlap == 2
    assert model.tokenizer.patch_out.weight.view(4, 12, 12, 3, -1)[:, :2].any(), "margins learn"
    with pytest.raises(UsageError, match="a run with overlap 2, not 1"):
        train(replace(wider, overlap=1), silent)
    onward = replace(wider, output=tmp_path / "onward.safetensors", init=wider.output)
    with pytest.raises(UsageError, match="overlap 3 does not fit the model to start from, which has 2"):
        train(replace(onward, overlap=3), silent)
    train(replace(onward, overlap=None), silent)
    assert load_model(onward.output).config.overlap == 2
    with pytest.raises(UsageError, match="overlap 9 is out of range: choose 0 to 4 pixels"):
        replace(plain, overlap=9)
    fresh = replace(plain, output=tmp_path / "fresh.safetensors", overlap=1)
    train(fresh, silent)
    assert load_model(fresh.output).config.overlap == 1


def test_weights_tell_what_they_started_from(cache: Path, tmp_path: Path) -> None:
    first = options(cache, tmp_path / "first.safetensors", 2)
    sha256 = train(first, silent)
    second = replace(first, output=tmp_path / "second.safetensors", init=first.output, steps=1)
    train(second, silent)
    history = training_history(second.output)
    assert history["steps"] == 1
    assert history["started_from"] == {"sha256": sha256, "training": training_history(first.output)}
    assert "started_from" not in training_history(first.output)
    # Resumed, the run remembers what it began with, whatever became of that file.
    first.output.unlink()
    train(replace(second, init=None, steps=2), silent)
    assert training_history(second.output)["started_from"] == history["started_from"]
