"""A clip with its .itk files for tests of reports: random tokens of a tiny model, made without an encode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from infotok_cli.model.engine import Engine, choose_runtime
from infotok_cli.model.weights import load_model, save_model
from make_itk import Plan, itk_bytes, itk_header
from make_video import make_video, moving_shapes
from tiny_model import write_tiny_model

RATES = (0.2, 0.5, 0.9, 0.3, 0.7)
RATE = 20


@dataclass(frozen=True)
class MadeClip:
    """Files of one clip of 40 frames at 20 a second; tokens have nothing to do with the source."""

    model: Path
    source: Path
    low: Path
    high: Path

    def engine(self) -> Engine:
        return Engine(load_model(self.model), choose_runtime("cpu"))


def made_clip(folder: Path, width: int = 96, height: int = 64) -> MadeClip:
    """Write tiny.safetensors, clip.mkv, low.itk and high.itk."""
    made = MadeClip(*(folder / name for name in ("tiny.safetensors", "clip.mkv", "low.itk", "high.itk")))
    _write_vivid_model(made.model)
    odd = width % 2 or height % 2
    pixels = "yuv444p" if odd else "yuv420p"
    make_video(made.source, moving_shapes(40, height, width), rate=RATE, pixel_format=pixels)
    made.low.write_bytes(tiny_itk(made.model, [Plan(8, rate=rate / 2) for rate in RATES], width, height))
    made.high.write_bytes(tiny_itk(made.model, [Plan(8, rate=rate) for rate in RATES], width, height))
    return made


def _write_vivid_model(path: Path) -> None:
    """The tiny model, but with pictures in which every token can be seen."""
    write_tiny_model(path)
    tokenizer = load_model(path).tokenizer
    weights = tokenizer.state_dict()
    random = np.random.default_rng(0)
    # In a network that was never trained tokens change little.
    shape = tuple(weights["code_in.weight"].shape)
    weights["code_in.weight"] = weights["code_in.weight"].new_tensor(random.normal(0, 1, shape))
    save_model(path, tokenizer, weights, training="{}")


def broken(file: bytes, segment: int, of: int = len(RATES)) -> bytes:
    """`file` with a byte of about the middle of this segment changed."""
    bent = bytearray(file)
    bent[len(bent) * (2 * segment + 1) // (2 * of)] ^= 1
    return bytes(bent)


def tiny_itk(model: Path, plans: Sequence[Plan], width: int = 96, height: int = 64) -> bytes:
    """A file of these segments that the tiny `model` decodes."""
    header = itk_header(
        width=width,
        height=height,
        frame_rate=Fraction(RATE),
        time_base=Fraction(1, RATE),
        router="elastic",
        allocation="position",
        model_name="tiny",
        model_sha256=bytes.fromhex(load_model(model).sha256),
    )
    return itk_bytes(plans, header)
