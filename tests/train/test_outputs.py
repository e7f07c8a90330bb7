"""What a run writes: whole files with the usual permissions, also when the disk is full, and their name."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

import infotok_weights
from file_limit import largest_file
from infotok_cli.config import ModelConfig
from infotok_cli.errors import ModelError, OutputError
from infotok_cli.model.weights import load_model
from infotok_cli.train.checkpoint import read_checkpoint
from infotok_cli.train.frame_cache import CropShape
from infotok_cli.train.loop import train
from infotok_cli.train.options import TrainOptions, default_name
from infotok_cli.train.reporting import Report
from tiny_model import write_tiny_model
from train_together import TINY


def options(cache: Path, output: Path, steps: int) -> TrainOptions:
    return TrainOptions(
        cache=cache, output=output, config=TINY, steps=steps, batch=2, crops=(CropShape(8, 32),),
        report_seconds=0.0, coder_steps=3,
    )  # fmt: skip


def silent(_: Report) -> None:
    pass


def test_a_checkpoint_that_finds_no_room_does_not_end_the_run(cache: Path, tmp_path: Path) -> None:
    wanted = options(cache, tmp_path / "tiny.safetensors", 3)
    write_tiny_model(wanted.output, coded=True)
    room = 2 * wanted.output.stat().st_size
    wanted.output.unlink()
    reports: list[Report] = []
    with largest_file(room), pytest.raises(OutputError) as caught:
        train(wanted, reports.append)
    warnings = [str(report.unsaved) for report in reports if report.unsaved]
    assert len(warnings) == 3
    for text in (*warnings, str(caught.value)):
        assert text.startswith(f"{wanted.checkpoint}: cannot be written (File too large")
    assert str(caught.value).endswith(f"the weights are in {wanted.output}")
    assert [entry.name for entry in tmp_path.iterdir()] == ["tiny.safetensors"]
    assert load_model(wanted.output).token_net is not None


def test_a_full_disk_leaves_what_was_there(cache: Path, tmp_path: Path) -> None:
    wanted = options(cache, tmp_path / "tiny.safetensors", 1)
    train(wanted, silent)
    before = {entry: entry.read_bytes() for entry in tmp_path.iterdir()}
    assert set(before) == {wanted.output, wanted.checkpoint}
    with largest_file(4096), pytest.raises(OutputError, match=r"tiny.safetensors: cannot be written"):
        train(replace(wanted, steps=2), silent)
    assert {entry: entry.read_bytes() for entry in tmp_path.iterdir()} == before
    train(replace(wanted, steps=2), silent)
    assert read_checkpoint(wanted.checkpoint)[1].step == 2


def test_a_run_told_to_stop_says_that_its_checkpoint_is_lost(cache: Path, tmp_path: Path) -> None:
    def terminated(_: Report) -> None:
        raise SystemExit(143)

    with largest_file(4096), pytest.raises(OutputError, match=r"checkpoint.safetensors: cannot be written"):
        train(options(cache, tmp_path / "tiny.safetensors", 5), terminated)
    assert not list(tmp_path.iterdir())


def test_files_have_the_usual_permissions(cache: Path, tmp_path: Path) -> None:
    wanted = options(cache, tmp_path / "tiny.safetensors", 1)
    umask = os.umask(0o027)
    try:
        train(wanted, silent)
    finally:
        os.umask(umask)
    for path in (wanted.output, wanted.checkpoint):
        assert path.stat().st_mode & 0o777 == 0o640, path


def test_a_run_that_goes_on_keeps_its_name(cache: Path, tmp_path: Path) -> None:
    first = options(cache, tmp_path / "a.safetensors", 1)
    train(first, silent)
    train(replace(first, config=replace(TINY, name="another"), steps=2), silent)
    assert load_model(first.output).config.name == "tiny"


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("mine", "mine"),
        ("my camera.v2", "my camera.v2"),
        ("a\nb\udcff", "ab"),
        ("\n", "mine"),
        ("é" * 40, "é" * 32),
        ("x" + "é" * 40, "x" + "é" * 31),
    ],
)
def test_a_model_from_scratch_is_called_like_its_file(stem: str, name: str) -> None:
    found = default_name(Path("runs") / f"{stem}.safetensors", None)
    assert found == name
    assert ModelConfig(name=found).name == name


def test_a_model_is_called_like_the_one_it_starts_from_unless_that_is_packaged(tmp_path: Path) -> None:
    mine, output = tmp_path / "mine.safetensors", tmp_path / "new.safetensors"
    write_tiny_model(mine)
    assert default_name(output, mine) == "tiny"
    (tmp_path / "link.safetensors").symlink_to(infotok_weights.path("small"))
    for packaged in (infotok_weights.path("small"), tmp_path / "link.safetensors"):
        assert default_name(output, packaged) == "new"
    mine.write_bytes(b"no model")
    with pytest.raises(ModelError, match="cannot be read"):
        default_name(output, mine)
