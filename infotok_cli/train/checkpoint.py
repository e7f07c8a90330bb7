"""Checkpoints of a training run: one safetensors file with weights, averages and optimizer state."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from infotok_cli.errors import ModelError
from infotok_cli.model.weights import write_tensors


@dataclass
class Progress:
    """How far a run has come; a resumed run keeps counting."""

    step: int = 0
    clips: int = 0
    seconds: float = 0.0
    skipped: int = 0
    """Steps left out because their loss or gradient was not finite or spiked."""
    waited_seconds: float = 0.0
    """Part of `seconds` in which training stood still because no batch was ready."""
    started_from: dict[str, object] | None = None
    """SHA-256 and training of the weights that the run began with; None from scratch."""


def save_checkpoint(
    path: Path,
    *,
    model: nn.Module,
    averages: dict[str, Tensor],
    optimizers: list[torch.optim.Optimizer],
    progress: Progress,
    config_json: str,
) -> None:
    """Write all that a run needs to resume; the old file stays until the new one is whole.

    Raises OutputError when it cannot be written.
    """
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"average.{name}": tensor for name, tensor in averages.items()}
    for number, optimizer in enumerate(optimizers):
        for index, state in optimizer.state_dict()["state"].items():
            for key, value in state.items():
                tensors[f"optimizer.{number}.{index}.{key}"] = torch.as_tensor(value)
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_tensors(path, tensors, {"progress": json.dumps(asdict(progress)), "config": config_json})


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], Progress, str]:
    """All tensors by name, the progress and the config text; ModelError when it is not a checkpoint."""
    try:
        with safe_open(path, framework="pt") as reader:
            metadata = reader.metadata()
            tensors = {name: reader.get_tensor(name) for name in reader.keys()}  # noqa: SIM118
        return tensors, Progress(**json.loads(metadata["progress"])), metadata["config"]
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"cannot be read as a checkpoint ({error})",
            way_out="delete it to start over, or name another output",
            where=str(path),
        ) from error


def select(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Tensors whose names begin with `prefix`, without it."""
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def restore_optimizers(optimizers: list[torch.optim.Optimizer], tensors: Mapping[str, Tensor]) -> None:
    """Put saved state back into freshly made optimizers over the same parameters."""
    for number, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, Any]] = {}
        for name, tensor in select(tensors, f"optimizer.{number}.").items():
            index, key = name.split(".", 1)
            state.setdefault(int(index), {})[key] = tensor
        whole = optimizer.state_dict()
        whole["state"] = state
        optimizer.load_state_dict(whole)
