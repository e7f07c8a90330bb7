"""Options that say which model runs, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from infotok_cli.cli import options, quantities

if TYPE_CHECKING:
    from infotok_cli.model.engine import Engine

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME|PATH",
        help="A packaged model, or a .safetensors file.",
        show_default="INFOTOK_MODEL, else small",
        rich_help_panel=options.MODEL_PANEL,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="auto|cpu|cuda",
        parser=quantities.one_of("--device", ("auto", "cpu", "cuda")),
        help="Where the model runs; auto takes CUDA if there is a device.",
        rich_help_panel=options.MODEL_PANEL,
    ),
]
Kernels = Annotated[
    str | None,
    typer.Option(
        "--kernels",
        metavar="reference|triton",
        help="Implementation of attention, quantizer and error map; an error if it cannot run here.",
        show_default="INFOTOK_KERNELS, else by device",
        rich_help_panel=options.MODEL_PANEL,
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        "--precision",
        metavar="auto|bf16|fp32",
        parser=quantities.one_of("--precision", ("auto", "bf16", "fp32")),
        help="Precision of matrix products; auto takes bf16 if the hardware has it.",
        rich_help_panel=options.MODEL_PANEL,
    ),
]
Deterministic = Annotated[
    bool,
    typer.Option(
        "--deterministic",
        help="The same bits each time on one kind of device: fp32, one segment at a time. Slower.",
        rich_help_panel=options.MODEL_PANEL,
    ),
]
Compile = Annotated[
    bool,
    typer.Option(
        "--compile",
        help="Run the transformer blocks through torch.compile: slow to start, needs a C++ compiler (on "
        "CUDA, triton and a C compiler).",
        rich_help_panel=options.MODEL_PANEL,
    ),
]


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """A model that decodes."""

    model: Model = None
    device: Device = "auto"
    kernels: Kernels = None
    precision: Precision = "auto"

    def engine(self) -> Engine:
        """Load it; raises as `load_engine`."""
        from infotok_cli.codec.load_engine import load_engine

        return load_engine(self.model, self.device, self.kernels, precision=self.precision)


@dataclass(frozen=True, kw_only=True)
class CodecOptions(ModelOptions):
    """A model whose bytes are kept."""

    deterministic: Deterministic = False
    compile_blocks: Compile = False

    def engine(self) -> Engine:
        from infotok_cli.codec.load_engine import load_engine

        return load_engine(
            self.model, self.device, self.kernels,
            precision=self.precision, deterministic=self.deterministic, compiled=self.compile_blocks,
        )  # fmt: skip
