"""Frozen settings: what a model is, and what an encode was asked to do.

Both travel as JSON text (the model's in the weights file's metadata). Unknown keys are refused.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any, Literal

from infotok_cli.errors import ModelError, UsageError
from infotok_cli.routers import ALLOCATIONS, MASKINGS, ROUTERS, AllocationName, MaskingName

CONFIG_KEY = "infotok.config"
"""Where a weights file's metadata holds its `ModelConfig`."""

BudgetKind = Literal[
    "calibrated-rate", "max-tokens", "tokens-per-second", "bitrate", "target-size", "target-psnr"
]

PATCH: tuple[int, int, int] = (4, 8, 8)
"""Frames, rows and columns of pixels behind one position of the token grid."""

MAX_NAME_BYTES = 64
"""Of a model's name in UTF-8."""

MAX_OVERLAP = 4
"""More would reach beyond the next position."""

MIN_RATE = 1 / 8
"""Lowest token rate: one token in every block of eight positions."""

DEFAULT_RATE = 0.5

MAX_REFINE_STEPS = 1000

MAX_SEGMENT_FRAMES = 64


def is_model_name(text: str) -> bool:
    """Whether a model can carry this name: 1 to `MAX_NAME_BYTES` bytes of printable text."""
    return text.isprintable() and 1 <= len(text.encode()) <= MAX_NAME_BYTES


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Shape of a model. A model is rebuilt from this and its tensors, nothing else."""

    name: str
    width: int = 256
    """Channels of the residual stream."""
    head_dim: int = 64
    encoder_blocks: int = 2
    compressor_blocks: int = 2
    decompressor_blocks: int = 2
    decoder_blocks: int = 3
    mlp_width: int = 1024
    window: int = 8
    """Side, in positions, of an attention window in space; in time a window is the whole segment."""
    levels: tuple[int, ...] = (8, 8, 8, 5, 5, 5)
    """FSQ levels of one token."""
    segment_frames: int = 32
    """Default segment length in frames."""
    overlap: int = 0
    """Pixels by which the picture of a position reaches over its neighbours, where both are added up."""
    masking: MaskingName = "error"
    """What training dropped: positions and blocks of low noisy error, or tails of the token sequence."""

    def __post_init__(self) -> None:
        if not is_model_name(self.name):
            raise ModelError(
                f"model name {self.name!r} does not fit",
                way_out=f"choose 1 to {MAX_NAME_BYTES} bytes of printable text",
            )
        if self.width % self.head_dim:
            raise ModelError(f"model width {self.width} is not a multiple of head size {self.head_dim}")
        product = 1
        for level in self.levels:
            product *= level
        if not 2 <= product <= 65536:
            raise ModelError(f"FSQ levels {self.levels} do not fit in 16 bits")
        if not 0 <= self.overlap <= MAX_OVERLAP:
            raise ModelError(
                f"overlap {self.overlap} is out of range", way_out=f"choose 0 to {MAX_OVERLAP} pixels"
            )
        if self.masking not in MASKINGS:
            raise ModelError(f"masking {self.masking!r} is unknown", way_out=f"choose {', '.join(MASKINGS)}")

    @property
    def heads(self) -> int:
        return self.width // self.head_dim

    def to_json(self) -> str:
        """JSON text; what came later and is the default is left out, as in files older than the choice."""
        values = dataclasses.asdict(self)
        if self.masking == "error":
            del values["masking"]
        if not self.overlap:
            del values["overlap"]
        return json.dumps(values, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ModelConfig:
        """Rebuild a config; raises ModelError on text that is not a config or has unknown keys."""
        try:
            values: dict[str, Any] = json.loads(text)
            unknown = sorted(set(values) - {field.name for field in dataclasses.fields(cls)})
            if unknown:
                raise ModelError(
                    f"was made by another version of infotok (its config has {', '.join(unknown)})",
                    way_out="use the version it was made with, or other weights",
                )
            values["levels"] = tuple(values["levels"])
            return cls(**values)
        except (ValueError, TypeError, KeyError) as error:
            raise ModelError(f"model config cannot be read: {error}") from error


BUDGET_UNITS: dict[BudgetKind, str] = {
    "calibrated-rate": "tokens per position",
    "max-tokens": "tokens",
    "tokens-per-second": "tokens per second",
    "bitrate": "bits per second",
    "target-size": "bytes",
    "target-psnr": "dB",
}


@dataclass(frozen=True)
class Budget:
    """What a file may cost, or how good it must be, in a user's terms."""

    kind: BudgetKind
    value: float
    """In the unit of `BUDGET_UNITS`; positive and finite."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value) and self.value > 0):
            unit = BUDGET_UNITS[self.kind]
            raise UsageError(
                f"`{self.kind}` {self.value:g} is out of range", way_out=f"give a positive number of {unit}"
            )
        if self.kind == "calibrated-rate" and not MIN_RATE <= self.value <= 1:
            raise UsageError(f"`{self.kind}` {self.value:g} is out of range", way_out="choose 0.125 to 1")


FITTED_BUDGETS: tuple[BudgetKind, ...] = ("calibrated-rate", "target-psnr")
"""Budgets that rest on what was fitted to the model's error maps."""

