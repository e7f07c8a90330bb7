"""The model that a run begins with: that of its checkpoint, another's weights, or a new one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from infotok_cli.config import ModelConfig
from infotok_cli.errors import ModelError, UsageError
from infotok_cli.model.grid import with_lead
from infotok_cli.model.tokenizer import Tokenizer
from infotok_cli.model.weights import (
    build_model,
    file_sha256,
    holds_token_net,
    load_model,
    read_config,
    training_history,
)
from infotok_cli.train.checkpoint import Progress, read_checkpoint, select
from infotok_cli.train.frame_cache import FrameCache
from infotok_cli.train.initial_weights import check_overlap, start_from_principal_axes, with_overlap
from infotok_cli.train.options import TrainOptions

START_CLIPS = 64
"""Clips that a new model's linear transform is fitted to."""


@dataclass(frozen=True)
class Start:
    """Where a run begins."""

    model: Tokenizer
    progress: Progress = field(default_factory=Progress)
    saved: Mapping[str, Tensor] = field(default_factory=dict)
    """Tensors of the checkpoint; none unless the run is resumed."""


def starting_model(options: TrainOptions, cache: FrameCache) -> Start:
    """The model of the run's checkpoint if there is one, else of `options.init`, else one fitted to `cache`.

    Raises UsageError when the checkpoint is of a run that began otherwise or has nothing left to do, and
    ModelError when the checkpoint or the weights to start from cannot be read.
    """
    if options.checkpoint.exists():
        return _resumed(options)
    if options.init is not None:
        return _of_weights(options, options.init)
    return Start(_new_model(options, cache))


def check_init(options: TrainOptions) -> None:
    """Raise what `starting_model` would because of `options.init`, from a look at its config alone."""
    if options.init is not None:
        config = read_config(options.init)
        if options.overlap is not None:
            check_overlap(config, options.overlap)


def _resumed(options: TrainOptions) -> Start:
    saved, progress, config_json = read_checkpoint(options.checkpoint)
    try:
        config = ModelConfig.from_json(config_json)
    except ModelError as error:
        raise error.at(str(options.checkpoint)) from error
    _check_same_run(options, config, progress)
    _check_unfinished(options, progress)
    model = build_model(config, select(saved, "model."), str(options.checkpoint))
    return Start(model, progress, saved)


def _check_same_run(options: TrainOptions, config: ModelConfig, progress: Progress) -> None:
    """UsageError unless the checkpoint's run began as `options` ask."""
    where = str(options.checkpoint)
    for name, asked, found in (
        ("masking", options.masking, config.masking),
        ("overlap", options.overlap, config.overlap),
    ):
        if asked not in (None, found):
            raise UsageError(
                f"belongs to a run with `{name}` {found}, not {asked}",
                way_out=f"name another output, or give `{name}` {found}",
                where=where,
            )
    if options.init is not None:
        began = (progress.started_from or {}).get("sha256")
        if began != file_sha256(options.init):
            raise UsageError(
                f"belongs to a run that did not start from {options.init}",
                way_out="name another output, or leave `init` out to resume that run",
                where=where,
            )


def _check_unfinished(options: TrainOptions, progress: Progress) -> None:
    """UsageError where a resumed run has nothing left to do."""
    written = options.output.exists() and (not options.coder_steps or holds_token_net(options.output))
    if written and options.share_done(progress.step, progress.seconds) >= 1:
        raise UsageError(
            f"belongs to a finished run ({progress.step} steps, {progress.seconds / 60:.1f} minutes)",
            way_out="give more `steps` or time, or name another output",
            where=str(options.checkpoint),
        )


def _of_weights(options: TrainOptions, init: Path) -> Start:
    """The model at `init`, under the new name, with the masking and the margins that were asked for."""
    loaded = load_model(init)
    model = loaded.tokenizer
    masking = options.masking or model.config.masking
    model.config = replace(model.config, name=options.model_name, masking=masking)
    if options.overlap is not None:
        model = with_overlap(model, options.overlap)
    history: dict[str, object] = {"sha256": loaded.sha256, "training": training_history(init)}
    return Start(model, Progress(started_from=history))


def _new_model(options: TrainOptions, cache: FrameCache) -> Tokenizer:
    masking = options.masking or options.config.masking
    config = replace(options.config, name=options.model_name, masking=masking)
    if options.overlap is not None:
        config = replace(config, overlap=options.overlap)
    torch.manual_seed(options.seed)
    model = Tokenizer(config)
    clips = cache.sample(START_CLIPS, options.crops[0], np.random.default_rng(options.seed))
    start_from_principal_axes(model, with_lead(torch.from_numpy(clips)))
    return model
