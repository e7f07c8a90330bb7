"""What every test shares: a printed seed, NaN in torch's fresh memory, and which process runs it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

# Triton reads this when it is first imported. `make test-gpu` sets it to 0.
os.environ.setdefault("TRITON_INTERPRET", "1")
# Deterministic algorithms, as below, need it on CUDA.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

TOGETHER = (
    "tests/batch/test_ray.py",
    "tests/codec/test_demo_clip.py",
    "tests/perceptual/test_distances.py",
    "tests/test_packaging.py",
    "tests/train/test_together.py",
    "tests/train/test_token_net.py",
    "tests/view/test_compare.py",
    "tests/view/test_report.py",
    "tests/view/test_report_in_browser.py",
    "tests/view/test_scene.py",
)
"""Modules whose tests share what takes long to set up: a cluster, a wheel, a browser, trained weights."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Begin with these modules, each in one process; every other test goes to whichever has time.

    The marker `xdist_group` has no effect with pytest 9.2 and pytest-xdist 3.8.
    """
    from xdist.scheduler import LoadScopeScheduling

    assert all((config.rootpath / name).is_file() for name in TOGETHER), TOGETHER

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return path if path in TOGETHER else nodeid

    return Scheduling(config, log)


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
