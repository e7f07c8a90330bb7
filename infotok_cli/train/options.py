"""What a training run is asked to do; all limits of it are checked here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import infotok_weights
from infotok_cli.config import MAX_NAME_BYTES, MAX_OVERLAP, ModelConfig, is_model_name
from infotok_cli.errors import UsageError
from infotok_cli.model.weights import read_config
from infotok_cli.routers import MASKINGS, MaskingName
from infotok_cli.train.frame_cache import CropShape

SUFFIX = ".safetensors"
CHECKPOINT_SUFFIX = ".checkpoint.safetensors"
DEFAULT_CROP = CropShape(16, 128)
DEFAULT_OVERLAP = 2
"""Of models trained from scratch (docs/LOG.md has what it gives)."""


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """What a training run was asked to do; UsageError for values out of range."""

    cache: Path
    output: Path
    """The weights file to write, .safetensors; the checkpoint lies beside it."""
    config: ModelConfig
    """Shape of a model from scratch, and its name unless there is a `name`."""
    name: str | None = None
    """Name of the new model; None takes that of `config`."""
    init: Path | None = None
    """Weights to start from instead of a new model."""
    masking: MaskingName | None = None
    """What training drops; None keeps what the weights to start from were trained with."""
    overlap: int | None = None
    """Margins of patches in pixels; None keeps those of the weights to start from, or of `config`."""
    steps: int | None = None
    """In all; 0 trains nothing and only fits what belongs to the weights: token coder, expected quality."""
    minutes: float | None = None
    """In all; the run ends by `steps` or by time, whichever comes first."""
    batch: int = 8
    """Clips per batch and process, at least 2: a quarter of them trains at rate 1, the others below."""
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
    """Steps of fitting the token coder at the end, on one clip for each 25; 0 leaves it out."""

    def __post_init__(self) -> None:
        if self.output.suffix != SUFFIX:
            raise UsageError(f"`output` {self.output} is not a {SUFFIX} file", way_out="choose another name")
        if self.name is not None and not is_model_name(self.name):
            raise UsageError(
                f"`name` {self.name!r} does not fit",
                way_out=f"choose 1 to {MAX_NAME_BYTES} bytes of printable text",
            )
        if self.masking not in (None, *MASKINGS):
            raise UsageError(
                f"`masking` {self.masking!r} is unknown", way_out=f"choose {', '.join(MASKINGS)}"
            )
        if self.overlap is not None and not 0 <= self.overlap <= MAX_OVERLAP:
            raise UsageError(
                f"`overlap` {self.overlap} is out of range", way_out=f"choose 0 to {MAX_OVERLAP} pixels"
            )
        if self.steps is None and self.minutes is None:
            raise UsageError("`minutes` or `steps` is needed", way_out="say how long to train")
        if not 0 <= self.final_share <= 1:
            raise UsageError(f"`final_share` {self.final_share:g} is out of range", way_out="choose 0 to 1")
        if not 0 <= self.average_decay < 1:
            raise UsageError(
                f"`average_decay` {self.average_decay:g} is out of range", way_out="choose 0 to below 1"
            )
        self._check_counts()

    def _check_counts(self) -> None:
        for name, lowest in _LOWEST.items():
            value = getattr(self, name)
            if value is not None and value < lowest:
                raise UsageError(f"`{name}` {value} is too low", way_out=f"choose {lowest} or more")
        for name in ("minutes", "learning_rate"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise UsageError(f"`{name}` {value:g} is out of range", way_out="choose more than 0")

    def share_done(self, steps: int, seconds: float) -> float:
        """Part of the run that is over after `steps` and `seconds`, by whichever is further; 1 at its end."""
        shares = [0.0]
        if self.steps is not None:
            shares.append(steps / self.steps if self.steps else 1.0)
        if self.minutes is not None:
            shares.append(seconds / 60 / self.minutes)
        return max(shares)

    @property
    def model_name(self) -> str:
        """Name of the new model."""
        return self.config.name if self.name is None else self.name

    @property
    def checkpoint(self) -> Path:
        return self.output.with_suffix(CHECKPOINT_SUFFIX)


_LOWEST = {"steps": 0, "batch": 2, "accumulate": 1, "coder_steps": 0, "seed": 0}


def default_name(output: Path, init: Path | None) -> str:
    """What a new model is called unless told: like `init` unless that is packaged, else like its own file.

    Files say the name of their model, so one that is no longer a packaged model must not look like it.
    Raises ModelError when `init` is not a model.
    """
    if init is not None and not _is_packaged(init):
        return read_config(init).name
    printable = "".join(filter(str.isprintable, output.stem))
    return printable.encode()[:MAX_NAME_BYTES].decode(errors="ignore") or "mine"


def _is_packaged(path: Path) -> bool:
    return path.resolve() in {infotok_weights.path(name).resolve() for name in infotok_weights.names()}
