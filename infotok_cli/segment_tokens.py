"""The token layer of one segment, uncoded: which positions have tokens, how blocks move, and the ids."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from infotok_cli.motion import Motion


class Maps(NamedTuple):
    """What is known of a segment before its ids."""

    keep: NDArray[np.bool_]
    """Keep map `[t, h, w]`."""
    motion: Motion
    """Motion map `[t, ceil(h / 2), ceil(w / 2)]`."""


class Tokens(NamedTuple):
    """What a segment is decoded from."""

    keep: NDArray[np.bool_]
    """Keep map `[t, h, w]`."""
    motion: Motion
    """Motion map `[t, ceil(h / 2), ceil(w / 2)]`."""
    ids: NDArray[np.uint16]
    """Ids of the kept positions in grid order, `[n]`."""

    @property
    def maps(self) -> Maps:
        """All but the ids."""
        return Maps(self.keep, self.motion)
