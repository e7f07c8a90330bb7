"""Made-up fits to error maps, for planners that need some."""

from __future__ import annotations

from infotok_cli.allocation.distortion import Distortion

MADE_UP = Distortion(offsets=(-0.5, -1.0, -1.5, -2.0), slopes=(2.2, 2.1, 2.0, 2.0), bias_db=0.3)
"""An expectation of quality that was fitted to nothing."""
