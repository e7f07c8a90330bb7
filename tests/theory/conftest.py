"""The page whose numbers are tested."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def page() -> str:
    """docs/THEORY.md on one line, so that no line break parts a number from its sentence."""
    return " ".join((Path(__file__).parents[2] / "docs" / "THEORY.md").read_text("utf-8").split())
