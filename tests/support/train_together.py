"""Run by torchrun in two processes: trains in the ways the test asks for, and writes what each saw.

Usage: torchrun --nproc-per-node 2 train_together.py CACHE OUT; writes OUT/facts-RANK.json and gradients.
"""

from __future__ import annotations

import hashlib
import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from infotok_cli.config import ModelConfig
from infotok_cli.model.engine import Runtime
from infotok_cli.model.tokenizer import Tokenizer
from infotok_cli.train import finish, fit_to_model, loader, loop, masking, step
from infotok_cli.train.distributed import World, join_world
from infotok_cli.train.fit_to_model import Fitted
from infotok_cli.train.frame_cache import CropShape
from infotok_cli.train.masking import keep_at_rate
from infotok_cli.train.options import TrainOptions
from infotok_cli.train.step import StepLosses, TrainingModule, accumulate_gradients

TINY = ModelConfig(name="tiny", width=64, head_width=32, compressor_blocks=1, decoder_blocks=1, mlp_width=64)

FLOAT32 = Runtime(torch.device("cpu"), "fp32")


def clips(number: int, count: int) -> Tensor:
    """The same `count` made-up clips for the same number, uint8 `[count, 8, 16, 16, 3]`."""
    random = np.random.default_rng(number)
    smooth = random.integers(0, 256, (count, 2, 4, 4, 3))
    return torch.from_numpy(smooth.repeat(4, 1).repeat(4, 2).repeat(4, 3).astype(np.uint8))


def half_kept(log_error: Tensor, _: torch.Generator) -> Tensor:
    """Masks that depend on nothing, in place of drawn ones."""
    return keep_at_rate(log_error, 0.5, "elastic")


FEW_CLIPS = {"CALIBRATION_CLIPS": 1, "WORTH_CLIPS": 1}
"""For fits that have to be there, but not to be good."""


def gradients(module: torch.nn.Module, batches: list[Tensor]) -> dict[str, Tensor]:
    """Mean gradients of batches by parameter name, with masks that depend on nothing."""
    coming = iter(batches)
    with mock.patch.object(step, "draw_keep", half_kept):
        accumulate_gradients(module, lambda: next(coming), len(batches), FLOAT32)
    found = {}
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None
        found[name[name.index("model.") :]] = parameter.grad.clone()
    return found


def _digest(tensors: dict[str, Tensor]) -> str:
    return hashlib.sha256(b"".join(t.numpy().tobytes() for t in tensors.values())).hexdigest()


def _watched(cache: Path, output: Path, steps: int, disturb: Callable[[int], float] | None) -> dict[str, Any]:
    """Train, and note what this process drew, saw, reported and ended with.

    disturb: told the number of the step, 1 first; its result is a factor on the loss.
    """
    facts: dict[str, Any] = {"data": [], "masks": [], "reports": 0, "calls": 0, "exit": None, "digest": None}

    def report(_: object) -> None:
        facts["reports"] += 1

    options = TrainOptions(
        coder_steps=0,
        cache=cache, output=output, config=TINY, steps=steps, batch=2, accumulate=1,
        crops=(CropShape(8, 16), CropShape(8, 32)), report_seconds=0.0,
    )  # fmt: skip
    with mock.patch.multiple(fit_to_model, **FEW_CLIPS), _noting(facts, disturb):
        try:
            facts["digest"] = loop.train(options, report)
        except SystemExit as leaving:
            facts["exit"] = leaving.code
    return facts


@contextmanager
def _noting(facts: dict[str, Any], disturb: Callable[[int], float] | None) -> Iterator[None]:
    """Have the steps of training leave what they do in `facts`."""
    real_batch, real_draw = loader.CropStream.next_batch, masking.draw_keep
    real_losses, real_save = step.training_losses, loop.Run.save

    def next_batch(self: loader.CropStream) -> Tensor:
        batch = real_batch(self)
        facts["data"].append(hashlib.sha256(batch.numpy().tobytes()).hexdigest())
        return batch

    def draw(log_error: Tensor, generator: torch.Generator) -> Tensor:
        keep = real_draw(log_error, generator)
        facts["masks"].append(hashlib.sha256(keep.numpy().tobytes()).hexdigest())
        return keep

    def losses(*arguments: Any) -> StepLosses:
        facts["calls"] += 1
        found = real_losses(*arguments)
        factor = disturb(facts["calls"]) if disturb else 1.0
        return StepLosses(found.total * factor, found.mse_full, found.mse_masked, found.head)

    def save(self: loop.Run) -> None:
        weights = self.model.state_dict()
        facts["weights"] = _digest(weights)
        facts["finite"] = all(bool(tensor.isfinite().all()) for tensor in weights.values())
        for name in ("step", "skipped", "clips"):
            facts[name] = getattr(self.progress, name)
        real_save(self)

    with (
        mock.patch.object(loader.CropStream, "next_batch", next_batch),
        mock.patch.object(step, "draw_keep", draw),
        mock.patch.object(step, "training_losses", losses),
        mock.patch.object(loop.Run, "save", save),
    ):
        yield


def _run(world: World, cache: Path, out: Path) -> None:
    torch.manual_seed(world.rank)
    model = Tokenizer(TINY)
    module = world.parallel(TrainingModule(model, torch.Generator()))
    if world.leads:
        save_file(model.state_dict(), out / "start.safetensors")
    batches = [clips(2 * turn + world.rank, 4) for turn in range(2)]
    save_file(gradients(module, batches), out / f"gradients-{world.rank}.safetensors")

    def nan_here(call: int) -> float:
        return float("nan") if world.rank == 1 and call == 2 else 1.0

    def stop_here(number: int) -> Callable[[int], float]:
        def act(call: int) -> float:
            if world.rank == 1 and call == 2:
                signal.raise_signal(number)
            return 1.0

        return act

    def interrupted_fit(*_: object, **__: object) -> Fitted:
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("nobody heard the signal")

    with mock.patch.object(finish, "fit_to_model", interrupted_fit):
        fitting = _watched(cache, out / "fitting.safetensors", 1, None)
    facts = {
        "fitting": fitting,
        "plain": _watched(cache, out / "plain.safetensors", 3, None),
        "nan": _watched(cache, out / "nan.safetensors", 3, nan_here),
        "interrupted": _watched(cache, out / "interrupted.safetensors", 50, stop_here(signal.SIGINT)),
        "terminated": _watched(cache, out / "terminated.safetensors", 50, stop_here(signal.SIGTERM)),
    }
    (out / f"facts-{world.rank}.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    with join_world("cpu") as joined:
        _run(joined, Path(sys.argv[1]), Path(sys.argv[2]))
