"""Pictures, and the weights where they were fetched."""

from __future__ import annotations

import pytest

from infotok_cli.errors import ModelError
from infotok_cli.perceptual.weights import SOURCES, check_weights


@pytest.fixture(scope="session")
def weights() -> None:
    """Skips, saying what to do, where the weights are missing; `make test` fetches them first."""
    try:
        for name in SOURCES:
            check_weights(name)
    except ModelError as error:
        pytest.skip(f"NOT TESTED, {error}")
