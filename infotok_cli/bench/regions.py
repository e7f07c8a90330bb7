"""Where time goes: named regions around functions, under torch's profiler.

Regions are put around functions from outside, for the length of a profile, so that the code that is
measured knows nothing of it. Of regions inside each other the inner one counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any
from unittest.mock import patch

import torch
from torch import nn
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile, record_function

from infotok_cli.model import engine, layers, tokenizer, transfer

REST = "everything else"

_PREFIX = "region: "

Place = tuple[Any, str, str]
"""Owner of a function, its name there, and the region it is."""

NETWORK: tuple[Place, ...] = (
    (layers, "window_attention", "attention"),
    (nn.Linear, "forward", "linear"),
    (layers.RmsNorm, "forward", "norm, activation"),
    (nn.functional, "gelu", "norm, activation"),
    (tokenizer, "fsq_encode", "FSQ"),
    (tokenizer, "ids_to_codes", "FSQ"),
    (tokenizer, "patchify", "patch, un-patch"),
    (tokenizer, "pad_video", "patch, un-patch"),
    (tokenizer, "unpatchify", "patch, un-patch"),
    (tokenizer, "around", "patch, un-patch"),
    (tokenizer, "kept_places", "keep map"),
    (engine, "estimate_motion", "motion search"),
    (tokenizer, "compensated", "motion"),
    (tokenizer, "followed", "motion"),
    (engine, "error_map", "error map"),
    (tokenizer, "to_signal", "pixel conversion"),
    (engine, "to_pixels", "pixel conversion"),
    (engine, "upload", "copies"),
    (engine, "pinned", "copies"),
)
"""Everything the model and its engine do."""


@dataclass(frozen=True)
class Share:
    """What one region took."""

    region: str
    host_seconds: float
    """Of the thread that called it, without regions inside it."""
    device_seconds: float
    """Of the CUDA kernels and copies it started; 0 without such a device."""


@dataclass(frozen=True)
class Profile:
    """What a run took, and where."""

    host_seconds: float
    device_seconds: float
    shares: tuple[Share, ...]
    """The longest first, by the device's time where there is one; they add up to the whole."""
    longest: str
    """Torch's table of its longest operations."""


@contextmanager
def region(name: str) -> Iterator[None]:
    """What runs inside counts for `name`."""
    with record_function(_PREFIX + name):
        yield


def inside(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The function, as a region."""

    @wraps(function)
    def run(*given: Any, **named: Any) -> Any:
        with record_function(_PREFIX + name):
            return function(*given, **named)

    return run


@contextmanager
def marked(places: tuple[Place, ...]) -> Iterator[None]:
    """Make functions regions; AttributeError for one that is not there."""
    with ExitStack() as stack:
        download = inside(transfer.download, "copies")
        stack.enter_context(
            patch.object(engine, "download", lambda tensor: inside(download(tensor), "waiting for results"))
        )
        for owner, name, what in places:
            stack.enter_context(patch.object(owner, name, inside(getattr(owner, name), what)))
        yield


def profiled(run: Callable[[], object]) -> Profile:
    """Run under torch's profiler, in this thread: work that other threads do is not seen."""
    cuda = torch.cuda.is_available()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    with profile(activities=activities) as watch, region(REST):
        run()
        if cuda:
            torch.cuda.synchronize()
    host: defaultdict[str, float] = defaultdict(float)
    device: defaultdict[str, float] = defaultdict(float)
    for event in watch.events() or ():
        if event.is_async or event.device_type.name != "CPU":
            continue
        if event.name.startswith(_PREFIX):
            name = event.name.removeprefix(_PREFIX)
            host[name] += event.cpu_time_total / 1e6
            if (outer := _region(event.cpu_parent)) is not None:
                host[outer] -= event.cpu_time_total / 1e6
        # The device's side of a region, from its first kernel to its last, is listed like a kernel.
        kernels = (kernel for kernel in event.kernels if not kernel.name.startswith(_PREFIX))
        device[_region(event) or REST] += sum(kernel.duration for kernel in kernels) / 1e6
    shares = [Share(name, host[name], device[name]) for name in {*host, *device}]
    shares.sort(key=lambda share: (share.device_seconds, share.host_seconds), reverse=True)
    order = "self_device_time_total" if cuda else "self_cpu_time_total"
    return Profile(
        host_seconds=sum(share.host_seconds for share in shares),
        device_seconds=sum(share.device_seconds for share in shares),
        shares=tuple(shares),
        longest=watch.key_averages().table(sort_by=order, row_limit=12, max_name_column_width=48),
    )


def _region(event: FunctionEvent | None) -> str | None:
    """The innermost region around an event, or the one it is."""
    while event is not None:
        if event.name.startswith(_PREFIX):
            return str(event.name.removeprefix(_PREFIX))
        event = event.cpu_parent
    return None
