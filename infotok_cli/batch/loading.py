"""Loading the model of a batch, in whichever process and on whichever machine it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import infotok_weights
from infotok_cli.batch.devices import Seat
from infotok_cli.batch.run_file import model_sha256
from infotok_cli.config import ModelConfig
from infotok_cli.errors import ModelError, UsageError

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

    def there(self, sha256: str) -> ModelLoader:
        """The same model on this machine: a packaged one wherever it lies, another at the path.

        ModelError where the file is another one, by its hash.
        """
        packaged = [name for name, facts in infotok_weights.manifest().items() if facts["sha256"] == sha256]
        path = infotok_weights.path(packaged[0]) if packaged else self.weights
        if model_sha256(path) != sha256:
            raise ModelError(
                "is another file on a worker", way_out="give one that all machines share", where=str(path)
            )
        return replace(self, weights=path)

    def config(self) -> ModelConfig:
        """What the weights say of themselves."""
        from infotok_cli.model.weights import read_config

        return read_config(self.weights)

    def __call__(self, seat: Seat) -> Engine:
        """Load it, in a process that has the seat's environment; raises what `load_engine` raises.

        UsageError where the seat's device is not there.
        """
        from infotok_cli.codec.load_engine import load_engine
        from infotok_cli.model.threads import take_threads

        try:
            engine = load_engine(
                self.weights,
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
