"""What a new model is called when nobody says."""

from __future__ import annotations

from pathlib import Path

import infotok_weights
from infotok_cli.config import MAX_NAME_BYTES
from infotok_cli.model.weights import read_config


def default_name(output: Path, init: Path | None) -> str:
    """That of the model to start from; from scratch, or from a packaged one, that of the file to write.

    Files say the name of their model, so one that is no longer a packaged model must not look like it.
    Raises ModelError when `init` is no model.
    """
    if init is not None and not _is_packaged(init):
        return read_config(init).name
    printable = "".join(filter(str.isprintable, output.stem))
    return printable.encode()[:MAX_NAME_BYTES].decode(errors="ignore") or "mine"


def _is_packaged(path: Path) -> bool:
    return path.resolve() in {infotok_weights.path(name).resolve() for name in infotok_weights.names()}
