"""What a model is, and the limits of token rates and segments.

A model's config travels as JSON text in the metadata of its weights file. Unknown keys are refused.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from infotok_cli.errors import ModelError
from infotok_cli.routers import MASKINGS, MaskingName

CONFIG_KEY = "infotok.config"
"""Where a weights file's metadata holds its `ModelConfig`."""

PATCH: tuple[int, int, int] = (4, 8, 8)
"""Frames, rows and columns of pixels behind one position of the token grid."""

MAX_NAME_BYTES = 64
"""Of a model's name in UTF-8."""

MAX_OVERLAP = 4
"""More would reach beyond the next position."""

MIN_RATE = 1 / 8
"""Lowest token rate: one token in every block of eight positions."""

MAX_SEGMENT_FRAMES = 64

SEGMENT_FRAMES = 60
"""Frames of a segment, unless a model or a user says otherwise: with its lead it fills whole blocks."""


def is_model_name(text: str) -> bool:
    """Whether a model can carry this name: 1 to `MAX_NAME_BYTES` bytes of printable text."""
    return text.isprintable() and 1 <= len(text.encode()) <= MAX_NAME_BYTES


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Shape of a model. A model is rebuilt from this and its tensors, nothing else."""

    name: str
    width: int = 192
    """Channels of the residual stream."""
    head_dim: int = 64
    head_width: int = 128
    """Channels of the router's head."""
    compressor_blocks: int = 3
    """Transformer blocks that see the source; the decoder's follow them in the loop."""
    decoder_blocks: int = 4
    mlp_width: int = 768
    window: int = 8
    """Side, in positions, of an attention window; each latent step has windows of its own."""
    levels: tuple[int, ...] = (8, 8, 8, 5, 5, 5)
    """FSQ levels of one token."""
    segment_frames: int = SEGMENT_FRAMES
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
            raise ModelError(
                f"model width {self.width} is not a multiple of head size {self.head_dim}",
                way_out="choose one that is",
            )
        product = 1
        for level in self.levels:
            product *= level
        if not 2 <= product <= 65536:
            raise ModelError(
                f"FSQ levels {self.levels} do not fit in 16 bits", way_out="choose a product of 2 to 65536"
            )
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
