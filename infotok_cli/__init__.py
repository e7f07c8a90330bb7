"""infotok: adaptive discrete video tokenization as a codec.

The Python API loads what it needs on first use; docs/PYTHON.md shows it at work:

    load("small", device="auto")             a Model: encode_frames, decode_frames, decode
    open(path, bytes or stream)              a TokenFile: tokens as arrays, without torch
    encode(source, target, model, options)   video to .itk, as `infotok encode`
    decode(source, target, model)            .itk to video, as `infotok decode`
    cut, concat, repair, export, import_     .itk files to others, without torch
    EncodeFiles                              encodes the videos of a table; the class of a Ray Data actor
    EncodeOptions, Budget                    what an encode is asked to do
    InfotokError                             of what is raised; TypeError for what is no file or no frames
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infotok_cli.allocation.budgets import Budget
    from infotok_cli.batch.encode_files import EncodeFiles
    from infotok_cli.codec.decode import DecodeReport
    from infotok_cli.codec.encode import EncodeReport
    from infotok_cli.codec.files import decode, encode
    from infotok_cli.codec.loaded_model import Model, load
    from infotok_cli.codec.options import EncodeOptions
    from infotok_cli.container.header import Header
    from infotok_cli.errors import InfotokError, InputError, ModelError, OutputError, UsageError
    from infotok_cli.itk.edit import EditReport
    from infotok_cli.itk.files import concat, cut, export, import_, repair
    from infotok_cli.itk.flat import FlatReport
    from infotok_cli.itk.token_file import TokenFile, TokenSegment
    from infotok_cli.itk.token_file import TokenFile as open
    from infotok_cli.itk.training_formats.export import TrainingReport, export_training

__version__ = "0.1.0"

__all__ = [
    "Budget",
    "DecodeReport",
    "EditReport",
    "EncodeFiles",
    "EncodeOptions",
    "EncodeReport",
    "FlatReport",
    "Header",
    "InfotokError",
    "InputError",
    "Model",
    "ModelError",
    "OutputError",
    "TokenFile",
    "TokenSegment",
    "TrainingReport",
    "UsageError",
    "__version__",
    "concat",
    "cut",
    "decode",
    "encode",
    "export",
    "export_training",
    "import_",
    "load",
    "open",
    "repair",
]

_PLACES = {
    "infotok_cli.allocation.budgets": ("Budget",),
    "infotok_cli.batch.encode_files": ("EncodeFiles",),
    "infotok_cli.codec.decode": ("DecodeReport",),
    "infotok_cli.codec.encode": ("EncodeReport",),
    "infotok_cli.codec.files": ("decode", "encode"),
    "infotok_cli.codec.loaded_model": ("Model", "load"),
    "infotok_cli.codec.options": ("EncodeOptions",),
    "infotok_cli.container.header": ("Header",),
    "infotok_cli.errors": ("InfotokError", "InputError", "ModelError", "OutputError", "UsageError"),
    "infotok_cli.itk.edit": ("EditReport",),
    "infotok_cli.itk.files": ("concat", "cut", "export", "import_", "repair"),
    "infotok_cli.itk.flat": ("FlatReport",),
    "infotok_cli.itk.token_file": ("TokenFile", "TokenSegment"),
    "infotok_cli.itk.training_formats.export": ("TrainingReport", "export_training"),
}
_API = {name: (module, name) for module, names in _PLACES.items() for name in names}
_API["open"] = ("infotok_cli.itk.token_file", "TokenFile")


if not TYPE_CHECKING:  # there it would give a type to every misspelt name

    def __getattr__(name: str) -> object:
        if name not in _API:
            raise AttributeError(f"module 'infotok_cli' has no attribute {name!r}")
        module, attribute = _API[name]
        return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
