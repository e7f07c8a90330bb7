"""`infotok train` from a frame cache: its options reach the run, and bad ones are refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

from file_limit import largest_file
from infotok_cli.cli import train_view
from infotok_cli.config import ModelConfig
from infotok_cli.model.weights import load_model
from infotok_cli.train import fit_to_model
from train_together import FEW_CLIPS

Run = Callable[..., Any]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Six tiles of noise, in two shards."""
    folder = tmp_path / "cache"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(2):
        tiles = random.integers(0, 256, (3, 8, 32, 32, 3), np.uint8)
        np.save(folder / f"tiles-{number:04d}.npy", tiles)
    return folder


@pytest.fixture
def few_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is fitted at the end of a run would take longer than the run itself."""
    for name, few in FEW_CLIPS.items():
        monkeypatch.setattr(fit_to_model, name, few)


@pytest.mark.usefixtures("few_clips")
def test_from_scratch_a_model_is_called_like_its_file(run: Run, cache: Path, tmp_path: Path) -> None:
    output = tmp_path / "mine.safetensors"
    words = ("--steps", 0, "--crop", "8x16", "--no-compile", "--device", "cpu")
    result = run("train", cache, "-o", output, *words, "--coder-steps", 0)
    assert "wrote" in result.stderr
    assert load_model(output).config == ModelConfig(name="mine", overlap=2)
    assert {path.name for path in tmp_path.iterdir()} == {
        "cache", "mine.safetensors", "mine.checkpoint.safetensors",
    }  # fmt: skip


@pytest.mark.usefixtures("few_clips")
def test_options_reach_the_run(run: Run, cache: Path, model_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "mine.safetensors"
    result = run(
        "train", cache, "-o", output, "--init", model_file, "--name", "mine", "--masking", "elastic",
        "--time-budget", 60, "--steps", 2, "--batch", 2, "--accumulate", 3, "--crop", "8x16", "--seed", 5,
        "--final-share", 0.2, "--average-decay", 0.9, "--device", "cpu", "--device-cache", "--no-compile",
        "--coder-steps", 30,
    )  # fmt: skip
    assert "waiting for data" in result.stderr
    loaded = load_model(output)
    assert (loaded.config.name, loaded.config.masking, loaded.config.width) == ("mine", "elastic", 64)
    with safe_open(output, framework="pt") as reader:
        history = json.loads(reader.metadata()["infotok.training"])
    assert (history["steps"], history["clips"], history["clips_per_step"]) == (2, 12, 6)
    assert 0 <= history["waiting_share"] <= 1
    assert loaded.token_net is not None


@pytest.mark.usefixtures("few_clips")
def test_a_model_keeps_its_name(run: Run, cache: Path, model_file: Path, tmp_path: Path) -> None:
    words = ("--crop", "8x32", "--no-compile", "--device", "cpu", "--steps", 0, "--coder-steps", 0)
    output = tmp_path / "another.safetensors"
    run("train", cache, "-o", output, "--init", model_file, *words)
    assert load_model(output).config.name == "tiny"


@pytest.mark.usefixtures("few_clips")
def test_a_full_disk_is_an_output_that_cannot_be_written(
    refused: Callable[..., str], cache: Path, model_file: Path, tmp_path: Path
) -> None:
    output = tmp_path / "mine.safetensors"
    words = ("--crop", "8x32", "--no-compile", "--device", "cpu", "--steps", 0, "--coder-steps", 0)
    with largest_file(4096), pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_view._console, "quiet", True)  # the progress is not what is told
        told = refused(5, "train", cache, "-o", output, "--init", model_file, *words)
    assert told.startswith(f"{output}: cannot be written (File too large")


@pytest.mark.parametrize(("given", "taken"), [(None, "2000"), ("7", "7")])
def test_threads_wait_awake_unless_told_otherwise(given: str | None, taken: str) -> None:
    """The environment is set before torch, which reads it when it is loaded."""
    script = (
        "import os, sys; from infotok_cli.cli import train; from infotok_cli.cli.app import main; "
        "wait = train._wait_awake; "
        "train._wait_awake = lambda: (wait(), print(os.environ['GOMP_SPINCOUNT'], 'torch' in sys.modules)); "
        "main(['train', 'clips'])"
    )
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    environment |= {} if given is None else {"GOMP_SPINCOUNT": given}
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout == f"{taken} False\n"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--final-share", "5"), 2, "--final-share 5 is out of range"),
        (("--average-decay", "2"), 2, "--average-decay 2 is out of range"),
        (("--overlap", "9"), 2, "--overlap 9 is out of range"),
        (("--crop", "7x7"), 2, "--crop"),
        (("--device", "toaster"), 2, "toaster"),
        (("--name", ""), 2, "--name '' does not fit"),
        (("--init", __file__), 4, "cannot be read"),
        (("--init", "small", "--overlap", "1"), 2, "the model to start from, which has 2"),
    ],
)
def test_options_are_checked_before_videos_are_cut(
    refused: Callable[..., str], clip: Path, tmp_path: Path, words: tuple[str, ...], code: int, message: str
) -> None:
    assert message in refused(
        code, "train", clip.parent, "-o", tmp_path / "a.safetensors", "--steps", 1, *words
    )


@pytest.mark.usefixtures("few_clips")
def test_no_steps_only_fit_what_belongs_to_the_weights(
    run: Run, cache: Path, model_file: Path, tmp_path: Path
) -> None:
    output = tmp_path / "fitted.safetensors"
    words = ("--init", model_file, "--name", "tiny", "--crop", "8x32", "--no-compile", "--device", "cpu")
    told = run("train", cache, "-o", output, *words, "--steps", 0, "--coder-steps", 0).stderr
    assert "no token coder" not in told
    assert load_model(output).token_net is None
    run("train", cache, "-o", output, "-y", *words, "--steps", 0, "--coder-steps", 30)
    before, after = load_model(model_file), load_model(output)
    assert after.token_net is not None
    assert set(after.fits.distortions) == set(after.fits.rate_scales) == {"fast", "exact"}
    for name, tensor in before.tokenizer.state_dict().items():
        assert torch.equal(tensor, after.tokenizer.state_dict()[name]), name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--masking", "zebra"), "--masking 'zebra' is unknown: choose error, elastic"),
        (("--final-share", "2"), "--final-share 2 is out of range"),
        (("--average-decay", "1"), "--average-decay 1 is out of range"),
        (("--time-budget", "0"), "--minutes 0 is out of range: choose more than 0"),
        (("--accumulate", "0"), "--accumulate 0 is too low: choose 1 or more"),
    ],
)
def test_bad_options_are_refused(
    refused: Callable[..., str], cache: Path, tmp_path: Path, words: tuple[str, str], message: str
) -> None:
    told = refused(
        2, "train", cache, "-o", tmp_path / "a.safetensors", "--steps", 1, "--coder-steps", 0, *words
    )
    assert message in told
