"""A stand-in for the model whose frames tell which tokens they came from."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from infotok_cli.codec.decode_segments import decoded_segments
from infotok_cli.container.reader import ItkReader
from infotok_cli.segment_tokens import Tokens


class FakeEngine:
    """Every frame is filled from a checksum of its segment's tokens and its number in it."""

    def __init__(self) -> None:
        self.decoded = 0
        self.steps = 0
        self.loaded = SimpleNamespace(token_net=None)
        self.runtime = SimpleNamespace(device=SimpleNamespace(type="cpu"))

    def batch(self, positions: int) -> int:
        return 1

    def decode_steps(
        self, tokens: Tokens, frames: int, height: int, width: int
    ) -> Iterator[NDArray[np.uint8]]:
        whole = self.decode(tokens, frames, height, width)
        for start in range(0, len(whole), 4):
            self.steps += 1
            yield whole[start : start + 4]

    def decode(self, tokens: Tokens, frames: int, height: int, width: int) -> NDArray[np.uint8]:
        self.decoded += 1
        seed = zlib.crc32(b"".join(part.tobytes() for part in tokens)) ^ frames
        return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), np.uint8)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


def shown(path: Any, wanted: range | None = None, lost: list[str] | None = None) -> NDArray[np.uint8]:
    """Frames `[T, H, W, 3]` that a decode of `path` shows."""
    engine: Any = FakeEngine()
    with ItkReader(path, recover=lost is not None) as reader:
        wanted = range(reader.total_frames) if wanted is None else wanted
        return np.concatenate(list(decoded_segments(reader, engine, wanted, lost)))


@pytest.fixture(name="shown")
def _shown() -> Any:
    return shown