WHOLE_FILE_BUDGETS: tuple[BudgetKind, ...] = ("max-tokens", "target-size")
"""Budgets that need to know the whole video before its first token is chosen."""


@dataclass(frozen=True, kw_only=True)
class EncodeOptions:
    """What an encode was asked to do; validated here, so that every caller gets the same limits."""

    rate: float = DEFAULT_RATE
    """Average token rate over the file, 1/8 to 1; not used when there is a budget."""
    budget: Budget | None = None
    """Sets the tokens in the place of `rate`."""
    router: str = "fast"
    """A name in `ROUTERS`."""
    allocation: AllocationName | None = None
    """What is allocated; None leaves it to the router, see `allocation_kind`."""
    short_side: int | None = None
    """Resize so that the shorter side has this many pixels; None keeps the size."""
    segment_frames: int | None = None
    """Frames per segment, a multiple of 4; None takes the model's default."""
    refine: int = 0
    """Steps in which a segment's tokens are improved against what the decoder will show."""
    start_seconds: float | None = None
    end_seconds: float | None = None
    audio: bool = False
    """Whether the sound goes along, untouched."""

    def __post_init__(self) -> None:
        if not MIN_RATE <= self.rate <= 1:
            raise UsageError(f"`rate` {self.rate:g} is out of range", way_out="choose 0.125 to 1")
        if self.router not in ROUTERS:
            raise UsageError(f"`router` {self.router!r} is unknown", way_out=f"choose {', '.join(ROUTERS)}")
        router = ROUTERS[self.router]
        if self.allocation is not None and self.allocation not in ALLOCATIONS:
            raise UsageError(
                f"`allocation` {self.allocation!r} is unknown", way_out=f"choose {', '.join(ALLOCATIONS)}"
            )
        if router.error_map == "searched" and self.budget is not None:
            raise UsageError(
                f"`{self.budget.kind}` does not go with `router` {router.name}", way_out="give `rate`"
            )
        if router.allocation is not None and self.allocation not in (None, router.allocation):
            raise UsageError(
                f"`allocation` {self.allocation} does not go with `router` {router.name}",
                way_out="leave it out",
            )
        if self.short_side is not None and not 1 <= self.short_side <= 8192:
            raise UsageError(f"`short_side` {self.short_side} is out of range", way_out="choose 1 to 8192")
        if self.budget is not None and self.budget.kind in FITTED_BUDGETS:
            if not router.knows_errors:
                able = " or ".join(name for name, other in ROUTERS.items() if other.knows_errors)
                raise UsageError(
                    f"`{self.budget.kind}` needs to know the error", way_out=f"choose `router` {able}"
                )
            if self.allocation_kind != "block":
                raise UsageError(
                    f"`{self.budget.kind}` is fitted for blocks only", way_out="choose `allocation` block"
                )
        frames = self.segment_frames
        if frames is not None and (frames % 4 or not 4 <= frames <= MAX_SEGMENT_FRAMES):
            raise UsageError(
                f"`segment_frames` {frames} is not a multiple of 4 between 4 and {MAX_SEGMENT_FRAMES}"
            )
        if not 0 <= self.refine <= MAX_REFINE_STEPS:
            raise UsageError(
                f"`refine` {self.refine} is out of range", way_out=f"choose 0 to {MAX_REFINE_STEPS} steps"
            )
        self._check_range()

    @property
    def allocation_kind(self) -> AllocationName:
        """What is allocated: as asked for, else what the router makes, else blocks."""
        return self.allocation or ROUTERS[self.router].allocation or "block"

    def _check_range(self) -> None:
        if self.start_seconds is not None and self.start_seconds < 0:
            raise UsageError(
                f"`start_seconds` {self.start_seconds:g} is negative",
                way_out="give seconds from the beginning",
            )
        if self.end_seconds is not None and self.end_seconds <= (self.start_seconds or 0):
            raise UsageError(
                f"`end_seconds` {self.end_seconds:g} is not after `start_seconds` {self.start_seconds or 0:g}"
            )


def check_source(is_file: bool, options: EncodeOptions) -> None:
    """Raise UsageError when `options` ask for what a pipe cannot give."""
    budget = options.budget
    if not is_file and budget is not None and budget.kind in WHOLE_FILE_BUDGETS:
        raise UsageError(
            f"`{budget.kind}` looks at the whole video first, which a pipe shows only once",
            way_out=(
                "save it to a file, or give `rate`, `calibrated_rate`, `tokens_per_second`, "
                "`bitrate` or `target_psnr`"
            ),
        )
