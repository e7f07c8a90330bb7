"""What a token must be worth, by the token rate wanted over footage at large: segments allocated alone.

The paper's rule gives a segment N = beta err / E[err] tokens, with E[err] measured once, so that what a
segment gets depends on no other. Here it is given block by block: levels are powers of two and a doubling is
worth error per token, so a block has about error / worth tokens, between one and all. beta / E[err] is that
worth turned over, and is solved for with both limits in place: it is read off from the error maps of
calibration clips, as the worth at which these together take the rate wanted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infotok_cli.allocation.allocate import Allocation, allocate_blocks_worth, block_steps
from infotok_cli.config import MIN_RATE

RATES = tuple(np.linspace(MIN_RATE, 1, 57).tolist())
"""Token rates whose worths are kept; those between are interpolated in the worth's logarithm."""

_LEAST_WORTH = 1e-9


@dataclass(frozen=True)
class RateScale:
    """Fitted for one kind of error map (predicted or exact)."""

    worths: tuple[float, ...]
    """For each of `RATES`, what the last step taken is worth: mean absolute error per token, falling."""

    @classmethod
    def fit(cls, errors: Iterable[NDArray[np.float32]]) -> RateScale:
        """From the error maps `[t, h, w]` of calibration clips, sides even so that no block is cut."""
        parts, costs, positions = [], [], 0
        for error in errors:
            if any(side % 2 for side in error.shape):
                raise ValueError(f"error map of {error.shape} is not made of whole blocks")
            worth, cost = block_steps(error)
            parts.append(worth.ravel())
            costs.append(cost.ravel())
            positions += error.size
        worths, spent = np.concatenate(parts), np.concatenate(costs)
        order = np.argsort(-worths, kind="stable")
        rates = MIN_RATE + np.cumsum(spent[order]) / positions
        places = np.minimum(np.searchsorted(rates, RATES), len(order) - 1)
        return cls(tuple(np.maximum(worths[order][places], _LEAST_WORTH).astype(float).tolist()))

    def allocate(self, error: NDArray[np.float32], rate: float) -> Allocation:
        """Tokens of a segment with error map `[t, h, w]` where footage like the calibration's has `rate`.

        rate: 0.125 (one token a block, whatever its error) to 1 (all of them).
        """
        if rate <= MIN_RATE:
            return allocate_blocks_worth(error, np.inf)
        if rate >= 1:
            return allocate_blocks_worth(error, 0.0)
        return allocate_blocks_worth(error, float(np.exp(np.interp(rate, RATES, np.log(self.worths)))))

    def to_json(self) -> dict[str, object]:
        return {"rates": list(RATES), "worths": list(self.worths)}

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> RateScale:
        """Raises KeyError, TypeError or ValueError on values that `to_json` does not give."""
        rates, worths = values["rates"], values["worths"]
        if not isinstance(rates, list) or not isinstance(worths, list):
            raise TypeError("rate calibration has values of the wrong kind")
        if not np.allclose(rates, RATES) or len(worths) != len(RATES):
            raise ValueError(f"rate calibration is not for the {len(RATES)} token rates expected")
        scale = cls(tuple(map(float, worths)))
        if not all(
            0 < low <= high < np.inf for high, low in zip(scale.worths, scale.worths[1:], strict=False)
        ):
            raise ValueError("rate calibration has worths that do not fall")
        return scale
