"""infotok: adaptive discrete video tokenization as a codec.

The Python API loads what it needs on first use:

    load(name_or_path=None, device="auto", kernels=None)   a model, ready to run
    encode(source, target, model, options)   video to .itk; paths, or binary streams for a pipe
    decode(source, target, model)            .itk to video; the same
    open(path)                               an .itk file's header, index and segments; no torch
    EncodeOptions(rate=0.5, ...)             what an encode is asked to do
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_API = {
    "load": ("infotok_cli.codec.load_engine", "load_engine"),
    "encode": ("infotok_cli.codec.encode", "encode_file"),
    "decode": ("infotok_cli.codec.decode", "decode_file"),
    "open": ("infotok_cli.container.reader", "ItkReader"),
    "EncodeOptions": ("infotok_cli.codec.options", "EncodeOptions"),
    "Budget": ("infotok_cli.allocation.budgets", "Budget"),
}


def __getattr__(name: str) -> Any:
    if name not in _API:
        raise AttributeError(f"module 'infotok_cli' has no attribute {name!r}")
    module, attribute = _API[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*_API, "__version__"])
