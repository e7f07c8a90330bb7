"""What torch finds on this machine, in plain values for `infotok doctor`."""

from __future__ import annotations

import contextlib
import platform
from dataclasses import dataclass
from pathlib import Path

import torch

from infotok_cli.model.engine import Runtime
from infotok_kernels import why_not_triton


@dataclass(frozen=True, kw_only=True)
class Device:
    """A processor that torch can run on."""

    kind: str
    """cpu or cuda"""
    name: str
    memory_bytes: int | None
    """Memory of its own; None for a CPU."""
    detail: str


def devices() -> tuple[Device, ...]:
    """The CPU and every CUDA device."""
    bf16 = "bfloat16 in hardware" if torch.cpu._is_avx512_bf16_supported() else "no bfloat16 in hardware"
    found = [
        Device(
            kind="cpu",
            name=_cpu_name(),
            memory_bytes=None,
            detail=f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}, {bf16}",
        )
    ]
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        found.append(
            Device(
                kind="cuda",
                name=facts.name,
                memory_bytes=facts.total_memory,
                detail=f"compute capability {facts.major}.{facts.minor}, "
                f"{facts.multi_processor_count} multiprocessors",
            )
        )
    return tuple(found)


def _cpu_name() -> str:
    """The processor's name where Linux shows it, else its architecture."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def cuda_version() -> str | None:
    """The CUDA version torch was built for; None for a CPU build."""
    return torch.version.cuda


def triton_obstacle(runtime: Runtime) -> str | None:
    """Why Triton kernels cannot run on a runtime's device; None if they can."""
    return why_not_triton(runtime.device.type)
