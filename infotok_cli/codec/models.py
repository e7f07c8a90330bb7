"""Finding a model: an option, then the environment, then the packaged file."""

from __future__ import annotations

import os
from pathlib import Path

import infotok_weights
from infotok_cli.container.header import Header
from infotok_cli.errors import ModelError
from infotok_cli.model.engine import Engine, choose_runtime
from infotok_cli.model.weights import load_model

MODEL_VARIABLE = "INFOTOK_MODEL"


def find_model(name_or_path: str | None) -> Path:
    """File of a model given by name or path; None takes `INFOTOK_MODEL`, then the default model.

    Raises ModelError when there is no such model.
    """
    wanted = name_or_path or os.environ.get(MODEL_VARIABLE) or infotok_weights.DEFAULT
    if wanted in infotok_weights.manifest():
        return infotok_weights.path(wanted)
    path = Path(wanted)
    if path.suffix == ".safetensors" or path.exists():
        if not path.is_file():
            raise ModelError(f"model file {wanted} does not exist: check --model and {MODEL_VARIABLE}")
        return path
    raise ModelError(
        f"model {wanted!r} is unknown: choose {', '.join(infotok_weights.names())} "
        "or give a .safetensors file"
    )


def load_engine(name_or_path: str | None = None, device: str = "auto", kernels: str | None = None) -> Engine:
    """Load a model and put it on a device (auto, cpu, cuda); kernels: reference, triton, None chooses."""
    runtime = choose_runtime(device, kernels)
    return Engine(load_model(find_model(name_or_path)), runtime)


def check_model(engine: Engine, header: Header, source: str) -> None:
    """Raise ModelError unless `engine` runs the very weights that made the file."""
    if engine.loaded.sha256 != header.model_sha256.hex():
        raise ModelError(
            f"{source}: was made with model {header.model_name} {header.model_sha256.hex()[:12]}, but "
            f"{engine.loaded.path.name} is {engine.loaded.sha256[:12]}: give the right file with --model"
        )
    if engine.loaded.config.levels != header.levels:
        raise ModelError(f"{source}: quantizer levels {header.levels} are not those of its model")
