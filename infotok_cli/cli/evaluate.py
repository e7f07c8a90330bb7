"""`infotok eval`: quality against real bits over a set of clips."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("eval")(evaluate)


def evaluate(
    clips: Annotated[list[Path], typer.Argument(help="Video files, or folders of them.")],
    *,
    rates: Annotated[str, typer.Option(help="Token rates, separated by commas.")] = "1,0.75,0.5,0.25",
    routers: Annotated[str, typer.Option(help="Routers: fast, exact, fixed, elastic.")] = "fast",
    allocations: Annotated[str, typer.Option(help="Allocations: block, position.")] = "block",
    short_side: Annotated[
        int | None, typer.Option(help="Resize the shorter side to this many pixels.")
    ] = None,
    segment_frames: Annotated[int | None, typer.Option(help="Frames per segment, a multiple of 4.")] = None,
    model: Annotated[str | None, typer.Option(help="Name or .safetensors file of the model.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write every figure to this JSON file as well.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Overwrite the JSON file.")] = False,
) -> None:
    """Measure PSNR and SSIM against real bits, through .itk files on disk.

    Figures are means over the frames of a clip, then over clips; bits are those of the whole file.
    At rate 1 all routers and allocations keep every position, so it is measured once.
    """
    import json

    from infotok_cli.cli.evaluate_view import Watch, parse_list, parse_rates, show_summary
    from infotok_cli.cli.options import check_file_output
    from infotok_cli.codec.models import load_engine
    from infotok_cli.config import ALLOCATIONS, ROUTERS, EncodeOptions
    from infotok_cli.container.atomic import atomic_output
    from infotok_cli.evaluate.sweep import Setting, as_json, find_clips, summarize, sweep

    if json_path is not None:
        check_file_output(json_path, yes)
    points = parse_rates(rates)
    combinations = [
        (router, allocation)
        for router in parse_list("--routers", routers, ROUTERS)
        for allocation in parse_list("--allocations", allocations, ALLOCATIONS)
    ]
    settings = [
        Setting(rate=rate, router=router, allocation=allocation)
        for router, allocation in combinations
        for rate in points
        if rate < 1 or (router, allocation) == combinations[0]
    ]
    base = EncodeOptions(short_side=short_side, segment_frames=segment_frames)
    found = find_clips(clips)
    engine = load_engine(model, device)
    with Watch(len(found) * len(settings)) as watch:
        results = sweep(found, engine, settings, base, watch.advance)
    show_summary(summarize(results))
    if json_path is not None:
        with atomic_output(json_path, overwrite=True) as stream:
            stream.write(json.dumps(as_json(results, engine), indent=1).encode())
