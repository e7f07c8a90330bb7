"""Which implementation runs: `reference` (torch, any device) or `triton` (CUDA).

Chosen once per kind of device: by argument, else by `INFOTOK_KERNELS`, else by what the device can
run. A request that cannot be met is an error; only a choice left open falls back to the reference.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, cast

import torch

Backend = Literal["reference", "triton"]

BACKENDS: tuple[Backend, ...] = ("reference", "triton")

VARIABLE = "INFOTOK_KERNELS"

TRITON_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
"""What the Triton kernels of every operation take."""

_INTERPRET_VARIABLE = "TRITON_INTERPRET"

_MIN_CAPABILITY = (8, 0)
"""The kernels multiply bfloat16 on tensor cores."""

_selected: dict[str, Backend] = {}
_reasons: dict[str, str | None] = {}
# Dictionaries, not functools.cache: torch.compile traces through them without a warning.


class BackendError(ValueError):
    """A backend was asked for by name and cannot run here, or there is none of that name."""

    def __init__(self, what: str, way_out: str) -> None:
        super().__init__(f"{what}: {way_out}")
        self.what = what
        self.way_out = way_out


def interpreted() -> bool:
    """Whether kernels run under Triton's interpreter: slow, for tests, on any device."""
    return os.environ.get(_INTERPRET_VARIABLE, "").lower() in ("1", "true", "on", "yes", "y")


def why_not_triton(device: str) -> str | None:
    """What keeps Triton kernels from running on a kind of device (`cpu`, `cuda`); None if nothing does."""
    if device not in _reasons:
        _reasons[device] = _reason(device)
    return _reasons[device]


def _reason(device: str) -> str | None:
    try:
        import triton.language  # noqa: F401
    except ImportError as error:
        return f"triton cannot be imported ({error}); pip install 'infotok[gpu]' brings it"
    if interpreted():
        return None
    if device != "cuda":
        return f"it needs a CUDA device, and this one is {device}"
    if not torch.cuda.is_available():
        return "torch finds no CUDA device"
    capability = torch.cuda.get_device_capability()
    if capability < _MIN_CAPABILITY:
        return f"it needs compute capability 8.0 and this device has {capability[0]}.{capability[1]}"
    return _launch_obstacle()


def _launch_obstacle() -> str | None:
    """What keeps Triton from launching anything: it builds a part of itself with a C compiler first."""
    import triton.runtime

    try:
        triton.runtime.driver.active.utils  # noqa: B018
    except Exception as error:
        # A missing compiler, missing headers, a failed build: each has an error of its own.
        said = str(error).strip().splitlines()
        return f"triton cannot build its launcher ({said[0] if said else type(error).__name__})"
    return None


def select_backend(requested: str | None = None, device: str = "cpu") -> Backend:
    """Choose the backend for a kind of device (`cpu`, `cuda`), for the whole process.

    requested: `reference` or `triton`; None takes `INFOTOK_KERNELS`, and when that is not set, triton
    where it runs compiled, else the reference.
    Raises BackendError for an unknown name, or when triton is asked for and cannot run.
    """
    wanted, source = requested, "backend"
    if wanted is None:
        wanted, source = os.environ.get(VARIABLE) or None, VARIABLE
    if wanted is None:
        wanted = "reference" if interpreted() or why_not_triton(device) else "triton"
    elif wanted not in BACKENDS:
        raise BackendError(f"{source} {wanted!r} is unknown", f"choose {' or '.join(BACKENDS)}")
    elif wanted == "triton" and (reason := why_not_triton(device)):
        raise BackendError(f"{source} triton cannot run ({reason})", "choose reference, or leave it open")
    _selected[device] = cast(Backend, wanted)
    return _selected[device]


def selected_backend(device: str = "cpu") -> Backend:
    """The backend chosen for a kind of device; chooses it if nobody has."""
    chosen = _selected.get(device)
    return select_backend(None, device) if chosen is None else chosen


def on_device_of(tensor: torch.Tensor) -> AbstractContextManager[object]:
    """Triton launches on the current device; make that the tensor's."""
    return torch.cuda.device(tensor.device) if tensor.is_cuda else nullcontext()


def resolve_backend(requested: Backend | None, device: torch.device) -> Backend:
    """The backend of one call: `requested` if it can run on `device`, else the selected one."""
    if requested is None:
        return selected_backend(device.type)
    if requested not in BACKENDS:
        raise BackendError(f"backend {requested!r} is unknown", f"choose {' or '.join(BACKENDS)}")
    if requested == "triton" and (reason := why_not_triton(device.type)):
        raise BackendError(f"backend triton cannot run ({reason})", "choose reference")
    return requested
