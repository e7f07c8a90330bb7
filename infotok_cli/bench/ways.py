"""The ways to run a model that benchmarks on a GPU compare."""

from __future__ import annotations

WAYS = (("triton", False), ("triton", True), ("reference", False), ("reference", True))
"""Backend, and whether torch.compile takes the blocks."""


def way_name(backend: str, compiled: bool) -> str:
    """What a row of the kernels' CSV file calls a way."""
    return f"{backend} compiled" if compiled else backend
