"""Options that several commands share, and the checks of arguments that need no file to be read."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infotok_cli.cli.input_names import check_name
from infotok_cli.errors import InputError, UsageError

if TYPE_CHECKING:
    from infotok_cli.allocation.budgets import Budget

OUTPUT_PANEL = "Output"
BUDGET_PANEL = "How many tokens (at most one of these)"
TOKENS_PANEL = "Where tokens go"
SELECTION_PANEL = "What is read"
MODEL_PANEL = "How the model runs"

MAX_CRF = 63


def seconds(option: typer.CallbackParam, value: float | None) -> float | None:
    """Check a time: finite and not negative."""
    if value is not None and not (math.isfinite(value) and value >= 0):
        raise UsageError(
            f"{option.opts[0]} {value:g} is not a time", way_out="give seconds from the beginning, 0 or more"
        )
    return value


def crf(option: typer.CallbackParam, value: int | None) -> int | None:
    """Check a constant rate factor; encoders have limits of their own within these."""
    if value is not None and not 0 <= value <= MAX_CRF:
        raise UsageError(f"{option.opts[0]} {value} is out of range", way_out=f"choose 0 to {MAX_CRF}")
    return value


Start = Annotated[
    float | None,
    typer.Option(
        "--start",
        metavar="SECONDS",
        help="Start at this time.",
        callback=seconds,
        show_default="the beginning",
        rich_help_panel=SELECTION_PANEL,
    ),
]
End = Annotated[
    float | None,
    typer.Option(
        "--end",
        metavar="SECONDS",
        help="Stop before this time.",
        callback=seconds,
        show_default="the end",
        rich_help_panel=SELECTION_PANEL,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME|PATH",
        help="A packaged model, or a .safetensors file.",
        show_default="INFOTOK_MODEL, else small",
        rich_help_panel=MODEL_PANEL,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="auto|cpu|cuda",
        help="Where the model runs; auto takes CUDA if there is a device.",
        rich_help_panel=MODEL_PANEL,
    ),
]
Kernels = Annotated[
    str | None,
    typer.Option(
        "--kernels",
        metavar="reference|triton",
        help="Implementation of attention and quantizer; an error if it cannot run here.",
        show_default="INFOTOK_KERNELS, else by device",
        rich_help_panel=MODEL_PANEL,
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        "--precision",
        metavar="auto|bf16|fp32",
        help="Precision of matrix products; auto takes bf16 if the hardware has it.",
        rich_help_panel=MODEL_PANEL,
    ),
]
Deterministic = Annotated[
    bool,
    typer.Option(
        "--deterministic",
        help="The same bits each time on one kind of device: fp32, one segment at a time. Slower.",
        rich_help_panel=MODEL_PANEL,
    ),
]
Compile = Annotated[
    bool,
    typer.Option(
        "--compile",
        help="Run the transformer blocks through torch.compile: slow to start, needs a C++ compiler (on "
        "CUDA, triton and a C compiler).",
        rich_help_panel=MODEL_PANEL,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        "-y",
        help="Replace an existing output.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json", help="Print a report as one line of JSON on stdout.", rich_help_panel=OUTPUT_PANEL
    ),
]
ItkFile = Annotated[
    Path, typer.Argument(metavar="FILE.itk", help="A file made by 'infotok encode'.", show_default=False)
]


_SCALES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}


def quantity(option: str, text: str | None) -> float | None:
    """The number that `text` names (500, 500k, 1.5M, 1.5MB, 64KiB); None for None, else UsageError."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*([kmg]?i?)b?", text.strip().lower())
    if match is None or match[2] not in _SCALES:
        raise UsageError(
            f"{option} {text!r} is not a quantity", way_out="give a number like 500, 500k, 1.5M or 64KiB"
        )
    return float(match[1]) * _SCALES[match[2]]


def one_budget(rate: float | None, given: Mapping[str, float | None]) -> Budget | None:
    """The one budget that is not None, if any; UsageError for several, `rate` counting as one."""
    from infotok_cli.allocation.budgets import Budget

    chosen = [(kind, value) for kind, value in given.items() if value is not None]
    names = (["--rate"] if rate is not None else []) + [f"--{kind}" for kind, _ in chosen]
    if len(names) > 1:
        raise UsageError(f"{' and '.join(names)} exclude each other", way_out="give only one of them")
    return Budget(*chosen[0]) if chosen else None


def check_distinct(source: Path, target: Path) -> None:
    """Raise UsageError when input and output are the same file, links followed."""
    try:
        same = os.path.samefile(source, target)
    except (OSError, ValueError):
        same = os.path.realpath(source) == os.path.realpath(target)
    if same:
        raise UsageError("is the input itself", way_out="name another output with -o", where=str(target))


def check_input(source: Path) -> None:
    """Raise InputError when there is no file at `source`; what is wrong with it is found when it is read."""
    check_name(source)
    try:
        is_folder, exists = source.is_dir(), source.exists()
    except OSError as error:
        raise InputError(
            f"cannot be opened: {error.strerror}", way_out="check the name", where=str(source)
        ) from error
    if is_folder:
        raise InputError("is a folder", way_out="name one file", where=str(source))
    if not exists:
        raise InputError("does not exist", way_out="check the name", where=str(source))


def check_file_output(target: Path, overwrite: bool) -> None:
    """Raise OutputError unless a file can be written at `target`; leaves everything as it was.

    Asks the very code that will write the output, before anything slow happens.
    """
    from infotok_cli.atomic import check_path

    check_path(target, overwrite)


def check_folder_output(target: Path, overwrite: bool) -> None:
    """Raise OutputError unless PNG frames can be written into `target`; leaves everything as it was."""
    from infotok_cli.video.png_folder import PngWriter

    PngWriter(target, 1, 1, overwrite=overwrite).abort()
