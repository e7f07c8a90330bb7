"""The training loop: CPU or CUDA, one process or many, resumable, bounded by time or steps."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import partial

import torch

from infotok_cli.errors import OutputError
from infotok_cli.model.compiling import compile_blocks, compile_errors_as_usage
from infotok_cli.model.engine import Runtime, choose_runtime, keep_freed_memory
from infotok_cli.train.averages import Averages
from infotok_cli.train.checkpoint import restore_optimizers, save_checkpoint, select
from infotok_cli.train.device_cache import DeviceCrops
from infotok_cli.train.distributed import StopSignals, World, join_world
from infotok_cli.train.finish import fit_averages, history_of, write_weights
from infotok_cli.train.fit_to_model import Fitted
from infotok_cli.train.frame_cache import FrameCache
from infotok_cli.train.heldout import HeldOut
from infotok_cli.train.loader import CropSource, CropStream, Loader, MappedCrops, mask_generator
from infotok_cli.train.optimizing import SpikeGuard, learning_rate_factor, make_optimizers
from infotok_cli.train.options import TrainOptions
from infotok_cli.train.reporting import Report, Reporter
from infotok_cli.train.starting_model import Start, starting_model
from infotok_cli.train.step import StepLosses, TrainingModule, accumulate_gradients

GRADIENT_LIMIT = 1.0


def train(options: TrainOptions, report: Callable[[Report], None]) -> str:
    """Train until steps or time are used up and write the averaged weights; returns their sha256.

    Resumes from `options.checkpoint` when it exists. KeyboardInterrupt ends the run cleanly: the checkpoint
    and the weights so far are written, the weights without token coder and expected quality, which take
    minutes to fit; the same while these are being fitted. Under torchrun all processes call this with equal
    options; only the first writes and reports, and a signal to any of them ends the run in all.

    Raises OutputError when the checkpoint or the weights cannot be written at the end (a checkpoint that
    cannot be written on the way is part of a report), UsageError when the options do not fit the checkpoint
    or the device, InputError and ModelError for a frame cache or weights that cannot be read.
    """
    with join_world(options.device) as world, StopSignals(world) as signals:
        # 1. What to learn from, what to measure on, and the model to begin with.
        keep_freed_memory()
        runtime = choose_runtime(options.device, options.kernels)
        cache = FrameCache(options.cache)
        first = options.crops[0]
        reporter = Reporter(options, HeldOut(cache.held_tiles(first.frames), first, runtime), report)
        run = Run(options, world, runtime, cache, starting_model(options, cache))
        # 2. Steps, until the run is over or somebody stops it.
        stopped_by = _take_steps(run, signals, reporter)
        # 3. The checkpoint. A run that was terminated ends here, without minutes of measuring.
        unsaved = run.try_save()
        if stopped_by not in (0, signal.SIGINT):
            raise unsaved or SystemExit(128 + stopped_by)
        # 4. The weights, written by the first process; the others wait for their hash, after a failure too.
        digest = ""
        try:
            if world.leads:
                last = reporter.measured(run.progress, run.share_done(), run.averages)
                fitted = Fitted()
                if not stopped_by:
                    with suppress(KeyboardInterrupt), signals.suspended():
                        fitted = fit_averages(options, run.averages, run.progress, cache, runtime)
                digest = write_weights(options, run.averages, fitted, history_of(options, last, world.size))
        finally:
            digest = world.from_leader(digest)
        if unsaved is not None:
            # The weights are much smaller than a checkpoint, and found room.
            raise OutputError(
                unsaved.what,
                way_out=f"{unsaved.way_out}; the weights are in {options.output}",
                where=unsaved.where,
            )
        return digest


def _take_steps(run: Run, signals: StopSignals, reporter: Reporter) -> int:
    """Train until the run is over or stopped; returns the number of the signal that stopped it, or 0.

    A SystemExit, which is how a single process hears that it is terminated, leaves after saving.
    """
    try:
        while not (stopped_by := run.stopped_by(signals.received)) and run.share < 1:
            losses = run.step()
            if run.world.leads:
                if losses is not None:
                    reporter.add(losses)
                if reporter.due:
                    unsaved = run.try_save()
                    reporter.measured(run.progress, run.share_done(), run.averages, unsaved)
                else:
                    reporter.losses(run.progress, run.share_done())
        return stopped_by
    except KeyboardInterrupt:
        return signal.SIGINT
    except SystemExit:
        run.save()
        raise
    finally:
        run.loader.close()


class Run:
    """State of a run between steps."""

    def __init__(
        self, options: TrainOptions, world: World, runtime: Runtime, cache: FrameCache, start: Start
    ) -> None:
        self.options = options
        self.world = world
        self.runtime = runtime
        self.progress = start.progress
        self.model = start.model.to(options.device).train()
        if options.compile:
            compile_blocks(self.model)
        place = {"seed": options.seed, "step": self.progress.step, "rank": world.rank}
        self.module = world.parallel(TrainingModule(self.model, mask_generator(**place)))
        averages = select(start.saved, "average.") if start.saved else None
        self.averages = Averages(self.model, options.average_decay, averages)
        self.optimizers = make_optimizers(self.model, options.learning_rate, half=runtime.precision == "bf16")
        if start.saved:
            restore_optimizers(self.optimizers, start.saved)
        self.guard = SpikeGuard()
        stream = CropStream(
            _crop_source(options, cache, runtime),
            options.crops,
            batch=options.batch,
            per_step=options.accumulate,
            **place,
        )
        # The current GPU is a thread's own; without this every process would also sit on the first one.
        cuda = runtime.device.type == "cuda"
        set_device = partial(torch.cuda.set_device, torch.cuda.current_device()) if cuda else None
        self.loader = Loader(stream.next_batch, start=set_device)
        self.share = 0.0
        """Part of the run that is over, as all processes see it."""
        self._began = time.monotonic() - self.progress.seconds
        self._waited_before = self.progress.waited_seconds

    def share_done(self) -> float:
        """Part of the run that is over by this process's clock; 1 or more at its end."""
        return self.options.share_done(self.progress.step, time.monotonic() - self._began)

    def stopped_by(self, signal_number: int) -> int:
        """The signal that ends the run in all processes, 0 for none; also lets them agree on `share`.

        signal_number: what this process received. The share is that of the leader's clock.
        """
        share = self.share_done() if self.world.leads else 0.0
        self.share, stop = self.world.largest(share, float(signal_number))
        return int(stop)

    def step(self) -> StepLosses | None:
        """Take one step; returns its losses, None if it was left out because its gradient was bad."""
        options = self.options
        with compile_errors_as_usage() if options.compile else nullcontext():
            losses = accumulate_gradients(
                self.module, self.loader.next_batch, options.accumulate, self.runtime
            )
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), GRADIENT_LIMIT))
        bad = not self.guard.allows(norm) or not math.isfinite(float(losses.total))
        # Averaging carries a bad gradient to all processes, but a process must not decide alone.
        (any_bad,) = self.world.largest(float(bad))
        if any_bad:
            self.progress.skipped += 1
        else:
            self._move_weights()
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        self.progress.step += 1
        self.progress.clips += options.batch * options.accumulate * self.world.size
        self.progress.seconds = time.monotonic() - self._began
        self.progress.waited_seconds = self._waited_before + self.loader.waited_seconds
        return None if any_bad else losses

    def _move_weights(self) -> None:
        factor = learning_rate_factor(self.share, self.progress.step, self.options.final_share)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["base_lr"] * factor
            optimizer.step()
        if self.world.leads:
            self.averages.add(self.model, self.progress.step)

    def save(self) -> None:
        """Write the checkpoint, in the leading process; OutputError when that fails."""
        if self.world.leads:
            save_checkpoint(
                self.options.checkpoint,
                model=self.model,
                averages=self.averages.tensors,
                optimizers=self.optimizers,
                progress=self.progress,
                config_json=self.model.config.to_json(),
            )

    def try_save(self) -> OutputError | None:
        """Write the checkpoint and hand back the failure, if any."""
        try:
            self.save()
        except OutputError as error:
            return error
        return None


def _crop_source(options: TrainOptions, cache: FrameCache, runtime: Runtime) -> CropSource:
    if options.device_cache:
        return DeviceCrops(cache, runtime.device)
    return MappedCrops(cache, pin=runtime.device.type == "cuda")
