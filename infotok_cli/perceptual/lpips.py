"""LPIPS: distance of two pictures in the features of a network trained to recognise things.

Zhang, Isola, Efros, Shechtman, Wang, "The unreasonable effectiveness of deep features as a perceptual
metric", CVPR 2018, version 0.1 of the weights.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from infotok_cli.perceptual.networks import ALEXNET, VGG16, Network, planes
from infotok_cli.perceptual.weights import load_weights

NETWORKS: dict[str, Network] = {"lpips-vgg": VGG16, "lpips-alex": ALEXNET}

# How the authors scale samples of -1..1 for the networks.
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)

EPSILON = 1e-10


class Lpips:
    """LPIPS with one of the networks; 0 for equal pictures, about 1 for very unlike ones."""

    def __init__(self, name: str) -> None:
        """name: a key of `NETWORKS`. Raises ModelError when the weights were not fetched."""
        self._network = NETWORKS[name]
        self._weights = load_weights(name)
        self._shift, self._scale = (torch.tensor(values)[:, None, None] for values in (SHIFT, SCALE))

    @torch.inference_mode()
    def __call__(self, source: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> float:
        """Distance of two pictures `[H, W, 3]`, RGB 0..255, of at least `smallest_side` pixels a side."""
        pairs = zip(self._features(source), self._features(decoded), strict=True)
        return sum(self._distance(number, one, other) for number, (one, other) in enumerate(pairs))

    def _features(self, picture: NDArray[np.uint8]) -> Iterator[Tensor]:
        scaled = (2 * planes(torch.from_numpy(picture)) - 1 - self._shift) / self._scale
        return self._network.features(scaled, self._weights)

    def _distance(self, number: int, one: Tensor, other: Tensor) -> float:
        """Weighted squares of the differences of features of length 1, averaged over the picture."""
        squares = (_of_length_1(one) - _of_length_1(other)) ** 2
        means = squares.mean((0, 2, 3), dtype=torch.float64)
        return float(means @ self._weights[f"head.{number}"].to(torch.float64))


def _of_length_1(maps: Tensor) -> Tensor:
    return maps / (maps.square().sum(1, keepdim=True).sqrt() + EPSILON)
