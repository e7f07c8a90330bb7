"""`infotok train`: a frame cache, then a training run."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from infotok_cli.cli import quantities
from infotok_cli.cli.file_checks import check_file_output
from infotok_cli.cli.model_options import Device, Kernels
from infotok_cli.cli.options import MODEL_PANEL, OUTPUT_PANEL, Overwrite, output_option

if TYPE_CHECKING:
    from infotok_cli.routers import MaskingName
    from infotok_cli.train.options import TrainOptions

LENGTH_PANEL = "How long (at least one of these)"
START_PANEL = "What is trained"
STEP_PANEL = "Steps"


@dataclass(frozen=True, kw_only=True)
class LengthOptions:
    """How long it is trained."""

    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes",
            "--time-budget",
            metavar="N",
            parser=quantities.number("--minutes"),
            help="Stop after N minutes in total.",
            rich_help_panel=LENGTH_PANEL,
        ),
    ] = None
    steps: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            parser=quantities.whole("--steps"),
            help="Stop after N steps in total; 0 only fits what is fitted at the end.",
            rich_help_panel=LENGTH_PANEL,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class StartOptions:
    """What is trained."""

    init: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH",
            help="Start from this model and fine-tune it.",
            rich_help_panel=START_PANEL,
            show_default="train from scratch",
        ),
    ] = None
    name: Annotated[
        str | None,
        typer.Option(
            help="Name of the new model.",
            rich_help_panel=START_PANEL,
            show_default="that of --init unless it is a packaged model, else that of OUTPUT",
        ),
    ] = None
    masking: Annotated[
        str | None,
        typer.Option(
            metavar="error|elastic",
            rich_help_panel=START_PANEL,
            help="Which tokens training drops: where little error is expected, or the ends of token "
            "sequences (a baseline, for --router elastic).",
            show_default="that of --init, else error",
        ),
    ] = None
    overlap: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS",
            parser=quantities.whole("--overlap"),
            rich_help_panel=START_PANEL,
            help="Overlap of a patch with its neighbours, 0 to 4; smooths patch edges.",
            show_default="that of --init, else 2",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class StepOptions:
    """What a step is."""

    batch: Annotated[
        int,
        typer.Option(
            metavar="N",
            parser=quantities.whole("--batch"),
            help="Clips per batch and process.",
            rich_help_panel=STEP_PANEL,
        ),
    ] = 8
    accumulate: Annotated[
        int,
        typer.Option(
            metavar="N",
            parser=quantities.whole("--accumulate"),
            help="Batches per step and process.",
            rich_help_panel=STEP_PANEL,
        ),
    ] = 1
    crop: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FRAMESxSIDE",
            help="Size of training clips; repeat to mix sizes, one per step.",
            show_default="16x128",
            rich_help_panel=STEP_PANEL,
        ),
    ] = None
    learning_rate: Annotated[
        float,
        typer.Option(
            metavar="RATE",
            parser=quantities.number("--learning-rate"),
            help="Peak learning rate.",
            rich_help_panel=STEP_PANEL,
        ),
    ] = 2e-3
    final_share: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            parser=quantities.share("--final-share"),
            help="Share of the run, at its end, over which the learning rate falls to 0.",
            rich_help_panel=STEP_PANEL,
        ),
    ] = 0.5
    average_decay: Annotated[
        float,
        typer.Option(
            metavar="D",
            parser=quantities.number("--average-decay"),
            help="Decay per step of the moving average of the weights.",
            rich_help_panel=STEP_PANEL,
        ),
    ] = 0.999
    coder_steps: Annotated[
        int,
        typer.Option(
            metavar="N",
            parser=quantities.whole("--coder-steps"),
            help="Steps of fitting the token coder at the end (minutes); 0 leaves it out.",
            rich_help_panel=STEP_PANEL,
        ),
    ] = 4000
    seed: Annotated[
        int,
        typer.Option(
            metavar="N", parser=quantities.whole("--seed"), help="Random seed.", rich_help_panel=STEP_PANEL
        ),
    ] = 0


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What computes it."""

    device: Device = "auto"
    kernels: Kernels = None
    device_cache: Annotated[
        bool,
        typer.Option(
            "--device-cache", help="Hold the whole frame cache in GPU memory.", rich_help_panel=MODEL_PANEL
        ),
    ] = False
    compile_blocks: Annotated[
        bool,
        typer.Option(
            "--compile/--no-compile",
            help="Use torch.compile, which takes a minute at the start.",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = True


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("train")(train_command)


def train_command(
    clips: Annotated[Path, typer.Argument(help="Folder of videos, or a frame cache.")],
    *,
    output: Annotated[
        Path | None,
        output_option("OUT", "Weights file to write (.safetensors); a checkpoint is kept beside it."),
    ] = None,
    make_cache: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Only cut CLIPS into a frame cache.", rich_help_panel=OUTPUT_PANEL
        ),
    ] = None,
    overwrite: Overwrite = False,
    length: LengthOptions,
    start: StartOptions,
    step: StepOptions,
    run: RunOptions,
) -> None:
    """Train a model on your own videos, or resume training.

    Videos are first cut into a frame cache beside the output. An interrupted run (Ctrl-C ends it cleanly)
    resumes when the same command is given again.

    To train on several GPUs or machines, start it with torchrun, from a frame cache.

    \b
    Examples:
      infotok train clips/ -o mine.safetensors --minutes 60
      infotok train clips/ --make-cache cache/
      infotok train cache/ -o mine.safetensors --init small --steps 2000
      torchrun --nproc-per-node 8 -m infotok_cli train cache/ -o mine.safetensors --minutes 60
    """
    _wait_awake()
    from infotok_cli.cli import train_view
    from infotok_cli.errors import UsageError

    if make_cache is not None:
        train_view.cut(clips, make_cache)
        return
    if output is None:
        raise UsageError("--output is needed", way_out="name a .safetensors file to write")

    from infotok_cli.train.starting_model import check_init

    options = _asked_for(clips, output, length=length, start=start, step=step, run=run)
    check_file_output(output, overwrite=overwrite or options.checkpoint.exists())
    check_init(options)
    # Cutting may take long: only once all that was asked for is known to be possible.
    train_view.run(replace(options, cache=train_view.cache_of(clips, output)))


