"""What is fitted to a trained model and travels in its weights file: token coder, quality, worths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from infotok_cli.allocation.fits import Fits
from infotok_cli.entropy.token_net import TokenNet
from infotok_cli.model.engine import Engine, Runtime
from infotok_cli.model.weights import LoadedModel
from infotok_cli.train.calibrate import fit_distortions, fit_rate_scales
from infotok_cli.train.token_net import collect_tokens, fit_token_net

STEPS_PER_CLIP = 25
"""Steps of the token coder's training per clip that it learns from."""

CALIBRATION_CLIPS = 16
"""Clips that the expected quality is fitted on; six allocations of each are decoded, twice."""

WORTH_CLIPS = 64
"""Clips that worths are fitted on, at most."""


@dataclass(frozen=True)
class Fitted:
    """What was fitted to a model; empty when nothing was."""

    token_net: TokenNet | None = None
    fits: Fits = field(default_factory=Fits)


def clips_wanted(coder_steps: int) -> int:
    """Clips to give to `fit_to_model`."""
    return max(WORTH_CLIPS, coder_steps // STEPS_PER_CLIP)


def fit_to_model(
    loaded: LoadedModel,
    clips: Sequence[NDArray[np.uint8]],
    unseen: Sequence[NDArray[np.uint8]],
    runtime: Runtime,
    *,
    steps: int,
    start: TokenNet | None = None,
    seed: int = 0,
) -> Fitted:
    """Fit token coder, expected quality and worths to a model, whose precision is halved.

    clips: uint8 `[T, H, W, 3]`, T + 4 a multiple of 8, H and W of 16, whose tokens the coder learns. unseen:
    clips of such shapes that the model was not trained on, for quality and worths; where there are too
    few, `clips` serve. steps: of the token coder's training, 0 for none. start: a token coder for the same
    levels to begin with. Quality and worths are of block allocations, so weights trained with masking
    elastic get none.
    """
    engine = Engine(loaded, runtime)
    token_net = None
    if steps:
        samples = collect_tokens(engine, clips, np.random.default_rng(seed))
        token_net, _ = fit_token_net(samples, loaded.config.levels, steps=steps, start=start, seed=seed)
    if loaded.config.masking == "elastic":
        return Fitted(token_net)
    shown = unseen if len(unseen) >= CALIBRATION_CLIPS else clips
    few = shown[:: len(shown) // CALIBRATION_CLIPS][:CALIBRATION_CLIPS]
    fits = Fits(fit_distortions(engine, few), fit_rate_scales(engine, shown[:WORTH_CLIPS]))
    return Fitted(token_net, fits)
