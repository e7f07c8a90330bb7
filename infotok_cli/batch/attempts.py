"""How often work on something may be begun; imports nothing, so its actor loads neither torch nor PyAV."""

from __future__ import annotations

MOST_ATTEMPTS = 5
"""Times that work on a file is begun; one that ends its worker each time is then a failure."""


class Attempts:
    """An actor that counts how often work on something was begun: its memory outlives a worker."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def begin(self, name: str) -> int:
        """Count one more; how many there are now."""
        self._counts[name] = self._counts.get(name, 0) + 1
        return self._counts[name]
