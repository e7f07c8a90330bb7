"""Whole encodes and decodes on a GPU, files in and out: Triton kernels against the reference.

Run: make bench-kernels, or, from the root of the checkout, python -m infotok_cli.bench.files

Made-up video of 256 rows, once to warm up (which is when torch.compile compiles) and then several times;
the model is loaded before. Rows go to the kernels' CSV file. Without a GPU, or without PyAV, nothing is
measured.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from infotok_cli.bench.ways import WAYS, way_name
from infotok_cli.model.compiling import forget_compiled
from infotok_cli.model.engine import Engine
from infotok_kernels.bench import CSV, Row, Run, append, line, obstacle, this_run

SECONDS = 20.0
REPEATS = 5


def quantiles_ms(run: Callable[[], object], repeats: int) -> tuple[float, float, float]:
    """Median, 20 % and 80 % quantile of the wall-clock time of a call, in milliseconds, after one more."""
    run()
    took = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        took.append((time.perf_counter() - began) * 1e3)
    low, median, high = np.quantile(took, [0.2, 0.5, 0.8])
    return float(median), float(low), float(high)


def rows(clip: Path, folder: Path, engine: Engine, facts: Run, repeats: int = REPEATS) -> Iterator[Row]:
    """Time an encode and a decode of a clip."""
    from infotok_cli.codec.decode import decode_file
    from infotok_cli.codec.encode import encode_file
    from infotok_cli.codec.options import EncodeOptions

    tokens, shown = folder / "bench.itk", folder / "bench.mp4"
    report = encode_file(clip, tokens, engine, EncodeOptions(rate=0.5), overwrite=True)
    case = f"{report.frames}x{report.height}x{report.width}"
    way = way_name(report.backend, report.compiled)
    runs: dict[str, Callable[[], object]] = {
        "file encode": lambda: encode_file(clip, tokens, engine, EncodeOptions(rate=0.5), overwrite=True),
        "file decode": lambda: decode_file(tokens, shown, engine, overwrite=True),
    }
    for operation, run in runs.items():
        yield Row.of(facts, operation, case, way, quantiles_ms(run, repeats))


def main() -> None:
    """Measure every way and append the rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--csv", type=Path, default=CSV, help="file the rows are appended to")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="length of the clip")
    chosen = parser.parse_args()
    missing = [name for name in ("av", "constriction", "google_crc32c") if find_spec(name) is None]
    reason = obstacle() or (f"{', '.join(missing)} cannot be imported" if missing else None)
    if reason:
        print(f"no benchmark of whole files on this machine: {reason}; nothing was measured")
        return
    from infotok_cli.bench.commands import long_clip
    from infotok_cli.codec.load_engine import load_engine

    facts = this_run()
    with tempfile.TemporaryDirectory(prefix="infotok-bench-") as name:
        clip = Path(name) / "clip.mp4"
        long_clip(clip, chosen.seconds)
        for backend, compiled in WAYS:
            forget_compiled()
            engine = load_engine(None, "cuda", backend, compiled=compiled)
            measured = list(rows(clip, Path(name), engine, facts))
            append(chosen.csv, measured)
            print("\n".join(map(line, measured)), flush=True)


if __name__ == "__main__":
    main()
