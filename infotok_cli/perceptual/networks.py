"""The networks whose features LPIPS and DISTS compare: VGG16 and AlexNet, as trained on ImageNet.

Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2014;
Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

Pool = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Convolution:
    """A convolution followed by a ReLU."""

    stride: int = 1
    padding: int = 1


@dataclass(frozen=True, kw_only=True)
class Network:
    """Stages of convolutions; the features are the outputs of the stages."""

    stages: tuple[tuple[Convolution, ...], ...]
    channels: tuple[int, ...]
    """Of each stage's output."""
    pooled: tuple[bool, ...]
    """Whether a stage is given the pooled output of the one before."""
    pool: Pool
    smallest_side: int
    """Pixels a side of the smallest picture that gets through."""

    def features(
        self, picture: Tensor, weights: Mapping[str, Tensor], pool: Pool | None = None
    ) -> Iterator[Tensor]:
        """Outputs `[B, C, H', W']` of the stages in order, for a scaled picture `[B, 3, H, W]`.

        They come one at a time, so that two pictures can be compared without all features in memory.
        pool: in place of the network's own.
        """
        number = 0
        maps = picture
        for stage, pooled in zip(self.stages, self.pooled, strict=True):
            if pooled:
                maps = (pool or self.pool)(maps)
            for convolution in stage:
                weight, bias = weights[f"conv.{number}.weight"], weights[f"conv.{number}.bias"]
                maps = functional.conv2d(maps, weight, bias, convolution.stride, convolution.padding)
                maps = functional.relu(maps, inplace=True)
                number += 1
            yield maps


def _max_pool(window: int) -> Pool:
    return lambda maps: functional.max_pool2d(maps, window, 2)


VGG16 = Network(
    stages=tuple((Convolution(),) * count for count in (2, 2, 3, 3, 3)),
    channels=(64, 128, 256, 512, 512),
    pooled=(False, True, True, True, True),
    pool=_max_pool(2),
    smallest_side=16,
)

ALEXNET = Network(
    stages=((Convolution(4, 2),), (Convolution(1, 2),), *((Convolution(),),) * 3),
    channels=(64, 192, 384, 256, 256),
    pooled=(False, True, True, False, False),
    pool=_max_pool(3),
    smallest_side=31,
)


def planes(picture: Tensor) -> Tensor:
    """`[1, 3, H, W]`, float 0..1, of a picture `[H, W, 3]`, RGB 0..255; channels stay last in memory."""
    return picture.permute(2, 0, 1)[None].to(torch.float32) / 255
