"""Loading the model of a batch, in whichever process it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from infotok_cli.batch.devices import Seat
from infotok_cli.errors import UsageError

if TYPE_CHECKING:
    from infotok_cli.model.engine import Engine

Load = Callable[[Seat], "Engine"]
"""Gives the model at a seat; what crosses to another process must be picklable."""


@dataclass(frozen=True, kw_only=True)
class ModelLoader:
    """A model and how it is to run, wherever that is."""

    weights: Path
    kernels: str | None = None
    precision: str = "auto"
    deterministic: bool = False
    compiled: bool = False

    def __call__(self, seat: Seat) -> Engine:
        """Load it, in a process that has the seat's environment; raises what `load_engine` raises.

        UsageError where the seat's device is not there.
        """
        from infotok_cli.codec.load_engine import load_engine
        from infotok_cli.model.threads import take_threads

        try:
            engine = load_engine(
                str(self.weights),
                seat.device,
                self.kernels,
                precision=self.precision,
                deterministic=self.deterministic,
                compiled=self.compiled,
            )
        except UsageError as error:
            raise error if seat.gpu is None else error.at(f"CUDA device {seat.gpu}") from error
        take_threads(
            share=seat.share, deterministic=self.deterministic and engine.runtime.device.type == "cpu"
        )
        return engine
