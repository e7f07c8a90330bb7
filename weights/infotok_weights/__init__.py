"""The packaged models: names, files and hashes. Standard library only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent

DEFAULT = "small"


def manifest() -> dict[str, dict[str, Any]]:
    """Facts about each packaged model by name: file, sha256, config, and how it was trained."""
    entries: dict[str, dict[str, Any]] = json.loads((_FOLDER / "manifest.json").read_text("utf-8"))
    return entries


def names() -> list[str]:
    """Names of the packaged models."""
    return sorted(manifest())


def path(name: str) -> Path:
    """File of the packaged model `name`; KeyError when there is none of that name."""
    file: str = manifest()[name]["file"]
    return _FOLDER / file
