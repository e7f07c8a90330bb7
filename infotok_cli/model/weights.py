"""Weights files: strict loading, saving, and naming by hash. Tensors and strings only, no pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from infotok_cli.allocation.fits import Fits
from infotok_cli.atomic import atomic_path
from infotok_cli.config import CONFIG_KEY, ModelConfig
from infotok_cli.entropy.token_net import TENSOR_PREFIX, TokenNet
from infotok_cli.errors import InputError, ModelError, OutputError
from infotok_cli.model.tokenizer import Tokenizer

CALIBRATION_KEY = "infotok.calibration"
TRAINING_KEY = "infotok.training"


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to run and the facts that travel with its file."""

    tokenizer: Tokenizer
    config: ModelConfig
    sha256: str
    """Hex digest of the weights file."""
    path: Path
    fits: Fits = field(default_factory=Fits)
    """What was fitted to its error maps."""
    token_net: TokenNet | None = None
    """Model of the token coder; None for weights saved without, whose tokens are packed at 16 bits."""


def file_sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def save_model(
    path: Path,
    model: Tokenizer,
    tensors: Mapping[str, Tensor],
    training: str,
    *,
    fits: Fits | None = None,
    token_net: TokenNet | None = None,
) -> str:
    """Write `tensors` (a state dict of `model`) in half precision; returns the file's sha256.

    training: JSON text on how the weights came about. fits, token_net: see `LoadedModel`.
    Raises OutputError when the file cannot be written.
    """
    stored = {
        name: tensor.detach().cpu().to(torch.float16).contiguous()
        if tensor.is_floating_point()
        else tensor.cpu()
        for name, tensor in tensors.items()
    }
    for name, array in (token_net.arrays() if token_net else {}).items():
        stored[TENSOR_PREFIX + name] = torch.from_numpy(array)
    metadata = {
        CONFIG_KEY: model.config.to_json(),
        CALIBRATION_KEY: json.dumps((fits or Fits()).to_json()),
        TRAINING_KEY: training,
    }
    write_tensors(path, stored, metadata)
    return file_sha256(path)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file, whole or not at all, over whatever is at `path`.

    Raises OutputError when it cannot be written.
    """
    content = save(dict(tensors), dict(metadata))
    with atomic_path(path, overwrite=True) as temporary:
        try:
            temporary.write_bytes(content)
        except OSError as error:
            raise OutputError(
                f"cannot be written ({error.strerror})", way_out="check the disk", where=str(path)
            ) from error


def holds_token_net(path: Path) -> bool:
    """Whether the weights file at `path`, which must be whole, has a token coder."""
    with safe_open(path, framework="pt") as reader:
        return any(name.startswith(TENSOR_PREFIX) for name in reader.keys())  # noqa: SIM118


def training_history(path: Path) -> dict[str, object]:
    """How the weights at `path`, which must be whole, came about; empty where the file does not say."""
    with safe_open(path, framework="pt") as reader:
        history: dict[str, object] = json.loads((reader.metadata() or {}).get(TRAINING_KEY, "{}"))
    return history


def read_config(path: Path) -> ModelConfig:
    """Shape and name of the model at `path`; ModelError when it is not a weights file of infotok."""
    try:
        with safe_open(path, framework="pt") as reader:
            return _config_of(path, reader.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error


def load_model(path: Path) -> LoadedModel:
    """Read a weights file onto the CPU in float32.

    Raises ModelError when the file is missing, is not a safetensors file, was not made by infotok or by
    another version of it, or its tensors are not exactly those its config asks for.
    """
    if not path.is_file():
        raise ModelError("does not exist", way_out="give `model` a .safetensors file", where=str(path))
    try:
        with safe_open(path, framework="pt") as reader:
            metadata = reader.metadata() or {}
            config = _config_of(path, metadata)
            fits = Fits.from_json(json.loads(metadata[CALIBRATION_KEY]))
            tensors = {name: reader.get_tensor(name) for name in reader.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise _unreadable(path, error) from error
    whole = [name for name in tensors if name.startswith(TENSOR_PREFIX)]
    arrays = {name.removeprefix(TENSOR_PREFIX): tensors.pop(name).numpy() for name in whole}
    try:
        token_net = TokenNet.from_arrays(config.levels, arrays) if arrays else None
    except InputError as error:
        raise ModelError(f"cannot be read as weights ({error.what})", where=str(path)) from error
    model = build_model(config, tensors, str(path))
    return LoadedModel(
        tokenizer=model,
        config=config,
        sha256=file_sha256(path),
        path=path,
        fits=fits,
        token_net=token_net,
    )


def _config_of(path: Path, metadata: Mapping[str, str]) -> ModelConfig:
    if CONFIG_KEY not in metadata:
        raise ModelError(
            f"is not an infotok model (its metadata has no {CONFIG_KEY})",
            way_out="give `model` a file made by 'infotok train'",
            where=str(path),
        )
    try:
        return ModelConfig.from_json(metadata[CONFIG_KEY])
    except ModelError as error:
        raise error.at(str(path)) from error


def _unreadable(path: Path, error: Exception) -> ModelError:
    return ModelError(f"cannot be read as weights ({str(error).splitlines()[0]})", where=str(path))


def build_model(config: ModelConfig, tensors: Mapping[str, Tensor], source: str) -> Tokenizer:
    """A model of `config` holding exactly `tensors`, as float32; ModelError names `source` if they differ."""
    model = Tokenizer(config)
    wide = {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
    try:
        model.load_state_dict(wide, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"does not fit its config ({reason})", where=source) from error
    return model.eval()
