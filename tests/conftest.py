"""What every test shares: a printed random seed and, for torch, memory that starts as NaN."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest


@pytest.fixture
def fresh_seed() -> int:
    """A seed that differs between runs; pytest shows it when the test fails."""
    seed = secrets.randbelow(1 << 31)
    print(f"seed {seed}")
    return seed


@pytest.fixture(autouse=True)
def _poisoned_memory(request: pytest.FixtureRequest) -> Iterator[None]:
    """In kernel and model tests, fresh float memory holds NaN, so an unwritten output cannot pass."""
    if not {"kernels", "model"} & set(request.path.parts):
        yield
        return
    import torch

    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]
    yield
    torch.use_deterministic_algorithms(False)
