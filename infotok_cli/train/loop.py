"""The training loop: one process, CPU or CUDA, resumable, bounded by time or steps."""

from __future__ import annotations

import json
import math
import platform
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from infotok_cli.config import ModelConfig
from infotok_cli.model.engine import choose_runtime, keep_freed_memory
from infotok_cli.model.tokenizer import Tokenizer
from infotok_cli.model.weights import build_model, save_model
from infotok_cli.train.checkpoint import (
    Progress,
    read_checkpoint,
    restore_optimizers,
    save_checkpoint,
    select,
)
from infotok_cli.train.companions import add_companions
from infotok_cli.train.data import CropShape, FrameCache
from infotok_cli.train.heldout import HELD_RATES, HeldOut
from infotok_cli.train.start import start_from_principal_axes
from infotok_cli.train.step import training_losses

START_CLIPS = 64
CHECKPOINT_SUFFIX = ".checkpoint.safetensors"
DEFAULT_CROP = CropShape(16, 128)
GRADIENT_LIMIT = 1.0
ADAM_SHARE = 0.3
"""Learning rate of everything outside the blocks, relative to that of the blocks' matrices."""

SPIKE = 20.0
"""A gradient norm this many times its running mean is left out."""


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """What a training run was asked to do."""

    cache: Path
    output: Path
    """Folder-less name of the weights file to write; the checkpoint lies beside it."""
    config: ModelConfig = field(default_factory=lambda: ModelConfig(name="small"))
    init: Path | None = None
    """Weights to start from instead of fitting a new transform."""
    steps: int | None = None
    time_budget_seconds: float | None = None
    batch: int = 8
    crops: tuple[CropShape, ...] = (DEFAULT_CROP,)
    """Shapes of training clips; each step draws one. The first is also the held-out crops' shape."""
    learning_rate: float = 2e-3
    final_share: float = 0.5
    """Share of the run, at its end, over which the learning rate falls to zero."""
    average_decay: float = 0.999
    report_seconds: float = 300.0
    device: str = "cpu"
    compile: bool = False
    seed: int = 0
    companion_clips: int = 160
    """Clips on which the token coder and the expected quality are fitted at the end."""
    companion_steps: int = 4000

    @property
    def checkpoint(self) -> Path:
        return self.output.with_suffix(CHECKPOINT_SUFFIX)


@dataclass(frozen=True)
class Report:
    """News from a run: losses as PSNR in dB (peak-to-peak 2), and held-out PSNR when measured."""

    progress: Progress
    share_done: float
    psnr_full: float
    psnr_masked: float
    head_error: float
    held: dict[float, float] | None = None


def train(options: TrainOptions, report: Callable[[Report], None]) -> str:
    """Train until steps or time are used up and write the averaged weights; returns their sha256.

    Goes on from `options.checkpoint` when it exists. KeyboardInterrupt ends the run cleanly: the
    checkpoint and the weights so far are written.
    """
    run = _Run(options)
    try:
        while run.share_done() < 1:
            run.step(report)
    except KeyboardInterrupt:
        pass
    except SystemExit:
        # Terminated: keep what there is, but do not spend minutes on measuring it.
        run.save()
        raise
    run.save()
    return run.finish(report)


