"""The average of a model's weights over the steps of a run: it is what is measured, written and used."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from infotok_cli.model.tokenizer import Tokenizer
from infotok_cli.model.weights import build_model


class Averages:
    """Exponential averages of all tensors of a model, on its device."""

    def __init__(self, model: Tokenizer, decay: float, saved: Mapping[str, Tensor] | None = None) -> None:
        """decay: share of the average that a step keeps, lower in the first steps. saved: averages to resume.

        Without `saved`, the averages begin as the weights of `model`.
        """
        self._config = model.config
        self._decay = decay
        weights = model.state_dict()
        if saved is None:
            self.tensors = {name: tensor.detach().clone() for name, tensor in weights.items()}
        else:
            self.tensors = {name: tensor.to(weights[name].device) for name, tensor in saved.items()}

    @torch.no_grad()
    def add(self, model: Tokenizer, step: int) -> None:
        """Take in the weights of `model` after step number `step`, 0 first."""
        decay = min(self._decay, (1 + step) / (10 + step))
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                self.tensors[name].lerp_(tensor, 1 - decay)

    def model(self, device: str) -> Tokenizer:
        """A new model on `device` that holds the averages, ready to run."""
        return build_model(self._config, self.tensors, "average").to(device)
