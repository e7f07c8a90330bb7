"""Loading a model, and checking that it suits a file or what an encode was asked to do."""

from __future__ import annotations

from infotok_cli.codec.options import EncodeOptions
from infotok_cli.container.header import Header
from infotok_cli.errors import ModelError, UsageError
from infotok_cli.itk.find_weights import find_model
from infotok_cli.model.engine import Engine, choose_runtime
from infotok_cli.model.weights import load_model
from infotok_cli.places import PathName
from infotok_cli.routers import ROUTERS
from infotok_cli.token_codings import TOKEN_CODINGS


def load_engine(
    name_or_path: PathName | None = None,
    device: str = "auto",
    kernels: str | None = None,
    *,
    precision: str = "auto",
    deterministic: bool = False,
    compiled: bool = False,
) -> Engine:
    """Load a model and put it on a device (auto, cpu, cuda); see `choose_runtime` for the rest."""
    runtime = choose_runtime(
        device, kernels, precision=precision, deterministic=deterministic, compiled=compiled
    )
    return Engine(load_model(find_model(name_or_path)), runtime)


def check_model(engine: Engine, header: Header, source: str) -> None:
    """Raise ModelError unless `engine` runs the very weights that made the file."""
    if engine.loaded.sha256 != header.model_sha256.hex():
        raise ModelError(
            f"was made with model {header.model_name} {header.model_sha256.hex()[:12]}, but "
            f"{engine.loaded.path.name} is {engine.loaded.sha256[:12]}",
            way_out="give the right file with `model`",
            where=source,
        )
    if engine.loaded.config.levels != header.levels:
        raise ModelError(f"quantizer levels {header.levels} are not those of its model", where=source)
    if TOKEN_CODINGS[header.token_coding].needs_net and engine.loaded.token_net is None:
        raise ModelError(
            f"its tokens are coded, but {engine.loaded.path.name} has no token coder", where=source
        )


def check_masking(engine: Engine, options: EncodeOptions) -> None:
    """UsageError unless the weights were trained for the keep maps that the options would make."""
    config, router = engine.loaded.config, ROUTERS[options.router]
    drops_none = options.budget is None and options.rate >= 1
    if router.masking == config.masking or (router.masking == "error" and drops_none):
        return
    able = " or ".join(name for name, other in ROUTERS.items() if other.masking == config.masking)
    raise UsageError(
        f"`router` {router.name} needs weights trained with `masking` {router.masking}, but "
        f"{config.name} was trained with `masking` {config.masking}",
        way_out=f"choose `router` {able}",
    )
