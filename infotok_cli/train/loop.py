"""The training loop: CPU or CUDA, one process or many, resumable, bounded by time or steps."""

from __future__ import annotations

import json
import math
import platform
import signal
import time
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from infotok_cli.config import ModelConfig
from infotok_cli.entropy.token_net import TokenNet
from infotok_cli.errors import OutputError, UsageError
from infotok_cli.model.compiling import compile_blocks, compile_errors_as_usage
from infotok_cli.model.engine import choose_runtime, keep_freed_memory
from infotok_cli.model.tokenizer import Tokenizer
from infotok_cli.model.weights import (
    LoadedModel,
    build_model,
    file_sha256,
    holds_token_net,
    load_model,
    save_model,
    training_history,
)
from infotok_cli.train.checkpoint import (
    Progress,
    read_checkpoint,
    restore_optimizers,
    save_checkpoint,
    select,
)
from infotok_cli.train.companions import Companions, clips_wanted, fit_companions
from infotok_cli.train.device_cache import DeviceCrops
from infotok_cli.train.distributed import StopSignals, World, join_world
from infotok_cli.train.frame_cache import CropShape, FrameCache, centre_crop
from infotok_cli.train.heldout import HELD_RATES, HeldOut
from infotok_cli.train.initial_weights import start_from_principal_axes, with_overlap
from infotok_cli.train.loader import CropSource, CropStream, Loader, MappedCrops, mask_generator
from infotok_cli.train.optimizing import SpikeGuard, learning_rate_factor, make_optimizers
from infotok_cli.train.options import Report, TrainOptions
from infotok_cli.train.step import TrainingModule, accumulate_gradients

START_CLIPS = 64
GRADIENT_LIMIT = 1.0


def train(options: TrainOptions, report: Callable[[Report], None]) -> str:
    """Train until steps or time are used up and write the averaged weights; returns their sha256.

    Goes on from `options.checkpoint` when it exists. KeyboardInterrupt ends the run cleanly: the
    checkpoint and the weights so far are written, these without token coder and expected quality, which
    take minutes to fit; so it does while these are fitted. Under torchrun all processes call this with
    equal options; the first alone writes and reports, and a signal to any of them ends the run in all.

    Raises OutputError when the checkpoint or the weights cannot be written at the end; a checkpoint that
    cannot be written on the way is a report's warning.
    """
    with join_world(options.device) as world, StopSignals(world) as signals:
        run = _Run(options, world)
        interrupted = False
        try:
            while run.goes_on(signals.received):
                run.step(report)
        except KeyboardInterrupt:
            interrupted = True
        except SystemExit:
            # Terminated: keep what there is, but do not spend minutes on measuring it.
            run.save()
            raise
        finally:
            run.loader.close()
        unsaved = run.try_save()
        if run.stopped_by not in (0, signal.SIGINT):
            if unsaved is not None:
                raise unsaved
            raise SystemExit(128 + run.stopped_by)
        done = not interrupted and not run.stopped_by
        digest = ""
        try:
            if world.leads:
                digest = run.finish(report, signals, fit=done)
        finally:
            # After a failure too: the others wait for it.
            digest = world.from_leader(digest)
        if unsaved is not None:
            # The weights are much smaller, and found room.
            raise OutputError(f"{unsaved}; the weights are in {options.output}")
        return digest


