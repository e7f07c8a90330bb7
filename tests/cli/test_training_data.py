"""`infotok export` of training data as a command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Run = Callable[..., Any]
Refused = Callable[..., str]


def test_a_folder_becomes_a_data_set(run: Run, encoded: Path) -> None:
    out = encoded.with_name("train")
    words = ("export", encoded.parent, "-o", out, "--format", "megatron", "--marks", "step,video-end")
    report = json.loads(run(*words, "--json").stdout)
    assert (report["videos"], report["segments"], report["format"]) == (1, 5, "megatron")
    ids = np.fromfile(out / "tokens.bin", np.uint16)
    assert int((ids < 64_000).sum()) == report["tokens"]
    assert (ids[0], ids[-1]) == (64_001, 64_005)
    message = run(*words, "-y").stderr
    assert "in 5 segments of 1 video, as megatron" in message


def test_the_suffix_names_parquet(run: Run, encoded: Path) -> None:
    tables = pytest.importorskip("pyarrow.parquet")
    run("export", encoded, "-o", encoded.with_name("train.parquet"))
    assert tables.read_table(encoded.with_name("train.parquet")).num_rows == 5


def test_damaged_files_are_left_out(run: Run, encoded: Path) -> None:
    bad = encoded.with_name("bad.itk")
    bad.write_bytes(encoded.read_bytes()[:-9])
    words = ("export", encoded.parent, "-o", encoded.with_name("train"), "--format", "memmap")
    assert f"warning: left out: {bad}: " in run(*words, "--skip-bad").stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("{}", "--format", "megatron"), 2, "give one with -o"),
        (("{}", "-o", "-", "--format", "megatron"), 2, "does not go through a pipe"),
        (("{}", "{}", "-o", "{}.npz"), 2, "flat ids are of one file, and 2 are given"),
        (("{}", "-o", "{}.npz", "--marks", "step"), 2, "--marks is for training data"),
        (("{}", "-o", "{}.npz", "--skip-bad"), 2, "--skip-bad is for training data"),
        (("{}", "-o", "{}.d", "--format", "megatron", "--marks", "stop"), 2, "--marks has 'stop'"),
        (("{}", "-o", "{}.d", "--format", "megatron", "--id-offset", "-1"), 2, "--id-offset -1"),
        (
            ("{}", "-o", "{}.d", "--format", "webdataset", "--shard-size", "big"),
            2,
            "is not a number: give bytes",
        ),
        (("{}", "-o", "{}.d", "--format", "webdataset", "--marks", "step"), 2, "take megatron or memmap"),
        (("{}", "-o", "{}.d", "--format", "csv"), 2, "safetensors, megatron, memmap, parquet, webdataset"),
        (("{}", "-o", "{}", "--format", "megatron", "-y"), 2, "would replace the input"),
        (("{}.none", "-o", "{}.d", "--format", "megatron"), 3, "does not exist"),
        (("{}", "-o", "{}.none/d", "--format", "megatron"), 5, "create it first"),
    ],
)
def test_usage(refused: Refused, encoded: Path, words: tuple[str, ...], code: int, message: str) -> None:
    assert message in refused(code, "export", *(word.format(encoded) for word in words))