def _wait_awake() -> None:
    """Have torch's threads spin for some microseconds before they sleep; read when torch is loaded.

    A training step is thousands of operations, many of which take no longer than waking a thread: a step of
    the closed loop takes 0.6 times as long so on an idle machine, 1.4 times beside a busy process
    (docs/LOG.md).
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")


def _asked_for(
    clips: Path,
    output: Path,
    *,
    length: LengthOptions,
    start: StartOptions,
    step: StepOptions,
    run: RunOptions,
) -> TrainOptions:
    """What the values of these options ask for; raises UsageError and ModelError."""
    from infotok_cli.config import ModelConfig
    from infotok_cli.itk.find_weights import find_model
    from infotok_cli.model.engine import choose_runtime
    from infotok_cli.train.frame_cache import CropShape
    from infotok_cli.train.options import DEFAULT_CROP, DEFAULT_OVERLAP, TrainOptions, default_name

    init = find_model(start.init) if start.init is not None else None
    return TrainOptions(
        cache=clips,
        output=output,
        config=ModelConfig(name=default_name(output, init), overlap=DEFAULT_OVERLAP),
        name=start.name,
        init=init,
        masking=cast("MaskingName | None", start.masking),
        overlap=start.overlap,
        steps=length.steps,
        minutes=length.minutes,
        batch=step.batch,
        accumulate=step.accumulate,
        crops=tuple(CropShape.parse(text) for text in step.crop) if step.crop else (DEFAULT_CROP,),
        learning_rate=step.learning_rate,
        final_share=step.final_share,
        average_decay=step.average_decay,
        coder_steps=step.coder_steps,
        device=choose_runtime(run.device, run.kernels).device.type,
        kernels=run.kernels,
        device_cache=run.device_cache,
        compile=run.compile_blocks,
        seed=step.seed,
    )
