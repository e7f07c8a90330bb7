"""The weights of LPIPS and DISTS, for tests that need them."""

from __future__ import annotations

import pytest

from infotok_cli.errors import ModelError
from infotok_cli.perceptual.weights import SOURCES, check_weights


def skip_without_weights() -> None:
    """Skip the test, saying what to do, where they are missing; `make test` fetches them first."""
    try:
        for name in SOURCES:
            check_weights(name)
    except ModelError as error:
        pytest.skip(f"NOT TESTED, {error}")
