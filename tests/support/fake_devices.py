"""Models that note which device they were given and can die of a video, for processes of a batch."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from infotok_cli.batch.devices import Seat
from infotok_cli.batch.loading import ModelLoader
from infotok_cli.errors import UsageError
from infotok_cli.model.engine import Engine


@dataclass(frozen=True)
class FakeDevices:
    """Loads a model on the CPU, whatever the seat, and appends the device it sees to a file."""

    weights: Path
    notes: Path
    deadly_frames: int = 0
    """A segment of so many frames kills the process, as a machine out of memory does."""
    missing: str = ""
    """A device that is not there."""
    deadly: str = ""
    """A device on which the process is killed before the model is loaded."""
    batch_segments: int | None = None
    """Segments in a batch, as CUDA devices take them; None runs deterministically."""

    def __call__(self, seat: Seat) -> Engine:
        device = os.environ["CUDA_VISIBLE_DEVICES"]
        with self.notes.open("a") as file:
            file.write(f"{device}\n")
        if device == self.missing:
            raise UsageError("finds no device", where=f"CUDA device {device}")
        if device == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        loader = ModelLoader(weights=self.weights, deterministic=self.batch_segments is None)
        engine = loader(replace(seat, device="cpu"))
        engine.runtime = replace(engine.runtime, batch_segments=self.batch_segments)
        predicted_errors = engine.predicted_errors

        def deadly(segments: Sequence[Any]) -> Any:
            if any(len(one.frames) == self.deadly_frames for one in segments):
                os.kill(os.getpid(), signal.SIGKILL)
            return predicted_errors(segments)

        engine.predicted_errors = deadly  # type: ignore[method-assign]
        return engine
