"""Options that several commands share, and the checks of arguments that need no file to be read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infotok_cli.cli import output, quantities
from infotok_cli.cli.input_names import check_name
from infotok_cli.errors import InputError, UsageError

if TYPE_CHECKING:
    from infotok_cli.allocation.budgets import Budget

OUTPUT_PANEL = "Output"
BUDGET_PANEL = "How many tokens (at most one of these)"
TOKENS_PANEL = "Where tokens go"
SELECTION_PANEL = "Input"
INPUT_PANEL = "Damaged videos and folders of pictures"
MODEL_PANEL = "How the model runs"
MESSAGES_PANEL = "Messages"

MAX_CRF = 63


def _set_quiet(wanted: bool) -> bool:
    output.voice.quiet = output.voice.quiet or wanted
    return wanted


def _set_verbose(wanted: bool) -> bool:
    output.voice.verbose = output.voice.verbose or wanted
    return wanted


def crf(text: Any) -> Any:
    """Parser of a constant rate factor; encoders have limits of their own within these."""
    value = quantities.whole("--crf")(text)
    if value is not None and not 0 <= value <= MAX_CRF:
        raise UsageError(f"--crf {value} is out of range", way_out=f"choose 0 to {MAX_CRF}")
    return value


def output_option(metavar: str, help: str, *, default: str | None = None) -> Any:
    """Declaration of -o; `default` says in words what is written without it, None that it must be given."""
    return typer.Option(
        "--output",
        "-o",
        metavar=metavar,
        help=help,
        show_default=default or False,
        rich_help_panel=OUTPUT_PANEL,
    )


Start = Annotated[
    float | None,
    typer.Option(
        "--start",
        metavar="TIME",
        help="Start at this time, such as 90 or 1:30.",
        parser=quantities.seconds("--start"),
        show_default="the beginning",
        rich_help_panel=SELECTION_PANEL,
    ),
]
End = Annotated[
    float | None,
    typer.Option(
        "--end",
        metavar="TIME",
        help="Stop before this time.",
        parser=quantities.seconds("--end"),
        show_default="the end",
        rich_help_panel=SELECTION_PANEL,
    ),
]
Duration = Annotated[
    float | None,
    typer.Option(
        "--duration",
        metavar="TIME",
        help="Stop this long after the start, instead of --end.",
        parser=quantities.seconds("--duration"),
        rich_help_panel=SELECTION_PANEL,
    ),
]
Frames = Annotated[
    int | None,
    typer.Option(
        "--frames",
        metavar="N",
        help="Stop after N frames, or at the end if that comes first.",
        parser=quantities.whole("--frames", least=1),
        rich_help_panel=SELECTION_PANEL,
    ),
]
NoAudio = Annotated[
    bool,
    typer.Option("--no-audio", help="Leave the sound out.", rich_help_panel=SELECTION_PANEL),
]
Original = Annotated[
    Path | None,
    typer.Option(
        "--source",
        metavar="VIDEO",
        help="The video that was encoded, to show beside the decoded one, with PSNR.",
        show_default="none",
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
        parser=quantities.one_of("--device", ("auto", "cpu", "cuda")),
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
        parser=quantities.one_of("--precision", ("auto", "bf16", "fp32")),
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
        "--json",
        help="Print a report as one line of JSON on stdout.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        help="Say nothing on stderr but warnings and errors.",
        callback=_set_quiet,
        rich_help_panel=MESSAGES_PANEL,
    ),
]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        help="Also say what ran, and where time and bytes went.",
        callback=_set_verbose,
        rich_help_panel=MESSAGES_PANEL,
    ),
]
ShowBad = Annotated[
    bool,
    typer.Option(
        "--skip-bad",
        help="Show a damaged file too, with stripes over what is lost and a good frame in its place.",
        rich_help_panel=SELECTION_PANEL,
    ),
]
Frame = Annotated[
    int | None,
    typer.Option(
        "--frame",
        parser=quantities.whole("--frame"),
        metavar="N",
        help="Which frame to draw, counted from 0.",
        show_default="the most telling",
        rich_help_panel=SELECTION_PANEL,
    ),
]
At = Annotated[
    float | None,
    typer.Option(
        "--at",
        parser=quantities.seconds("--at"),
        metavar="TIME",
        help="The frame to draw by its time, instead of --frame.",
        show_default="none",
        rich_help_panel=SELECTION_PANEL,
    ),
]
ItkFile = Annotated[
    Path, typer.Argument(metavar="FILE.itk", help="A file made by 'infotok encode'.", show_default=False)
]


def end_of(start: float | None, end: float | None, duration: float | None) -> float | None:
    """Where to stop, by --end or --duration; UsageError for both, and for an end before the start."""
    if duration is not None:
        if end is not None:
            raise UsageError("--end and --duration both say where to stop", way_out="give one of them")
        if not duration:
            raise UsageError("--duration 0 leaves nothing", way_out="give more than 0")
        return (start or 0) + duration
    if end is not None and end <= (start or 0):
        raise UsageError(f"--end {end:g} is not after --start {start or 0:g}", way_out="give a later end")
    return end


def one_budget(rate: float | None, given: Mapping[str, float | None]) -> Budget | None:
    """The one budget that is not None, if any; UsageError for several, `rate` counting as one."""
    chosen = [(kind, value) for kind, value in given.items() if value is not None]
    names = (["--rate"] if rate is not None else []) + [f"--{kind}" for kind, _ in chosen]
    if len(names) > 1:
        raise UsageError(f"{' and '.join(names)} exclude each other", way_out="give only one of them")
    if not chosen:
        return None
    from infotok_cli.allocation.budgets import Budget

    return Budget(*chosen[0])


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
