"""The end of a run: what is fitted to the trained model, and its weights file."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from infotok_cli.blocks import whole_block_frames
from infotok_cli.entropy.token_net import TokenNet
from infotok_cli.model.engine import Runtime
from infotok_cli.model.weights import LoadedModel, load_model, save_model
from infotok_cli.train.averages import Averages
from infotok_cli.train.checkpoint import Progress
from infotok_cli.train.fit_to_model import Fitted, clips_wanted, fit_to_model
from infotok_cli.train.frame_cache import CropShape, FrameCache, centre_crop
from infotok_cli.train.heldout import HELD_RATES
from infotok_cli.train.options import TrainOptions
from infotok_cli.train.reporting import Report


def write_weights(
    options: TrainOptions, averages: Averages, fitted: Fitted, history: dict[str, object]
) -> str:
    """Write the averaged weights with what was fitted to them; returns the file's sha256.

    history: how the weights came about, as JSON values. Raises OutputError when the file cannot be written.
    """
    model = averages.model(options.device)
    return save_model(
        options.output,
        model,
        model.state_dict(),
        json.dumps(history),
        fits=fitted.fits,
        token_net=fitted.token_net,
    )


def history_of(options: TrainOptions, last: Report, processes: int) -> dict[str, object]:
    """How weights came about, by the report of their held-out PSNR; it travels with them."""
    progress = last.progress
    held = last.held or {}
    history: dict[str, object] = {
        "steps": progress.step,
        "clips": progress.clips,
        "clips_per_step": options.batch * options.accumulate * processes,
        "processes": processes,
        "seconds": round(progress.seconds),
        "waiting_share": round(last.waiting_share, 4),
        "skipped_steps": progress.skipped,
        "machine": f"{platform.machine()} {options.device}, torch {torch.__version__}",
        "held_psnr_db": {f"{rate:g}": round(held[rate], 3) for rate in HELD_RATES},
    }
    if progress.started_from is not None:
        history["started_from"] = progress.started_from
    return history


def fit_averages(
    options: TrainOptions, averages: Averages, progress: Progress, cache: FrameCache, runtime: Runtime
) -> Fitted:
    """Fit token coder, expected quality and worths to the averaged model; takes minutes."""
    # Fitting halves the model's precision, so it gets one of its own.
    model = averages.model(options.device)
    loaded = LoadedModel(tokenizer=model, config=model.config, sha256="", path=options.output)
    # Tokens of whole segments: what a token says depends on how long its segment is.
    frames = whole_block_frames(model.config.segment_frames)
    shape = CropShape(frames, max(crop.side for crop in options.crops))
    random = np.random.default_rng(options.seed)
    return fit_to_model(
        loaded,
        list(cache.sample(clips_wanted(options.coder_steps), shape, random, whole=True)),
        held_out_clips(cache, shape),
        runtime,
        steps=options.coder_steps,
        start=_first_token_net(options, progress),
        seed=options.seed,
    )


def held_out_clips(cache: FrameCache, shape: CropShape) -> Sequence[NDArray[np.uint8]]:
    """The middles of held-out tiles, uint8 `[T, H, W, 3]` of whole blocks and at most of `shape`'s sides.

    As long as `shape` says, since the first blocks of a segment count more: shorter tiles run forth and back.
    None where training lends its own tiles to be measured on.
    """
    if not cache.held:
        return []
    crops = []
    for tile in cache.held_tiles(shape.frames):
        side = min(shape.side, tile.shape[1] // 16 * 16)
        if side:
            crops.append(centre_crop(tile, CropShape(shape.frames, side)))
    return crops


def _first_token_net(options: TrainOptions, progress: Progress) -> TokenNet | None:
    """The token coder of the weights that the run began with, if these are still available."""
    init, began = options.init, progress.started_from
    if init is None or began is None or not init.is_file():
        return None
    loaded = load_model(init)
    return loaded.token_net if loaded.sha256 == began["sha256"] else None