class _Run:
    """State of a run between steps."""

    def __init__(self, options: TrainOptions, world: World) -> None:
        keep_freed_memory()
        self.options = options
        self.world = world
        self.runtime = choose_runtime(options.device, options.kernels)
        self.cache = FrameCache(options.cache)
        first = options.crops[0]
        self.held = HeldOut(self.cache.held_tiles(first.frames), first, self.runtime)
        self.progress = Progress()
        saved: dict[str, Tensor] = {}
        if options.checkpoint.exists():
            saved, self.progress, config = read_checkpoint(options.checkpoint)
            self.model = self._resumed(saved, ModelConfig.from_json(config))
            self._check_rest()
        else:
            self.model = self._fresh()
        self.model.to(options.device).train()
        if options.compile:
            compile_blocks(self.model)
        place = {"seed": options.seed, "step": self.progress.step, "rank": world.rank}
        self.module = world.parallel(TrainingModule(self.model, mask_generator(**place)))
        self.averages = {name: t.detach().clone() for name, t in self.model.state_dict().items()}
        self.optimizers = make_optimizers(self.model, options.learning_rate)
        if saved:
            self.averages = {name: t.to(options.device) for name, t in select(saved, "average.").items()}
            restore_optimizers(self.optimizers, saved)
        self.guard = SpikeGuard()
        self.recent: deque[tuple[float, float, float]] = deque(maxlen=50)
        stream = CropStream(
            self._source(), options.crops, batch=options.batch, per_step=options.accumulate, **place
        )
        # The current GPU is a thread's own; without this every process would also sit on the first one.
        cuda = self.runtime.device.type == "cuda"
        start = partial(torch.cuda.set_device, torch.cuda.current_device()) if cuda else None
        self.loader = Loader(stream.next_batch, start=start)
        self.share = 0.0
        """Part of the run that is over, as all processes see it."""
        self.stopped_by = 0
        """The signal that ends the run, 0 while there is none."""
        self.began = time.monotonic() - self.progress.seconds
        self.waited_before = self.progress.waited_seconds
        self.next_report = time.monotonic() + min(30.0, options.report_seconds)

    def _resumed(self, saved: dict[str, Tensor], config: ModelConfig) -> Tokenizer:
        options = self.options
        if options.masking not in (None, config.masking):
            raise UsageError(
                f"{options.checkpoint} is of a run with `masking` {config.masking}, not {options.masking}",
                way_out="name another output, or give the same masking",
            )
        if options.overlap not in (None, config.overlap):
            raise UsageError(
                f"{options.checkpoint} is of a run with `overlap` {config.overlap}, not {options.overlap}",
                way_out="name another output, or give the same overlap",
            )
        if options.init is not None:
            began = (self.progress.started_from or {}).get("sha256")
            if began != file_sha256(options.init):
                raise UsageError(
                    f"{options.checkpoint} is of a run that did not start from {options.init}",
                    way_out="name another output, or leave `init` out to go on with it",
                )
        return build_model(config, select(saved, "model."), str(options.checkpoint))

    def _check_rest(self) -> None:
        """UsageError where a resumed run has nothing left to do."""
        options = self.options
        done = options.output.exists() and (not options.coder_steps or holds_token_net(options.output))
        if done and self._share_done(self.progress.seconds) >= 1:
            raise UsageError(
                f"{options.checkpoint} is of a run that has had its steps or time "
                f"({self.progress.step}, {self.progress.seconds / 60:.1f} minutes)",
                way_out="give more of them, or name another output",
            )

    def _fresh(self) -> Tokenizer:
        options = self.options
        if options.init is not None:
            loaded = load_model(options.init)
            model = loaded.tokenizer
            self.progress.started_from = {
                "sha256": loaded.sha256,
                "training": training_history(options.init),
            }
            masking = options.masking or model.config.masking
            model.config = replace(model.config, name=options.config.name, masking=masking)
            return model if options.overlap is None else with_overlap(model, options.overlap)
        torch.manual_seed(options.seed)
        config = replace(options.config, masking=options.masking or options.config.masking)
        model = Tokenizer(config if options.overlap is None else replace(config, overlap=options.overlap))
        clips = self.cache.sample(START_CLIPS, options.crops[0], np.random.default_rng(options.seed))
        start_from_principal_axes(model, torch.from_numpy(clips))
        return model

    def _source(self) -> CropSource:
        if self.options.device_cache:
            return DeviceCrops(self.cache, self.runtime.device)
        return MappedCrops(self.cache, pin=self.runtime.device.type == "cuda")

    def goes_on(self, signal_number: int) -> bool:
        """Whether to take another step; all processes agree, on the leader's clock."""
        share = self._share_done() if self.world.leads else 0.0
        self.share, stop = self.world.largest(share, float(signal_number))
        self.stopped_by = int(stop)
        return self.share < 1 and not self.stopped_by

    def _share_done(self, seconds: float | None = None) -> float:
        """Part of the run that is over, by steps or time so far, whichever is further."""
        if seconds is None:
            seconds = time.monotonic() - self.began
        shares = [0.0]
        if self.options.steps is not None:
            shares.append(self.progress.step / self.options.steps if self.options.steps else 1.0)
        if self.options.time_budget_seconds is not None:
            shares.append(seconds / self.options.time_budget_seconds)
        return max(shares)

    def step(self, report: Callable[[Report], None]) -> None:
        options = self.options
        factor = learning_rate_factor(self.share, self.progress.step, options.final_share)
        with compile_errors_as_usage() if options.compile else nullcontext():
            losses = accumulate_gradients(
                self.module, self.loader.next_batch, options.accumulate, self.runtime
            )
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), GRADIENT_LIMIT))
        bad = not self.guard.allows(norm) or not math.isfinite(float(losses.total))
        # Averaging carries a bad gradient to all processes, but a process must not decide by itself.
        (any_bad,) = self.world.largest(float(bad))
        if any_bad:
            self.progress.skipped += 1
        else:
            for optimizer in self.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = group["base_lr"] * factor
                optimizer.step()
            self._average()
            self.recent.append((float(losses.mse_full), float(losses.mse_masked), float(losses.head)))
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        self.progress.step += 1
        self.progress.clips += options.batch * options.accumulate * self.world.size
        self.progress.seconds = time.monotonic() - self.began
        self.progress.waited_seconds = self.waited_before + self.loader.waited_seconds
        if self.world.leads:
            self._tell(report)

    def _tell(self, report: Callable[[Report], None]) -> None:
        if time.monotonic() >= self.next_report:
            unsaved = self.try_save()
            warning = None if unsaved is None else f"{unsaved}; training goes on"
            report(self._news(self.held.psnr(self.averaged()), warning))
            self.next_report = time.monotonic() + self.options.report_seconds
        elif self.progress.step % 10 == 0:
            report(self._news(None))

    @torch.no_grad()
    def _average(self) -> None:
        if not self.world.leads:
            return
        decay = min(self.options.average_decay, (1 + self.progress.step) / (10 + self.progress.step))
        for name, tensor in self.model.state_dict().items():
            if tensor.is_floating_point():
                self.averages[name].lerp_(tensor, 1 - decay)

    def _news(self, held: dict[float, float] | None, warning: str | None = None) -> Report:
        rows = np.array(self.recent or [(math.nan,) * 3])
        full, masked, head = rows.mean(axis=0).tolist()
        return Report(
            progress=replace(self.progress),
            share_done=min(1.0, self._share_done()),
            psnr_full=10 * math.log10(4 / full),
            psnr_masked=10 * math.log10(4 / masked) if masked > 0 else math.nan,
            head_error=head,
            held=held,
            warning=warning,
        )

    def averaged(self) -> Tokenizer:
        return build_model(self.model.config, self.averages, "average").to(self.options.device)

    def save(self) -> None:
        """Write the checkpoint, in the leading process; OutputError when that fails."""
        if self.world.leads:
            save_checkpoint(
                self.options.checkpoint,
                model=self.model,
                averages=self.averages,
                optimizers=self.optimizers,
                progress=self.progress,
                config_json=self.model.config.to_json(),
            )

    def try_save(self) -> OutputError | None:
        """As `save`, but hands back the failure."""
        try:
            self.save()
        except OutputError as error:
            return error
        return None

    def finish(self, report: Callable[[Report], None], signals: StopSignals, *, fit: bool) -> str:
        """Write the averaged weights with their calibration and, if `fit`, what else is fitted to them."""
        options = self.options
        model = self.averaged()
        held = self.held.psnr(model)
        news = self._news(held)
        report(news)
        history: dict[str, object] = {
            "steps": self.progress.step,
            "clips": self.progress.clips,
            "clips_per_step": options.batch * options.accumulate * self.world.size,
            "processes": self.world.size,
            "seconds": round(self.progress.seconds),
            "waiting_share": round(news.waiting_share, 4),
            "skipped_steps": self.progress.skipped,
            "machine": f"{platform.machine()} {options.device}, torch {torch.__version__}",
            "held_psnr_db": {f"{rate:g}": round(held[rate], 3) for rate in HELD_RATES},
        }
        error = self.held.mean_error(model)
        if self.progress.started_from is not None:
            history["started_from"] = self.progress.started_from
        companions = Companions()
        if fit:
            with suppress(KeyboardInterrupt), signals.suspended():
                companions = self._companions(error)
        return save_model(
            options.output,
            model,
            model.state_dict(),
            error,
            json.dumps(history),
            fits=companions.fits,
            token_net=companions.token_net,
        )

    def _companions(self, error: float) -> Companions:
        options, model = self.options, self.averaged()
        # Tokens of whole segments: what a token says depends on how long its segment is.
        frames = max(8, model.config.segment_frames // 8 * 8)
        shape = CropShape(frames, max(crop.side for crop in options.crops))
        random = np.random.default_rng(options.seed)
        clips = self.cache.sample(clips_wanted(options.coder_steps), shape, random, whole=True)
        loaded = LoadedModel(
            tokenizer=model, config=model.config, mean_error=error, sha256="", path=options.output
        )
        return fit_companions(
            loaded,
            list(clips),
            self._unseen(shape),
            self.runtime,
            steps=options.coder_steps,
            start=self._first_token_net(),
            seed=options.seed,
        )

    def _unseen(self, shape: CropShape) -> list[NDArray[np.uint8]]:
        """The middles of held-out tiles, none where training lends its own."""
        if not self.cache.held:
            return []
        crops = []
        for tile in self.cache.held_tiles(shape.frames):
            frames, side = min(shape.frames, len(tile) // 8 * 8), min(shape.side, tile.shape[1] // 16 * 16)
            if side:
                crops.append(centre_crop(tile, CropShape(frames, side)))
        return crops

    def _first_token_net(self) -> TokenNet | None:
        """The token coder of the weights that the run began with, where these are still at hand."""
        init, began = self.options.init, self.progress.started_from
        if init is None or began is None or not init.is_file():
            return None
        loaded = load_model(init)
        return loaded.token_net if loaded.sha256 == began["sha256"] else None
