"""What was fitted to a model's error maps, by router; lies in the weights file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from infotok_cli.allocation.distortion import Distortion
from infotok_cli.allocation.rate_scale import RateScale


@dataclass(frozen=True)
class Fits:
    """Empty for weights saved without."""

    distortions: Mapping[str, Distortion] = field(default_factory=dict)
    """What quality to expect."""
    rate_scales: Mapping[str, RateScale] = field(default_factory=dict)
    """What tokens must be worth."""

    def to_json(self) -> dict[str, object]:
        return {
            "distortion": {router: fit.to_json() for router, fit in self.distortions.items()},
            "rate_scale": {router: scale.to_json() for router, scale in self.rate_scales.items()},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Mapping[str, Mapping[str, object]]]) -> Fits:
        """Raises KeyError, TypeError or ValueError on values that `to_json` does not give."""
        return cls(
            {router: Distortion.from_json(fit) for router, fit in values.get("distortion", {}).items()},
            {router: RateScale.from_json(scale) for router, scale in values.get("rate_scale", {}).items()},
        )
