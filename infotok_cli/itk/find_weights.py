"""Finding weights files, and reading the token net out of one, without torch."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import infotok_weights
from infotok_cli.config import CONFIG_KEY, ModelConfig
from infotok_cli.container.header import Header
from infotok_cli.entropy.token_net import TENSOR_PREFIX, TokenNet
from infotok_cli.errors import InputError, ModelError
from infotok_cli.places import PathName
from infotok_cli.token_codings import TOKEN_CODINGS

MODEL_VARIABLE = "INFOTOK_MODEL"


def find_model(name_or_path: PathName | None) -> Path:
    """File of a model given by name or path; None takes `INFOTOK_MODEL`, then the default model.

    Raises ModelError when there is no such model.
    """
    named = None if name_or_path is None else os.fspath(name_or_path)
    wanted = named or os.environ.get(MODEL_VARIABLE) or infotok_weights.DEFAULT
    if wanted in infotok_weights.manifest():
        return infotok_weights.path(wanted)
    path = Path(wanted)
    if path.suffix == ".safetensors" or path.exists():
        if not path.is_file():
            raise ModelError(
                f"model file {wanted} does not exist", way_out=f"check `model` and {MODEL_VARIABLE}"
            )
        return path
    raise ModelError(
        f"model {wanted!r} is unknown",
        way_out=f"choose {', '.join(infotok_weights.names())} or give a .safetensors file",
    )


def token_net_for(header: Header, name_or_path: PathName | None = None) -> TokenNet | None:
    """The token net that codes the ids of a file with this header; None when it needs none.

    Looks into the model named (as `find_model`) and into the packaged ones.
    Raises ModelError when none of them is the file's, or what is named is not a model, needed or not.
    """
    if name_or_path is not None:
        _check_model(find_model(name_or_path))
    if not TOKEN_CODINGS[header.token_coding].needs_net:
        return None
    for path in (find_model(name_or_path), *map(infotok_weights.path, infotok_weights.names())):
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").digest()
        if digest == header.model_sha256:
            return _read_token_net(path, header)
    raise ModelError(
        f"tokens are coded with model {header.model_name} {header.model_sha256.hex()[:12]}, which "
        "is not here",
        way_out="give its file with `model`",
    )


def _check_model(path: Path) -> None:
    """Raise ModelError unless the file is a weights file of ours, whichever model it holds."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as reader:
            config = (reader.metadata() or {}).get(CONFIG_KEY)
    except (SafetensorError, OSError) as error:
        raise ModelError(
            "is not a weights file", way_out="give a .safetensors file with `model`", where=str(path)
        ) from error
    if config is None:
        raise ModelError(
            "holds no model of infotok", way_out="give another file with `model`", where=str(path)
        )
    ModelConfig.from_json(config)


def _read_token_net(path: Path, header: Header) -> TokenNet:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as reader:
            config = ModelConfig.from_json((reader.metadata() or {}).get(CONFIG_KEY, ""))
            if config.levels != header.levels:
                raise InputError(f"its quantizer levels are {config.levels}, not {header.levels}")
            arrays = {
                name.removeprefix(TENSOR_PREFIX): reader.get_tensor(name)
                for name in reader.keys()  # noqa: SIM118
                if name.startswith(TENSOR_PREFIX)
            }
        return TokenNet.from_arrays(header.levels, arrays)
    except (SafetensorError, OSError, InputError) as error:
        raise ModelError(f"model file {path} holds no token net for this file: {error}") from error
