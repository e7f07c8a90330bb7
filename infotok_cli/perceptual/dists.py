"""DISTS: structure and texture of two pictures compared in the features of VGG16.

Ding, Ma, Wang, Simoncelli, "Image quality assessment: unifying structure and texture similarity", IEEE TPAMI
44(5), 2022. Pictures are compared at their own size.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from infotok_cli.perceptual.networks import VGG16, planes
from infotok_cli.perceptual.weights import load_weights

# ImageNet's mean and standard deviation of samples 0..1.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)

C1 = C2 = 1e-6

CHANNELS = [3, *VGG16.channels]
"""The picture itself is compared too."""


class Dists:
    """DISTS; 0 for equal pictures, 1 for wholly unlike ones."""

    def __init__(self) -> None:
        """Raises ModelError when the weights were not fetched."""
        self._weights = load_weights("lpips-vgg")
        terms = load_weights("dists")
        alpha, beta = (terms[name].to(torch.float64) for name in ("alpha", "beta"))
        total = alpha.sum() + beta.sum()
        self._alpha, self._beta = (torch.split(part / total, CHANNELS) for part in (alpha, beta))
        self._mean, self._deviation = (torch.tensor(values)[:, None, None] for values in (MEAN, DEVIATION))

    @torch.inference_mode()
    def __call__(self, source: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> float:
        """Distance of two pictures `[H, W, 3]`, RGB 0..255, of at least 16 pixels a side."""
        pairs = zip(self._features(source), self._features(decoded), strict=True)
        return 1 - sum(self._similarity(number, one, other) for number, (one, other) in enumerate(pairs))

    def _features(self, picture: NDArray[np.uint8]) -> Iterator[Tensor]:
        samples = planes(torch.from_numpy(picture))
        yield samples
        yield from VGG16.features((samples - self._mean) / self._deviation, self._weights, _l2_pool)

    def _similarity(self, number: int, one: Tensor, other: Tensor) -> float:
        """Texture, which is the likeness of means, and structure, that of the rest; weighted by channel."""
        means = [maps.mean((0, 2, 3), dtype=torch.float64) for maps in (one, other)]
        rests = [maps - mean[:, None, None] for maps, mean in zip((one, other), means, strict=True)]
        variances = [rest.square().mean((0, 2, 3)) for rest in rests]
        covariance = (rests[0] * rests[1]).mean((0, 2, 3))
        texture = (2 * means[0] * means[1] + C1) / (means[0] ** 2 + means[1] ** 2 + C1)
        structure = (2 * covariance + C2) / (variances[0] + variances[1] + C2)
        return float(self._alpha[number] @ texture + self._beta[number] @ structure)


def _l2_pool(maps: Tensor) -> Tensor:
    """Half the size: root of the squares' mean under a Hann window of 3x3."""
    window = torch.tensor([0.25, 0.5, 0.25])
    window = torch.outer(window, window).expand(maps.shape[1], 1, 3, 3)
    return (
        functional.conv2d(maps.square(), window, stride=2, padding=1, groups=maps.shape[1]) + 1e-12
    ).sqrt()
