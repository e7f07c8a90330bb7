"""How many threads of this machine a model's arithmetic takes on the CPU."""

from __future__ import annotations

import torch


def take_threads(*, share: int = 1, deterministic: bool = False) -> int:
    """Take one part in `share` of the threads torch would use, at least one; returns how many.

    deterministic: one alone, since the order in which threads add up may depend on how many there are.
    """
    count = 1 if deterministic else max(1, torch.get_num_threads() // share)
    torch.set_num_threads(count)
    return count
