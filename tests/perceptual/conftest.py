"""The weights, where they were fetched."""

from __future__ import annotations

import pytest

from fetched_weights import skip_without_weights


@pytest.fixture(scope="session")
def weights() -> None:
    """Skips where the weights are missing."""
    skip_without_weights()
