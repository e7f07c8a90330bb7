"""The door: its names, what loading it costs, and the types that a user's type checker sees."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import infotok_cli as infotok

ROOT = Path(__file__).parent.parent.parent

SCRIPT = """
import io
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import assert_type

import numpy as np
import torch
from numpy.typing import NDArray

import infotok_cli as infotok

Frames = NDArray[np.uint8]


def frames() -> Iterator[Frames]:
    yield np.zeros((16, 16, 3), np.uint8)


def encode(model: infotok.Model, path: os.PathLike[str]) -> infotok.TokenFile:
    options = infotok.EncodeOptions(budget=infotok.Budget("target-size", 50_000))
    report = infotok.encode(path, "clip.itk", model, options, overwrite=True)
    assert_type(report, infotok.EncodeReport)
    assert_type(report.tokens, int)
    infotok.encode(b"video", io.BytesIO(), model)
    model.encode_frames(torch.zeros((4, 16, 16, 3), dtype=torch.uint8), 0.25, fps=Fraction(30000, 1001))
    model.encode_frames([torch.zeros((16, 16, 3), dtype=torch.uint8)], fps=29.97)
    model.encode_frames(np.zeros((4, 16, 16, 3), np.uint8), short_side=256)
    return model.encode_frames(frames(), rate=0.5, fps=30)


def look(source: Path) -> None:
    with infotok.open(source) as file, source.open("rb") as stream:
        assert_type(file, infotok.TokenFile)
        assert_type(file.header, infotok.Header)
        assert_type(file.header.width, int)
        assert_type(file.keep_map(0), NDArray[np.bool_])
        assert_type(file.tokens(0), NDArray[np.uint16])
        assert_type(file.motion_map(0), NDArray[np.uint8])
        assert_type(file.times, NDArray[np.float64])
        assert_type(file.token_grid, tuple[int, int, int])
        assert_type(file[1.0:2.5], infotok.TokenFile)
        assert_type(file.segments, tuple[infotok.TokenSegment, ...])
        assert_type(file.segments[0].start_seconds, float)
        assert_type(file.to_bytes(), bytes)
        file.save(source, overwrite=True)
        infotok.concat([file[:1], file[1:], b"itk", source, "a.itk", stream], io.BytesIO())
        assert_type(infotok.cut(file, "part.itk", 1.0, 2.5), infotok.EditReport)
        assert_type(infotok.export(file, "ids.npz", "npz"), infotok.FlatReport)


model = infotok.load("small", device="auto")
assert_type(model, infotok.Model)
try:
    made = encode(model, Path("clip.mp4"))
except infotok.UsageError as error:
    assert_type(error.what, str)
except (infotok.InputError, infotok.ModelError, infotok.OutputError, infotok.InfotokError) as other:
    print(other)
else:
    assert_type(model.decode(made, start=0.5), NDArray[np.uint8])
    for part in model.decode_frames(b"itk", end=1.0):
        assert_type(part, NDArray[np.uint8])
    assert_type(infotok.decode("clip.itk", "clip.mkv", model), infotok.DecodeReport)
"""

WRONG = """
import infotok_cli as infotok

infotok.lode("small")
infotok.open(3)
infotok.load("small").encode_frames("clip.mp4", quality=3)
infotok.EncodeOptions(rat=0.5)
"""


@pytest.mark.slow
def test_a_strict_type_checker_finds_mistakes_and_nothing_else(tmp_path: Path) -> None:
    """One run for both scripts of a user, as most of it is about torch."""
    good, wrong = tmp_path / "good.py", tmp_path / "wrong.py"
    good.write_text(SCRIPT)
    wrong.write_text(WRONG)
    command = [sys.executable, "-P", "-m", "mypy", "--strict", "--config-file", "pyproject.toml", good, wrong]
    found = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT).stdout
    *rows, last = found.splitlines()
    assert last.endswith("in 1 file (checked 2 source files)"), found
    assert all("wrong.py:" in row for row in rows), found
    for line, text in ((4, "has no attribute"), (5, "incompatible type"), (6, "quality"), (7, "rat")):
        assert any(f"wrong.py:{line}: error" in row and text in row for row in rows), found


def test_every_name_is_there_and_has_a_type() -> None:
    """The table that names are loaded by, `__all__` and the imports for type checkers agree."""
    assert sorted(infotok.__all__) == infotok.__all__
    for name in infotok.__all__:
        assert getattr(infotok, name) is not None
    assert dir(infotok) == infotok.__all__
    tree = ast.parse(Path(infotok.__file__).read_text("utf-8"))
    (block,) = [
        node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    typed = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    table: dict[str, tuple[str, str]] = vars(infotok)["_API"]
    assert typed == {name: ".".join(place) for name, place in table.items()}
    assert {*typed, "__version__"} == set(infotok.__all__)


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'infotok_cli' has no attribute 'lode'"):
        infotok.lode  # type: ignore[attr-defined]  # noqa: B018
