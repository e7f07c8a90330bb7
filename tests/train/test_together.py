"""Two processes on the CPU train as one with twice the batch, and agree on everything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import train_together
from infotok_cli.model.tokenizer import Tokenizer
from infotok_cli.model.weights import file_sha256, load_model
from infotok_cli.train.checkpoint import read_checkpoint
from infotok_cli.train.step import TrainingModule
from tiny_model import write_tiny_model

Facts = dict[str, Any]

pytestmark = pytest.mark.slow


def torchrun(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Two processes on this machine; one thread each, so that they do not wait for each other's."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, *map(str, arguments)],
        env=surroundings, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> tuple[Path, list[dict[str, Facts]]]:
    """Folder of what two processes wrote, and what each of them saw."""
    out = tmp_path_factory.mktemp("together")
    result = torchrun(train_together.__file__, cache, out)
    assert result.returncode == 0, result.stderr
    return out, [json.loads((out / f"facts-{rank}.json").read_text()) for rank in range(2)]


def test_gradients_are_those_of_one_process_with_the_doubled_batch(
    together: tuple[Path, list[dict[str, Facts]]],
) -> None:
    folder, _ = together
    model = Tokenizer(train_together.TINY)
    model.load_state_dict(load_file(folder / "start.safetensors"))
    # Both processes' first (full) clips before the (masked) rest of both.
    batches = []
    for turn in range(2):
        mine, other = train_together.clips(2 * turn, 4), train_together.clips(2 * turn + 1, 4)
        batches.append(torch.cat([mine[:1], other[:1], mine[1:], other[1:]]))
    alone = train_together.gradients(TrainingModule(model, torch.Generator()), batches)
    shared = [load_file(folder / f"gradients-{rank}.safetensors") for rank in range(2)]
    assert set(shared[0]) == set(alone)
    assert sum(float(gradient.norm()) for gradient in alone.values()) > 0.1
    for name, gradient in alone.items():
        torch.testing.assert_close(shared[0][name], shared[1][name], rtol=0, atol=0)
        torch.testing.assert_close(shared[0][name], gradient, rtol=1e-3, atol=1e-6)


def test_weights_stay_equal_and_one_process_writes(together: tuple[Path, list[dict[str, Facts]]]) -> None:
    folder, (first, second) = together
    mine, other = first["plain"], second["plain"]
    assert mine["step"] == other["step"] == 3
    assert mine["clips"] == 3 * 2 * 2
    assert mine["weights"] == other["weights"]
    assert mine["digest"] == other["digest"] == file_sha256(folder / "plain.safetensors")
    assert mine["reports"] > 0
    assert other["reports"] == 0
    weights, progress, _ = read_checkpoint(folder / "plain.checkpoint.safetensors")
    assert (progress.step, progress.clips) == (3, 12)
    assert any(name.startswith("optimizer.") for name in weights)


def test_each_process_draws_its_own_data_and_masks(together: tuple[Path, list[dict[str, Facts]]]) -> None:
    _, (first, second) = together
    for kind in ("data", "masks"):
        mine, other = first["plain"][kind], second["plain"][kind]
        assert len(mine) >= 3
        assert len(set(mine)) == len(mine)
        # Masks of so few positions may be the same by chance.
        assert not set(mine) & set(other) or (kind == "masks" and mine != other)


def test_a_nan_in_one_process_makes_all_skip_the_step(
    together: tuple[Path, list[dict[str, Facts]]],
) -> None:
    folder, (first, second) = together
    for facts in (first["nan"], second["nan"]):
        assert (facts["step"], facts["skipped"]) == (3, 1)
        assert facts["finite"]
    assert first["nan"]["weights"] == second["nan"]["weights"]
    assert first["nan"]["weights"] != first["plain"]["weights"]
    tensors = load_model(folder / "nan.safetensors").tokenizer.state_dict().values()
    assert all(bool(tensor.isfinite().all()) for tensor in tensors)


def test_a_signal_to_one_process_ends_all_after_the_same_step(
    together: tuple[Path, list[dict[str, Facts]]],
) -> None:
    folder, (first, second) = together
    for facts in (first["interrupted"], second["interrupted"]):
        assert (facts["step"], facts["exit"]) == (2, None)
        assert facts["digest"] == file_sha256(folder / "interrupted.safetensors")
    for facts in (first["terminated"], second["terminated"]):
        assert (facts["step"], facts["exit"]) == (2, 128 + 15)
    assert not (folder / "terminated.safetensors").exists()
    assert read_checkpoint(folder / "terminated.checkpoint.safetensors")[1].step == 2


def test_a_signal_while_the_first_process_fits_is_heard(
    together: tuple[Path, list[dict[str, Facts]]],
) -> None:
    folder, (first, second) = together
    weights = folder / "fitting.safetensors"
    assert first["fitting"]["digest"] == second["fitting"]["digest"] == file_sha256(weights)
    assert not load_model(weights).fits.distortions
    assert load_model(folder / "plain.safetensors").fits.distortions


def test_the_command_runs_under_torchrun(cache: Path, tmp_path: Path) -> None:
    init, output = tmp_path / "tiny.safetensors", tmp_path / "small.safetensors"
    write_tiny_model(init, "elastic")  # such weights get no fits, which take minutes
    result = torchrun(
        "-m", "infotok_cli", "train", cache, "-o", output, "--steps", 1, "--batch", 2, "--crop", "8x16",
        "--no-compile", "--device", "cpu", "--coder-steps", 0, "--init", init, "--name", "small",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("wrote") == 1
    assert load_model(output).config.name == "small"
    left = {path.name for path in tmp_path.iterdir()} - {init.name}
    assert left == {"small.safetensors", "small.checkpoint.safetensors"}


def test_processes_that_would_make_a_cache_together_are_refused(clips: list[Path], tmp_path: Path) -> None:
    result = torchrun(
        "-m", "infotok_cli", "train", clips[0].parent, "-o", tmp_path / "a.safetensors", "--steps", 1,
    )  # fmt: skip
    assert result.returncode != 0
    assert "--make-cache' first, without torchrun" in result.stderr
    assert not list(tmp_path.iterdir())
