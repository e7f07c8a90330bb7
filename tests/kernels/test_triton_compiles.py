"""Every kernel compiles for a GPU. The interpreter alone would let through what the compiler refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "support" / "compile_kernels.py"
KERNELS = 13


@pytest.mark.slow
def test_kernels_compile_for_sm_90() -> None:
    pytest.importorskip("triton", reason="triton exists for Linux only")
    result = subprocess.run(
        [sys.executable, str(SCRIPT)],
        capture_output=True,
        text=True,
        env=os.environ | {"TRITON_INTERPRET": "0"},
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count(" bytes\n") == KERNELS, result.stdout
