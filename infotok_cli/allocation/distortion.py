"""What quality an allocation will give, predicted from error maps before anything is compressed.

A block's squared error follows its mean absolute error at full rate and its level:
log mse = offset[level] + slope[level] * log error, fitted once per model and kind of error map on
blocks of training clips (`infotok_cli.train.calibrate`). A segment's squared error is the mean over
its blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from infotok_cli.allocation.allocate import Allocation, allocate_blocks, block_means, missing_doublings
from infotok_cli.blocks import block_capacity
from infotok_cli.metrics import psnr_of_error

MIN_ERROR = 1e-4
"""Mean absolute errors below this, [-1, 1] scale, count as this."""

SHARES = 4
"""Levels as shares of a whole block: 1/8, 1/4, 1/2 and all of its positions."""


@dataclass(frozen=True)
class Distortion:
    """Fitted constants for one kind of error map (predicted or exact)."""

    offsets: tuple[float, ...]
    """By share 1/8, 1/4, 1/2, 1; pixels in [-1, 1]."""
    slopes: tuple[float, ...]
    bias_db: float
    """Added to the PSNR of a segment's predicted squared error: frames' mean PSNR less that, on average."""

    def block_mse(self, error: NDArray[np.float32], levels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Predicted mean squared error of each block `[bt, bh, bw]` at these levels."""
        share = shares_of(error, levels)
        log_error = np.log(np.maximum(block_means(error).astype(np.float64), MIN_ERROR))
        offsets, slopes = np.array(self.offsets), np.array(self.slopes)
        mse: NDArray[np.float64] = np.exp(offsets[share] + slopes[share] * log_error)
        return mse

    def psnr_db(self, error: NDArray[np.float32], allocation: Allocation) -> float:
        """Predicted mean over frames of PSNR, dB, of a segment with error map `[t, h, w]`."""
        if allocation.levels is None:
            raise ValueError("quality is predicted for block allocations only")
        capacity = block_capacity(error.shape).astype(np.float64)
        mse = float((self.block_mse(error, allocation.levels) * capacity).sum() / capacity.sum())
        return psnr_of_error(mse, peak=2) + self.bias_db

    def mean_psnr_db(
        self,
        errors: Sequence[NDArray[np.float32]],
        allocations: Sequence[Allocation],
        frames: Sequence[int],
    ) -> float:
        """Predicted mean over the frames of several segments of PSNR, dB."""
        values = [self.psnr_db(error, chosen) for error, chosen in zip(errors, allocations, strict=True)]
        return float(np.average(values, weights=frames))

    def allocate_for(
        self, errors: Sequence[NDArray[np.float32]], frames: Sequence[int], psnr_db: float
    ) -> tuple[list[Allocation], float]:
        """The fewest tokens whose predicted mean PSNR over these segments is `psnr_db`, and that prediction.

        Where even the floor is better, or all positions are not enough, that is what it gives.
        """
        positions = sum(error.size for error in errors)
        low, high = 0, positions
        if self._psnr_with(errors, frames, 0) >= psnr_db:
            high = 0
        while high - low > max(4, positions // 1000):
            middle = (low + high) // 2
            if self._psnr_with(errors, frames, middle) < psnr_db:
                low = middle
            else:
                high = middle
        chosen = allocate_blocks(errors, Fraction(high, positions))
        return chosen, self.mean_psnr_db(errors, chosen, frames)

    def _psnr_with(self, errors: Sequence[NDArray[np.float32]], frames: Sequence[int], tokens: int) -> float:
        positions = sum(error.size for error in errors)
        return self.mean_psnr_db(errors, allocate_blocks(errors, Fraction(tokens, positions)), frames)

    def to_json(self) -> dict[str, object]:
        return {"offsets": list(self.offsets), "slopes": list(self.slopes), "bias_db": self.bias_db}

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> Distortion:
        """Raises KeyError, TypeError or ValueError on values that `to_json` does not give."""
        offsets, slopes, bias = values["offsets"], values["slopes"], values["bias_db"]
        if not isinstance(offsets, list) or not isinstance(slopes, list) or not isinstance(bias, int | float):
            raise TypeError("distortion calibration has values of the wrong kind")
        if len(offsets) != SHARES or len(slopes) != SHARES:
            raise ValueError(f"distortion calibration has {len(offsets)} offsets, expected {SHARES}")
        return cls(tuple(map(float, offsets)), tuple(map(float, slopes)), float(bias))


def shares_of(error: NDArray[np.float32], levels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Index 0..3 of the share of its positions that each block `[bt, bh, bw]` keeps: 1/8, 1/4, 1/2, all."""
    capacity = block_capacity(error.shape)
    exponent: NDArray[np.int64] = np.round(np.log2(levels)).astype(np.int64)
    return exponent + missing_doublings(capacity)