class _Run:
    """State of a run between steps."""

    def __init__(self, options: TrainOptions) -> None:
        keep_freed_memory()
        self.options = options
        self.runtime = choose_runtime(options.device)
        self.cache = FrameCache(options.cache)
        self.held = HeldOut(self.cache.hold_out(), options.crops[0], self.runtime)
        self.progress = Progress()
        self.random = np.random.default_rng(options.seed)
        self.generator = torch.Generator().manual_seed(options.seed)
        saved: dict[str, Tensor] = {}
        if options.checkpoint.exists():
            saved, self.progress, config = read_checkpoint(options.checkpoint)
            self.model = build_model(
                ModelConfig.from_json(config), select(saved, "model."), str(options.checkpoint)
            )
            self.random = np.random.default_rng(options.seed + 1 + self.progress.step)
            self.generator.manual_seed(options.seed + 1 + self.progress.step)
        else:
            self.model = self._fresh()
        self.model.to(options.device).train()
        self.averages = {name: t.detach().clone() for name, t in self.model.state_dict().items()}
        self.optimizers = make_optimizers(self.model, options.learning_rate)
        if saved:
            self.averages = {name: t.to(options.device) for name, t in select(saved, "average.").items()}
            restore_optimizers(self.optimizers, saved)
        if options.compile:
            for stack in (
                self.model.encoder,
                self.model.compressor,
                self.model.decompressor,
                self.model.decoder,
            ):
                for block in stack.blocks:
                    block.compile(dynamic=False)
        self.began = time.monotonic() - self.progress.seconds
        self.norm_mean = math.nan
        self.recent: deque[tuple[float, float, float]] = deque(maxlen=50)
        self.next_report = time.monotonic() + min(30.0, options.report_seconds)

    def _fresh(self) -> Tokenizer:
        options = self.options
        if options.init is not None:
            from infotok_cli.model.weights import load_model

            model = load_model(options.init).tokenizer
            model.config = replace(model.config, name=options.config.name)
            return model
        torch.manual_seed(options.seed)
        model = Tokenizer(options.config)
        clips = self.cache.sample(START_CLIPS, options.crops[0], self.random)
        start_from_principal_axes(model, torch.from_numpy(clips))
        return model

    def share_done(self) -> float:
        """Part of the run that is over, by steps or time, whichever is further."""
        shares = [0.0]
        if self.options.steps is not None:
            shares.append(self.progress.step / self.options.steps)
        if self.options.time_budget_seconds is not None:
            shares.append((time.monotonic() - self.began) / self.options.time_budget_seconds)
        return max(shares)

    def step(self, report: Callable[[Report], None]) -> None:
        options = self.options
        factor = learning_rate_factor(self.share_done(), self.progress.step, options.final_share)
        crop = options.crops[int(self.random.integers(len(options.crops)))]
        clips = torch.from_numpy(self.cache.sample(options.batch, crop, self.random))
        video = clips.to(options.device, non_blocking=True).float() / 127.5 - 1
        with self.runtime.autocast():
            losses = training_losses(self.model, video, self.generator)
        losses.total.backward()  # type: ignore[no-untyped-call]
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), GRADIENT_LIMIT))
        usual = norm if math.isnan(self.norm_mean) else self.norm_mean
        if math.isfinite(norm):
            # A spike counts, up to the limit, so that a lasting change of scale is followed.
            self.norm_mean = 0.99 * usual + 0.01 * min(norm, SPIKE * usual)
        if math.isfinite(norm) and norm <= SPIKE * usual:
            for optimizer in self.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = group["base_lr"] * factor
                optimizer.step()
            self._average()
            self.recent.append((float(losses.mse_full), float(losses.mse_masked), float(losses.head)))
        else:
            self.progress.skipped += 1
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        self.progress.step += 1
        self.progress.clips += options.batch
        self.progress.seconds = time.monotonic() - self.began
        if time.monotonic() >= self.next_report:
            self.save()
            report(self._news(self.measure()))
            self.next_report = time.monotonic() + options.report_seconds
        elif self.progress.step % 10 == 0:
            report(self._news(None))

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.options.average_decay, (1 + self.progress.step) / (10 + self.progress.step))
        for name, tensor in self.model.state_dict().items():
            if tensor.is_floating_point():
                self.averages[name].lerp_(tensor, 1 - decay)

    def _news(self, held: dict[float, float] | None) -> Report:
        rows = np.array(self.recent or [(math.nan,) * 3])
        full, masked, head = rows.mean(axis=0).tolist()
        return Report(
            progress=self.progress,
            share_done=min(1.0, self.share_done()),
            psnr_full=10 * math.log10(4 / full),
            psnr_masked=10 * math.log10(4 / masked) if masked > 0 else math.nan,
            head_error=head,
            held=held,
        )

    def averaged(self) -> Tokenizer:
        return build_model(self.model.config, self.averages, "average").to(self.options.device)

    def measure(self) -> dict[float, float]:
        return self.held.psnr(self.averaged())

    def save(self) -> None:
        options = self.options
        config = self.model.config.to_json()
        save_checkpoint(
            options.checkpoint,
            model=self.model,
            averages=self.averages,
            optimizers=self.optimizers,
            progress=self.progress,
            config_json=config,
        )

    def finish(self, report: Callable[[Report], None]) -> str:
        """Write the averaged weights with their calibration constant."""
        model = self.averaged()
        held = self.held.psnr(model)
        report(self._news(held))
        history = {
            "steps": self.progress.step,
            "clips": self.progress.clips,
            "seconds": round(self.progress.seconds),
            "skipped_steps": self.progress.skipped,
            "machine": f"{platform.machine()} {self.options.device}, torch {torch.__version__}",
            "held_psnr_db": {f"{rate:g}": round(held[rate], 3) for rate in HELD_RATES},
        }
        error = self.held.mean_error(model)
        save_model(self.options.output, model, model.state_dict(), error, json.dumps(history))
        clips = self.cache.sample(self.options.companion_clips, self._largest_crop(), self.random)
        return add_companions(
            self.options.output, list(clips), self.runtime, steps=self.options.companion_steps
        )

    def _largest_crop(self) -> CropShape:
        return max(self.options.crops, key=lambda crop: crop.frames * crop.side**2)


def make_optimizers(model: Tokenizer, learning_rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside transformer blocks, AdamW for everything else.

    Source: Jordan et al., Muon (kellerjordan.github.io/posts/muon), as torch ships it.
    """
    stacks = ("encoder.", "compressor.", "decompressor.", "decoder.")
    matrices: list[Tensor] = []
    rest: list[Tensor] = []
    for name, parameter in model.named_parameters():
        (matrices if name.startswith(stacks) and parameter.dim() == 2 else rest).append(parameter)
    muon = torch.optim.Muon(matrices, lr=learning_rate, weight_decay=0.02, adjust_lr_fn="match_rms_adamw")
    adam = torch.optim.AdamW(rest, lr=learning_rate * ADAM_SHARE, betas=(0.9, 0.98), weight_decay=0.0)
    optimizers: list[torch.optim.Optimizer] = [muon, adam]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["base_lr"] = group["lr"]
    return optimizers


def learning_rate_factor(share_done: float, step: int, final_share: float) -> float:
    """Warm-up over 100 steps, constant, then a linear fall to zero over the last `final_share`."""
    fall = min(1.0, (1 - share_done) / final_share) if final_share > 0 else 1.0
    return min(1.0, (step + 1) / 100) * max(0.0, fall)
