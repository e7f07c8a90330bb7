"""`infotok train`: a frame cache, then a training run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("train")(train_command)


def train_command(
    clips: Annotated[Path, typer.Argument(help="Folder of videos, or of a frame cache.")],
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Weights file to write; a checkpoint is kept beside it."),
    ] = None,
    make_cache: Annotated[
        Path | None, typer.Option(help="Only cut CLIPS into a frame cache in this folder.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option("--minutes", "--time-budget", help="Stop after this many minutes in all."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Stop after this many steps in all; 0: only fit the coder.", min=0)
    ] = None,
    init: Annotated[
        str | None, typer.Option(help="Start from this model (name or file) instead of from scratch.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="Name the new model carries.",
            show_default="that of --init if it is no packaged model, else the name of OUTPUT",
        ),
    ] = None,
    masking: Annotated[
        str | None,
        typer.Option(
            metavar="error|elastic",
            help="What training drops: where little error is expected, or tails of the token sequence "
            "(a baseline, for --router elastic).",
            show_default="that of --init, else error",
        ),
    ] = None,
    overlap: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS",
            help="How far the picture of a patch reaches over its neighbours, 0 to 4; smooths patch edges.",
            show_default="that of --init, else 2",
        ),
    ] = None,
    batch: Annotated[int, typer.Option(help="Clips per batch, in each process.", min=2)] = 8,
    accumulate: Annotated[int, typer.Option(help="Batches per step, in each process.", min=1)] = 1,
    crop: Annotated[
        list[str] | None,
        typer.Option(
            help="Training clips as frames x pixels per side; may be given again, then steps draw one.",
            show_default="16x128",
        ),
    ] = None,
    learning_rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 2e-3,
    final_share: Annotated[
        float, typer.Option(help="Share of the run, at its end, in which the learning rate falls to 0.")
    ] = 0.5,
    average_decay: Annotated[
        float, typer.Option(help="Share of the averaged weights, which are what is written, kept per step.")
    ] = 0.999,
    coder_steps: Annotated[
        int,
        typer.Option(help="Steps of fitting the token coder at the end (a few minutes); 0: no coder.", min=0),
    ] = 4000,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    kernels: Annotated[
        str | None,
        typer.Option(
            help="reference or triton.",
            show_default="INFOTOK_KERNELS if it is set, else what suits the device",
        ),
    ] = None,
    device_cache: Annotated[
        bool, typer.Option("--device-cache", help="Hold the whole frame cache in the device's memory.")
    ] = False,
    compile_blocks: Annotated[
        bool, typer.Option("--compile/--no-compile", help="Compile the transformer blocks first (a minute).")
    ] = True,
    seed: Annotated[int, typer.Option(help="Seed of all random numbers.", min=0)] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", "-y", help="Replace OUTPUT, if it is not of a run to go on with.")
    ] = False,
) -> None:
    """Train a model on your own videos, or go on training one.

    CLIPS may be videos: they are cut into a frame cache beside the output first. A run that was
    interrupted (Ctrl-C ends it cleanly) goes on when the same command is given again.

    Several GPUs, or machines: start it with torchrun, from a frame cache.

    \b
    Examples:
      infotok train clips/ -o mine.safetensors --minutes 60
      infotok train clips/ --make-cache cache/
      infotok train cache/ -o mine.safetensors --init small --steps 2000
      torchrun --nproc-per-node 8 -m infotok_cli train cache/ -o mine.safetensors --minutes 60
    """
    from infotok_cli.cli import train_view
    from infotok_cli.cli.options import check_file_output
    from infotok_cli.errors import UsageError

    if make_cache is not None:
        train_view.cut(clips, make_cache)
        return
    if output is None or output.suffix != ".safetensors":
        raise UsageError(f"--output {output or ''} is needed", way_out="name a .safetensors file to write")
    if minutes is None and steps is None:
        raise UsageError("--minutes or --steps is needed", way_out="say how long to train")
    for option, value in (("--minutes", minutes), ("--learning-rate", learning_rate)):
        if value is not None and not 0 < value < float("inf"):
            raise UsageError(f"{option} {value:g} must be more than 0")

    from infotok_cli.config import MAX_NAME_BYTES, ModelConfig, is_model_name
    from infotok_cli.model.engine import choose_runtime
    from infotok_cli.model.weights import read_config
    from infotok_cli.routers import MASKINGS
    from infotok_cli.train.frame_cache import CropShape
    from infotok_cli.train.initial_weights import check_overlap
    from infotok_cli.train.naming import default_name
    from infotok_cli.train.options import (
        CHECKPOINT_SUFFIX,
        DEFAULT_CROP,
        DEFAULT_OVERLAP,
        TrainOptions,
    )

    if masking not in (None, *MASKINGS):
        raise UsageError(f"--masking {masking!r} is unknown", way_out=f"choose {', '.join(MASKINGS)}")
    if name is not None and not is_model_name(name):
        raise UsageError(
            f"--name {name!r} does not fit", way_out=f"choose 1 to {MAX_NAME_BYTES} bytes of printable text"
        )
    runtime = choose_runtime(device, kernels)
    crops = tuple(CropShape.parse(text) for text in crop) if crop else (DEFAULT_CROP,)

    resumes = output.with_suffix(CHECKPOINT_SUFFIX).exists()
    check_file_output(output, overwrite=overwrite or resumes)
    start = None
    if init is not None:
        from infotok_cli.itk.find_weights import find_model

        start = find_model(init)
        if overlap is not None:
            check_overlap(read_config(start), overlap)
    options = TrainOptions(
        cache=clips,
        output=output,
        config=ModelConfig(
            name=default_name(output, start) if name is None else name, overlap=DEFAULT_OVERLAP
        ),
        init=start,
        masking=masking,
        overlap=overlap,
        steps=steps,
        time_budget_seconds=minutes * 60 if minutes is not None else None,
        batch=batch,
        accumulate=accumulate,
        crops=crops,
        learning_rate=learning_rate,
        final_share=final_share,
        average_decay=average_decay,
        coder_steps=coder_steps,
        device=runtime.device.type,
        kernels=kernels,
        device_cache=device_cache,
        compile=compile_blocks,
        seed=seed,
    )
    # Cutting may take long: only once all that was asked for is known to be possible.
    train_view.run(replace(options, cache=train_view.cache_of(clips, output)))
