"""Metrics of single pictures that cost too much for every frame: LPIPS, DISTS and SSIMULACRA2."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from infotok_cli.errors import UsageError
from infotok_cli.evaluate.metric_table import METRIC_NAMES

Picture = NDArray[np.uint8]
Measure = Callable[[Picture, Picture], float]
"""Of a source and a decoded picture `[H, W, 3]`, RGB 0..255."""


@cache
def measure_of(name: str) -> Measure:
    """How the metric `name` is measured.

    Raises UsageError when its package is missing, ModelError when its weights were not fetched.
    """
    if name == "ssimulacra2":
        return _ssimulacra2()
    if name == "dists":
        from infotok_cli.perceptual.dists import Dists

        return Dists()
    from infotok_cli.perceptual.lpips import Lpips

    return Lpips(name)


def _ssimulacra2() -> Measure:
    try:
        from ssimulacra2 import compute_ssimulacra2
    except ImportError as error:
        raise UsageError(
            "`metrics` ssimulacra2 needs the package ssimulacra2",
            way_out="install it with pip install 'infotok[perceptual]', or leave it out",
        ) from error
    return lambda source, decoded: float(compute_ssimulacra2(_as_file(source), _as_file(decoded)))


def _as_file(picture: Picture) -> io.BytesIO:
    """The picture as an uncompressed file in memory, since the package opens files only."""
    height, width, _ = picture.shape
    return io.BytesIO(b"P6 %d %d 255\n" % (width, height) + picture.tobytes())


class SampledMeter:
    """The mean of a metric over one frame in `Metric.every`, from the middle of each such run.

    A clip that is too short for one has its last frame measured.
    """

    def __init__(self, name: str) -> None:
        """name: that of a metric. Raises as `measure_of`."""
        self._measure = measure_of(name)
        self._every = METRIC_NAMES[name].every
        self._seen = 0
        self._values: list[float] = []
        self._last: tuple[Picture, Picture] | None = None

    def add(self, source: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> None:
        """Take in frames `[T, H, W, 3]`, RGB 0..255."""
        first = (self._every // 2 - self._seen) % self._every
        for place in range(first, len(source), self._every):
            self._values.append(self._measure(source[place], decoded[place]))
        self._seen += len(source)
        self._last = None if self._values else (source[-1], decoded[-1])

    def score(self) -> float:
        """Mean over the frames measured; at least one frame must have been added."""
        if self._last is not None:
            return self._measure(*self._last)
        return float(np.mean(self._values))
