"""Options that say how a video is encoded, and what they ask for together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from infotok_cli.cli import options, quantities
from infotok_cli.routers import ROUTERS, AllocationName

if TYPE_CHECKING:
    from infotok_cli.codec.options import EncodeOptions

Rate = Annotated[
    float | None,
    typer.Option(
        "--rate",
        parser=quantities.share("--rate"),
        metavar="R",
        help="Token rate, 0.125 to 1: the share of positions (4 frames of 8x8 pixels) that get a token.",
        show_default="0.5",
        rich_help_panel=options.BUDGET_PANEL,
    ),
]
CalibratedRate = Annotated[
    float | None,
    typer.Option(
        "--calibrated-rate",
        parser=quantities.share("--calibrated-rate"),
        metavar="R",
        help="Average token rate over typical footage, usually 0.25 or 0.5: hard segments get more tokens, "
        "easy ones fewer, each independently of the others.",
        rich_help_panel=options.BUDGET_PANEL,
    ),
]
MaxTokens = Annotated[
    int | None,
    typer.Option(
        "--max-tokens",
        parser=quantities.whole("--max-tokens"),
        metavar="N",
        help="At most N tokens in the file.",
        rich_help_panel=options.BUDGET_PANEL,
    ),
]
TokensPerSecond = Annotated[
    float | None,
    typer.Option(
        "--tokens-per-second",
        parser=quantities.number("--tokens-per-second"),
        metavar="N",
        help="N tokens per second of video, on average.",
        rich_help_panel=options.BUDGET_PANEL,
    ),
]
Bitrate = Annotated[
    float | None,
    typer.Option(
        "--bitrate",
        parser=quantities.bits("--bitrate"),
        metavar="BITS",
        help="File size in bits per second of video, such as 100k.",
        rich_help_panel=options.BUDGET_PANEL,
    ),
]
TargetSize = Annotated[
    float | None,
    typer.Option(
        "--target-size",
        parser=quantities.size("--target-size"),
        metavar="BYTES",
        help="A file of at most BYTES, such as 500k, 1.5M or 64KiB.",
        rich_help_panel=options.BUDGET_PANEL,
    ),
]
TargetPsnr = Annotated[
    float | None,
    typer.Option(
        "--target-psnr",
        parser=quantities.number("--target-psnr", units=("db",)),
        metavar="DB",
        help="The fewest tokens expected to give this mean PSNR, usually 24 to 28.",
        rich_help_panel=options.BUDGET_PANEL,
    ),
]
ShortSide = Annotated[
    int | None,
    typer.Option(
        "--short-side",
        parser=quantities.whole("--short-side", units=("p", "px", "pixels")),
        metavar="PIXELS",
        help="Resize so that the shorter side has this many pixels.",
        show_default="the size of INPUT",
        rich_help_panel=options.SELECTION_PANEL,
    ),
]
Router = Annotated[
    str,
    typer.Option(
        "--router",
        metavar="|".join(ROUTERS),
        help="What decides where tokens go: "
        + "; ".join(f"{name} {router.help}" for name, router in ROUTERS.items())
        + ".",
        rich_help_panel=options.TOKENS_PANEL,
    ),
]
Allocation = Annotated[
    str | None,
    typer.Option(
        "--allocation",
        metavar="block|position",
        help="What gets tokens: blocks of 2x2x2 positions, or single positions (for comparison).",
        show_default="block; position with --router elastic",
        rich_help_panel=options.TOKENS_PANEL,
    ),
]
SegmentFrames = Annotated[
    int | None,
    typer.Option(
        "--segment-frames",
        parser=quantities.whole("--segment-frames"),
        metavar="N",
        help="Frames per segment, the part that is coded on its own: a multiple of 4, at most 64.",
        show_default="the model's",
        rich_help_panel=options.TOKENS_PANEL,
    ),
]
Refine = Annotated[
    int,
    typer.Option(
        "--refine",
        parser=quantities.whole("--refine"),
        metavar="N",
        help="Improve the tokens against what the decoder will show, in N steps: better pictures, "
        "slightly larger files, much slower encoding. 8 steps give most of the gain.",
        rich_help_panel=options.TOKENS_PANEL,
    ),
]


def asked_for(
    *,
    rate: float | None,
    calibrated_rate: float | None,
    max_tokens: int | None,
    tokens_per_second: float | None,
    bitrate: float | None,
    target_size: float | None,
    target_psnr: float | None,
    start: float | None,
    end: float | None,
    duration: float | None = None,
    frames: int | None = None,
    short_side: int | None,
    no_audio: bool,
    router: str,
    allocation: str | None,
    segment_frames: int | None,
    refine: int,
) -> EncodeOptions:
    """What the values of these options ask for; raises UsageError."""
    from infotok_cli.codec.options import DEFAULT_RATE, EncodeOptions

    budget = options.one_budget(
        rate,
        {
            "calibrated-rate": calibrated_rate,
            "max-tokens": max_tokens,
            "tokens-per-second": tokens_per_second,
            "bitrate": bitrate,
            "target-size": target_size,
            "target-psnr": target_psnr,
        },
    )
    return EncodeOptions(
        rate=DEFAULT_RATE if rate is None else rate,
        budget=budget,
        router=router,  # checked there, as all the others
        allocation=cast("AllocationName | None", allocation),
        short_side=short_side,
        segment_frames=segment_frames,
        refine=refine,
        start_seconds=start,
        end_seconds=options.end_of(start, end, duration),
        frames=frames,
        audio=not no_audio,
    )
