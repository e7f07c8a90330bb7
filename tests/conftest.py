"""What every test shares: a printed random seed and, for torch, memory that starts as NaN."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator

import pytest

# Triton reads this when it is first imported. `make test-gpu` sets it to 0.
os.environ.setdefault("TRITON_INTERPRET", "1")
# Deterministic algorithms, as below, need it on CUDA.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


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
