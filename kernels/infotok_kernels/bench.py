"""Kernel benchmarks: every timed case of the table against torch's ways of doing the same work.

Run: make bench-kernels   (the kernels' tests first, then this), or, from the root of the checkout,
     python -m infotok_kernels.bench [--only NAME] [--csv FILE] [--sweep]

Each row is one way of doing one case: median and 20 % / 80 % quantiles in milliseconds, bytes and
floating-point operations per second, and their shares of what a plain copy and a plain matrix product
reached in the same run. Bytes are the fewest the work can move: inputs read once, outputs written
once. Operations are those of the matrix products. Rows are appended to the CSV file, never replaced.
`--sweep` times other tile sizes of the attention kernels and appends nothing. Without a GPU there is
nothing to measure: it says so and ends with exit code 0.
"""

from __future__ import annotations

import argparse
import csv
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import torch
import torch._functorch.config

from infotok_kernels.backend import interpreted, why_not_triton
from infotok_kernels.bench_ways import Work, attention_work, error_map_work, fsq_work, sweep_ways
from infotok_kernels.cases import ATTENTION, ERROR_MAP, FSQ

CSV = Path("kernels/bench.csv")

COPY_BYTES = 1 << 32
MATMUL_SIDE = 8192
WARMUP_MS, REPEAT_MS = 50, 300


Times = tuple[float, float, float]
"""Median, 20 % and 80 % quantile in milliseconds."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """When, with what, and on what."""

    when: str
    commit: str
    gpu: str
    torch: str
    triton: str


@dataclass(frozen=True, kw_only=True)
class Row(Run):
    """One line of the CSV file."""

    operation: str
    case: str
    way: str
    median_ms: float
    low_ms: float
    """20 % of the repeats were faster."""
    high_ms: float
    """80 % of the repeats were faster."""
    gigabytes_per_second: float | None = None
    """None, as the rest, where a row is about a whole model."""
    teraflops: float | None = None
    share_of_copy: float | None = None
    """Of the bytes per second of a device-to-device copy, read and written bytes counted."""
    share_of_matmul: float | None = None
    """Of the operations per second of an 8192-cubed bfloat16 product of random matrices."""

    @classmethod
    def of(cls, run: Run, operation: str, case: str, way: str, times_ms: Times) -> Row:
        """A row without rates."""
        median, low, high = (round(time, 5) for time in times_ms)
        return cls(
            **asdict(run), operation=operation, case=case, way=way, median_ms=median, low_ms=low, high_ms=high
        )


@dataclass(frozen=True)
class Ceilings:
    """What this device reached in this run."""

    bytes_per_second: float
    operations_per_second: float


def times(run: Callable[[], object]) -> Times:
    """Time a call; the GPU's cache is emptied between repeats."""
    from triton.testing import do_bench

    median, low, high = do_bench(run, warmup=WARMUP_MS, rep=REPEAT_MS, quantiles=[0.5, 0.2, 0.8])
    return median, low, high


def obstacle() -> str | None:
    """Why nothing can be measured here; None if it can."""
    if not torch.cuda.is_available():
        return "torch finds no CUDA device"
    if interpreted():
        return "TRITON_INTERPRET is set, which measures the interpreter"
    return why_not_triton("cuda")


def ceilings() -> Ceilings:
    """Bytes per second of a large copy, operations per second of a large matrix product."""
    source = torch.randint(0, 255, (COPY_BYTES,), dtype=torch.uint8, device="cuda")
    copy_ms, _, _ = times(partial(torch.empty_like(source).copy_, source))
    left, right = (torch.randn(MATMUL_SIDE, MATMUL_SIDE, device="cuda").bfloat16() for _ in range(2))
    matmul_ms, _, _ = times(partial(torch.matmul, left, right))
    return Ceilings(2 * COPY_BYTES / copy_ms * 1e3, 2 * MATMUL_SIDE**3 / matmul_ms * 1e3)


