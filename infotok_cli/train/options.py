"""What a training run is asked to do, and what it tells on the way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from infotok_cli.config import MAX_OVERLAP, ModelConfig
from infotok_cli.errors import UsageError
from infotok_cli.routers import MaskingName
from infotok_cli.train.checkpoint import Progress
from infotok_cli.train.frame_cache import CropShape

CHECKPOINT_SUFFIX = ".checkpoint.safetensors"
DEFAULT_CROP = CropShape(16, 128)
DEFAULT_OVERLAP = 2
"""Of models trained from scratch (docs/LOG.md has what it gives)."""


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """What a training run was asked to do; UsageError for values that make no run."""

    cache: Path
    output: Path
    """The weights file to write; the checkpoint lies beside it."""
    config: ModelConfig
    """Shape of a model from scratch; its name is the new model's in any case."""
    init: Path | None = None
    """Weights to start from instead of fitting a new transform."""
    masking: MaskingName | None = None
    """What training drops; None keeps what the weights to start from were trained with."""
    overlap: int | None = None
    """Margins of patches in pixels; None keeps those of the weights to start from."""
    steps: int | None = None
    """0 trains nothing and only fits what belongs to the weights: token coder and expected quality."""
    time_budget_seconds: float | None = None
    batch: int = 8
    """Clips per batch and process."""
    accumulate: int = 1
    """Batches per step and process whose gradients are averaged."""
    crops: tuple[CropShape, ...] = (DEFAULT_CROP,)
    """Shapes of training clips; each step draws one. The first is also the held-out crops' shape."""
    learning_rate: float = 2e-3
    final_share: float = 0.5
    """Share of the run, at its end, over which the learning rate falls to zero."""
    average_decay: float = 0.999
    """Share of the averaged weights that a step keeps; lower in the first steps."""
    report_seconds: float = 300.0
    device: str = "cpu"
    kernels: str | None = None
    """reference or triton; None takes what `choose_runtime` does."""
    device_cache: bool = False
    """Copy the whole frame cache to the device first and cut crops there."""
    compile: bool = False
    seed: int = 0
    coder_steps: int = 4000
    """Steps of fitting the token coder at the end, on a clip for each 25; 0 leaves it out."""

    def __post_init__(self) -> None:
        if self.batch < 1 or self.accumulate < 1:
            raise UsageError(f"`batch` {self.batch} and `accumulate` {self.accumulate} must be 1 or more")
        if not 0 <= self.final_share <= 1:
            raise UsageError(f"`final_share` {self.final_share:g} is out of range", way_out="choose 0 to 1")
        if not 0 <= self.average_decay < 1:
            raise UsageError(
                f"`average_decay` {self.average_decay:g} is out of range", way_out="choose 0 to below 1"
            )
        if self.overlap is not None and not 0 <= self.overlap <= MAX_OVERLAP:
            raise UsageError(
                f"`overlap` {self.overlap} is out of range", way_out=f"choose 0 to {MAX_OVERLAP} pixels"
            )
        if self.coder_steps < 0:
            raise UsageError(f"`coder_steps` {self.coder_steps} is negative", way_out="choose 0 or more")
        if self.seed < 0:
            raise UsageError(f"`seed` {self.seed} is negative", way_out="choose 0 or more")

    @property
    def checkpoint(self) -> Path:
        return self.output.with_suffix(CHECKPOINT_SUFFIX)


@dataclass(frozen=True)
class Report:
    """News from a run: losses as PSNR in dB (peak-to-peak 2), and held-out PSNR when measured."""

    progress: Progress
    share_done: float
    psnr_full: float
    psnr_masked: float
    head_error: float
    held: dict[float, float] | None = None
    warning: str | None = None
    """What went wrong without ending the run."""

    @property
    def waiting_share(self) -> float:
        """Share of the run's time in which training waited for data."""
        return self.progress.waited_seconds / self.progress.seconds if self.progress.seconds else 0.0
