"""`EncodeFiles`: tables of videos in, tables of statistics out."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import infotok_cli
from infotok_cli import EncodeFiles, EncodeOptions
from infotok_cli.errors import ModelError, UsageError

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

OPTIONS = EncodeOptions(rate=0.25)


def rows(table: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = table.to_pylist()
    return found


def test_a_row_for_each_row(run: Callable[..., Any], clips: Path) -> None:
    encode = EncodeFiles("out", OPTIONS, deterministic=True)
    table = pyarrow.table(
        {
            "id": ["one", None, "../up", "none", "gone"],
            "path": ["clips/a/0.mp4", "clips/b/2.mp4", "clips/top.mkv", None, "clips/gone.mp4"],
            "label": [1, 2, 3, 4, 5],
        }
    )
    found = rows(encode(table))
    assert [row["id"] for row in found] == ["one", "clips/b/2.mp4", "../up", "none", "gone"]
    assert [row["status"] for row in found] == ["encoded", "encoded", "failed", "failed", "failed"]
    assert [row["label"] for row in found] == [1, 2, 3, 4, 5]
    assert [(row["error"] or "").partition(":")[0] for row in found][2:] == [
        "clips/top.mkv", "none has no path", "clips/gone.mp4",
    ]  # fmt: skip
    run("clips", "-o", "local", "--rate", 0.25, "--deterministic")
    assert Path("out/one.itk").read_bytes() == Path("local/a/0.itk").read_bytes()
    assert Path("out/clips/b/2.itk").read_bytes() == Path("local/b/2.itk").read_bytes()
    assert Path("out/run.json").read_bytes() == Path("local/run.json").read_bytes()
    assert set(found[0]) == {*parquet.read_schema("local/stats.parquet").names, "label"}
    os.utime("out/one.itk", (1, 1))
    assert [row["status"] for row in rows(encode(table.slice(0, 2)))] == ["skipped", "skipped"]
    assert Path("out/one.itk").stat().st_mtime == 1


def test_what_is_refused_at_once(clips: Path) -> None:
    encode = EncodeFiles("out")
    with pytest.raises(UsageError, match=r"the run there has rate 0.5, this one 0.25"):
        EncodeFiles("out", OPTIONS)
    with pytest.raises(ModelError, match="does not exist"):
        EncodeFiles("other", model="gone.safetensors")
    with pytest.raises(UsageError, match="needs weights trained with"):
        EncodeFiles("other", EncodeOptions(router="elastic"))
    assert not Path("other").exists()
    with pytest.raises(TypeError, match=r'a column path .*batch_format="pyarrow".*, not dict'):
        encode({"path": ["clips/top.mkv"]})
    with pytest.raises(TypeError, match=r"not Table \['file'\]"):
        encode(pyarrow.table({"file": ["clips/top.mkv"]}))


def test_at_the_door() -> None:
    assert infotok_cli.EncodeFiles is EncodeFiles
    assert pickle.loads(pickle.dumps(EncodeFiles)) is EncodeFiles
