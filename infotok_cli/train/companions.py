"""Fits what travels with a network in its weights file: token coder and expected quality.

On weights that exist: python -m infotok_cli.train.companions WEIGHTS.safetensors CACHE
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from infotok_cli.model.engine import Engine, Runtime, choose_runtime
from infotok_cli.model.weights import TRAINING_KEY, load_model, save_model
from infotok_cli.train.calibrate import fit_distortions
from infotok_cli.train.data import CropShape, FrameCache
from infotok_cli.train.token_net import collect_tokens, fit_token_net

CODER_STEPS = 4000
STEPS_PER_CLIP = 25
"""Steps of the token coder's training for each clip whose tokens it learns from."""

CALIBRATION_CLIPS = 16
"""Clips that the expected quality is fitted on; six allocations of each are decoded, twice."""


def add_companions(
    path: Path, clips: Sequence[NDArray[np.uint8]], runtime: Runtime, *, steps: int, seed: int = 0
) -> str:
    """Fit token coder and expected quality of the weights at `path` and write them into it.

    clips: `[T, H, W, 3]`, T a multiple of 8, H and W of 16. steps: of the token coder's training, 0
    for none. Returns the new sha256.
    """
    # An engine halves the precision of the model it is given: what is saved is loaded apart.
    engine = Engine(load_model(path), runtime)
    random = np.random.default_rng(seed)
    levels = engine.loaded.config.levels
    token_net = None
    if steps:
        token_net, _ = fit_token_net(collect_tokens(engine, clips, random), levels, steps=steps, seed=seed)
    blocks = engine.loaded.config.masking == "error"
    distortions = fit_distortions(engine, clips[:CALIBRATION_CLIPS]) if blocks else {}
    with safe_open(path, framework="pt") as reader:
        training = reader.metadata()[TRAINING_KEY]
    loaded = load_model(path)
    return save_model(
        path,
        loaded.tokenizer,
        loaded.tokenizer.state_dict(),
        loaded.mean_error,
        training,
        distortions=distortions,
        token_net=token_net,
    )


def main(weights: Path, cache: Path) -> None:
    frames = FrameCache(cache)
    frames.hold_out()
    clips = frames.sample(CODER_STEPS // STEPS_PER_CLIP, CropShape(32, 224), np.random.default_rng(0))
    print(add_companions(weights, list(clips), choose_runtime("auto"), steps=CODER_STEPS))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
