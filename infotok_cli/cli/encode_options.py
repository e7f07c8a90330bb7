"""Options that say how a video is encoded, and what they ask for together."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, cast

import typer

from infotok_cli.cli import options, quantities
from infotok_cli.cli.time_options import TimeOptions
from infotok_cli.errors import UsageError
from infotok_cli.routers import ROUTERS, AllocationName

if TYPE_CHECKING:
    from infotok_cli.allocation.budgets import Budget
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
        help="The fewest tokens expected to give this mean PSNR, usually 26 to 29.",
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
        show_default="the size it has",
        rich_help_panel=options.INPUT_PANEL,
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
        "slightly larger files, much slower encoding. 6 steps gain 0.3 dB and take 5.5 times as long.",
        rich_help_panel=options.TOKENS_PANEL,
    ),
]


@dataclass(frozen=True, kw_only=True)
class BudgetOptions:
    """How many tokens."""

    rate: Rate = None
    calibrated_rate: CalibratedRate = None
    max_tokens: MaxTokens = None
    tokens_per_second: TokensPerSecond = None
    bitrate: Bitrate = None
    target_size: TargetSize = None
    target_psnr: TargetPsnr = None


@dataclass(frozen=True, kw_only=True)
class SourceOptions(TimeOptions):
    """What of the video is encoded."""

    short_side: ShortSide = None
    no_audio: options.NoAudio = False


@dataclass(frozen=True, kw_only=True)
class TokenOptions:
    """Where tokens go."""

    router: Router = "fast"
    allocation: Allocation = None
    segment_frames: SegmentFrames = None
    refine: Refine = 0


def asked_for(budget: BudgetOptions, source: SourceOptions, tokens: TokenOptions) -> EncodeOptions:
    """What the values of these options ask for; raises UsageError."""
    from infotok_cli.codec.options import DEFAULT_RATE, EncodeOptions

    return EncodeOptions(
        rate=DEFAULT_RATE if budget.rate is None else budget.rate,
        budget=_one_budget(budget),
        router=tokens.router,  # checked there, as all the others
        allocation=cast("AllocationName | None", tokens.allocation),
        short_side=source.short_side,
        segment_frames=tokens.segment_frames,
        refine=tokens.refine,
        start_seconds=source.start,
        end_seconds=source.until,
        frames=source.frames,
        audio=not source.no_audio,
    )


def _one_budget(given: BudgetOptions) -> Budget | None:
    """The one budget that was given beside `rate`, if any; UsageError for several, `rate` counting as one."""
    chosen = {name.replace("_", "-"): value for name, value in asdict(given).items() if value is not None}
    if len(chosen) > 1:
        names = " and ".join(f"--{name}" for name in chosen)
        raise UsageError(f"{names} exclude each other", way_out="give only one of them")
    chosen.pop("rate", None)
    if not chosen:
        return None
    from infotok_cli.allocation.budgets import Budget

    return Budget(*chosen.popitem())
