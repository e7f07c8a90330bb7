"""The benchmarks compare like with like, keep what they measured before, and need a GPU to measure."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("triton", reason="triton exists for Linux only")

from infotok_kernels import bench
from infotok_kernels.bench_ways import attention_inputs, attention_ways, pairs
from infotok_kernels.cases import ATTENTION, AttentionCase

CASES = [
    AttentionCase(name="ragged", grid=(2, 2, 9, 17)),
    AttentionCase(name="shifted", grid=(1, 1, 9, 10), shift=3, heads=2),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_way_does_the_same_work(case: AttentionCase, fresh_seed: int) -> None:
    torch.manual_seed(fresh_seed)
    inputs, options = attention_inputs(case, "cpu")
    ways = attention_ways(case, options, "cpu", compiled=False)
    assert len(ways) == 5
    with torch.no_grad():
        # FlexAttention on a CPU takes no tensors that want gradients.
        results = {name: way(*(x.detach() for x in inputs)) for name, way in ways.items()}
    for name, result in results.items():
        torch.testing.assert_close(result, results["eager"], atol=2e-5, rtol=2e-5, msg=name)


def test_pairs_are_counted() -> None:
    case = AttentionCase(name="two windows", grid=(2, 3, 8, 10))
    assert pairs(case, "cpu") == 2 * ((3 * 64) ** 2 + (3 * 16) ** 2)
    case = AttentionCase(name="four windows", grid=(5, 1, 8, 10), shift=4)
    assert pairs(case, "cpu") == 5 * 2 * ((4 * 4) ** 2 + (4 * 6) ** 2)


def test_there_is_something_to_time() -> None:
    assert sum(case.timed for case in ATTENTION) >= 4
    assert not any(case.timed and case.small for case in ATTENTION)


def test_without_a_gpu_it_says_so(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "infotok_kernels.bench", "--csv", str(tmp_path / "rows.csv")],
        capture_output=True,
        text=True,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "TRITON_INTERPRET": "0"},
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "nothing was measured" in result.stdout
    assert not (tmp_path / "rows.csv").exists()


def test_rows_are_appended(tmp_path: Path) -> None:
    values: dict[str, object] = dict.fromkeys(("when", "commit", "gpu", "torch", "triton"), "x")
    values |= dict.fromkeys(("operation", "case", "way"), "y")
    values |= dict.fromkeys(("median_ms", "low_ms", "high_ms", "gigabytes_per_second", "teraflops"), 1.5)
    row = bench.Row(**values, share_of_copy=0.5, share_of_matmul=0.25)  # type: ignore[arg-type]
    path = tmp_path / "new" / "rows.csv"
    for _ in range(2):
        bench.append(path, [row])
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 2
    assert rows[0] == rows[1]
    assert rows[0]["share_of_copy"] == "0.5"
    assert "0.5 TFLOP/s" not in bench.line(row)
    assert "50.0%" in bench.line(row)