def works(only: str | None) -> Iterator[Work]:
    """The timed cases, forward and backward apart.

    What was compiled for one case is forgotten before the next: torch.compile gives up on a function
    that it has compiled too often, and would time it eagerly without a word.
    """
    for attention in ATTENTION:
        if attention.timed and only in (None, attention.name):
            torch.compiler.reset()
            yield from attention_work(attention)
    for fsq in FSQ:
        if fsq.timed and only in (None, fsq.name):
            torch.compiler.reset()
            yield from fsq_work(fsq)
    for error_map in ERROR_MAP:
        if error_map.timed and only in (None, error_map.name):
            torch.compiler.reset()
            yield from error_map_work(error_map)


def measure(work: Work, top: Ceilings, run: Run) -> Iterator[Row]:
    """Time every way of one piece of work; a way that torch cannot run here is left out, aloud."""
    for name, way in work.ways.items():
        try:
            row = Row.of(run, work.operation, work.case, name, times(way))
        except (RuntimeError, NotImplementedError) as error:
            why = str(error).splitlines()[0]
            print(f"{work.operation} {work.case} {name}: not run: {why}", file=sys.stderr)
            continue
        per_second = 1e3 / row.median_ms
        yield replace(
            row,
            gigabytes_per_second=round(work.bytes * per_second / 1e9, 1),
            teraflops=round(work.operations * per_second / 1e12, 2),
            share_of_copy=round(work.bytes * per_second / top.bytes_per_second, 4),
            share_of_matmul=round(work.operations * per_second / top.operations_per_second, 4),
        )


def append(path: Path, rows: list[Row]) -> None:
    """Add rows to a CSV file, which gets its header line if it is new."""
    names = [field.name for field in fields(Row)]
    fresh = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, names, lineterminator="\n")
        if fresh:
            writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def this_run() -> Run:
    """The facts of a run that starts now, on the current GPU."""
    import triton

    try:
        shown = subprocess.run(
            ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=True
        )
        commit = shown.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = "unknown"
    return Run(
        when=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        commit=commit,
        gpu=torch.cuda.get_device_name(),
        torch=torch.__version__,
        triton=triton.__version__,
    )


def line(row: Row) -> str:
    """A row for people."""
    text = (
        f"{row.operation:<18} {row.case:<18} {row.way:<18} {row.median_ms:9.4f} ms "
        f"({row.low_ms:.4f} to {row.high_ms:.4f})"
    )
    if row.gigabytes_per_second is None:
        return text
    return (
        f"{text} {row.gigabytes_per_second:8.1f} GB/s {row.share_of_copy:6.1%} "
        f"{row.teraflops:8.2f} TFLOP/s {row.share_of_matmul:6.1%}"
    )


def sweep(only: str | None) -> None:
    """Times of other tile sizes, for whoever tunes the kernels."""
    for case in ATTENTION:
        if case.timed and only in (None, case.name):
            for name, run in sweep_ways(case):
                try:
                    median, *_ = times(run)
                except Exception as error:  # too much shared memory is Triton's own error
                    print(f"{case.name:<18} {name}: {type(error).__name__}")
                else:
                    print(f"{case.name:<18} {name}: {median:9.4f} ms", flush=True)


def main() -> None:
    """Measure and print; append to the CSV file unless told to sweep."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help="name of one case")
    parser.add_argument("--csv", type=Path, default=CSV, help="file the rows are appended to")
    parser.add_argument("--sweep", action="store_true", help="time tile sizes instead")
    chosen = parser.parse_args()
    if reason := obstacle():
        print(f"no kernel benchmark on this machine ({platform.machine()}): {reason}; nothing was measured")
        return
    torch.manual_seed(0)
    # A compiled backward pass would otherwise give its buffers away and could not be repeated.
    torch._functorch.config.donated_buffer = False
    if chosen.sweep:
        sweep(chosen.only)
        return
    facts, top = this_run(), ceilings()
    gigabytes, teraflops = top.bytes_per_second / 1e9, top.operations_per_second / 1e12
    print(f"{facts.gpu}: copy {gigabytes:.0f} GB/s, matrix product {teraflops:.0f} TFLOP/s")
    for work in works(chosen.only):
        rows = list(measure(work, top, facts))
        append(chosen.csv, rows)
        print("\n".join(map(line, rows)), flush=True)
        del work
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
