"""SIGKILL of an encode at random moments: the target is absent, the old file, or the whole new one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from make_video import make_video, moving_shapes

RUNS = 10

# One process loads the model and forks for each run, so that a run takes as long as the encode alone.
SCRIPT = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from infotok_cli.codec.encode import encode_file
from infotok_cli.codec.load_engine import load_engine
from infotok_cli.codec.options import EncodeOptions

torch.set_num_threads(1)
clip, folder, seed, runs = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
engine = load_engine(sys.argv[5], "cpu")
options = EncodeOptions(segment_frames=4)
began = time.monotonic()
encode_file(clip, folder / "whole.itk", engine, options)
took = time.monotonic() - began
whole = (folder / "whole.itk").read_bytes()
random.seed(seed)
killed = 0
for run in range(runs):
    target = folder / f"{run}.itk"
    if run % 2:
        target.write_bytes(b"old")
    child = os.fork()
    if not child:
        try:
            encode_file(clip, target, engine, options, overwrite=True)
        finally:
            os._exit(0)
    time.sleep(random.uniform(0, took))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    killed += os.WIFSIGNALED(status)
    found = target.read_bytes() if target.exists() else None
    assert found in (b"old" if run % 2 else None, whole), (run, found)
print(killed)
"""


def test_killed_encode(tmp_path: Path, model_file: Path, fresh_seed: int) -> None:
    clip = make_video(tmp_path / "clip.mp4", moving_shapes(40, 48, 64))
    words = [str(word) for word in (clip, tmp_path, fresh_seed, RUNS, model_file)]
    command = [sys.executable, "-P", "-c", SCRIPT, *words]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stderr
    if not int(result.stdout):
        pytest.fail("every run ended before it was killed")
