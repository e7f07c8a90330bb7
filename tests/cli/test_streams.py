"""`-`, named pipes and devices as inputs and outputs of the commands that need to seek."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infotok_cli.places import spooled
from make_video import make_video, moving_shapes

Run = Callable[..., Any]
Refused = Callable[..., str]


def piped(data: bytes, *words: object, code: int = 0, cwd: Path | None = None) -> tuple[bytes, str]:
    """Output of `infotok` for this input, and what it says."""
    command = [sys.executable, "-P", "-m", "infotok_cli", *map(str, words)]
    done = subprocess.run(command, input=data, capture_output=True, timeout=120, check=False, cwd=cwd)
    assert done.returncode == code, done.stderr.decode()
    return done.stdout, done.stderr.decode()


@pytest.fixture
def fed(tmp_path: Path) -> Callable[[bytes], Path]:
    """Name of a pipe into which somebody writes these bytes."""

    def pipe(data: bytes) -> Path:
        path = tmp_path / "pipe"
        os.mkfifo(path)
        threading.Thread(target=path.write_bytes, args=[data], daemon=True).start()
        return path

    return pipe


def test_cut_concat_and_repair_write_to_standard_output(run: Run, encoded: Path, tmp_path: Path) -> None:
    run("cut", encoded, "--end", 0.3, "-o", tmp_path / "part.itk")
    part = (tmp_path / "part.itk").read_bytes()
    whole = encoded.read_bytes()
    data, said = piped(whole, "cut", "-", "--end", 0.3, "-o", "-", cwd=tmp_path)
    assert data == part
    assert said.startswith("standard input -> standard output (")
    assert piped(whole, "repair", "-", "-o", "-")[0] == whole
    joined = piped(part, "concat", "-", encoded, "-o", "-")[0]
    run("concat", tmp_path / "part.itk", encoded, "-o", tmp_path / "both.itk")
    assert joined == (tmp_path / "both.itk").read_bytes()
    assert not (tmp_path / "-").exists()
    assert "is given twice" in piped(b"", "concat", "-", "-", "-o", "-", code=2)[1]


def test_inspect_and_stats_read_standard_input(run: Run, encoded: Path) -> None:
    whole = encoded.read_bytes()
    for words in (["inspect", "--json"], ["inspect", "--verify", "--json"], ["stats", "--json"]):
        found = json.loads(piped(whole, words[0], "-", *words[1:])[0])
        expected = json.loads(run(words[0], encoded, *words[1:]).stdout)
        for facts in (found, expected):
            assert facts.pop("input") in ("standard input", str(encoded))
        assert found == expected
    assert "standard input: is truncated" in piped(whole[:-20], "inspect", "-", code=3)[1]
    assert "standard input: is empty" in piped(b"", "stats", "-", code=3)[1]
    assert "not an .itk file" in piped(b"\0" * 1000, "stats", "-", code=3)[1]


@pytest.mark.parametrize("kind", ["npz", "npy", "jsonl", "safetensors"])
def test_flat_ids_through_pipes(run: Run, encoded: Path, tmp_path: Path, kind: str) -> None:
    target = tmp_path / f"ids.{kind}"
    run("export", encoded, "-o", target)
    ids, said = piped(encoded.read_bytes(), "export", "-", "-o", "-", "--format", kind)
    if kind != "npz":  # whose members are dated
        assert ids == target.read_bytes()
    assert "standard input -> standard output (" in said
    back, _ = piped(ids, "import", "-", "-o", "-")
    run("import", target, "-o", tmp_path / "back.itk")
    assert back == (tmp_path / "back.itk").read_bytes()
    nameless = target.rename(tmp_path / "ids.bin")
    assert json.loads(run("import", nameless, "-o", tmp_path / "b.itk", "--json").stdout)["format"] == kind


def test_what_is_no_file_of_ids_asks_for_its_format(encoded: Path) -> None:
    said = piped(encoded.read_bytes(), "import", "-", "-o", "-", code=3)[1]
    assert said == "infotok: error: standard input: is an .itk file, and no file of flat ids: " + (
        "name its --format if it is one of npz, npy, jsonl, safetensors\n"
    )
    assert "is of no known format" in piped(b"", "import", "-", "-o", "-", code=3)[1]


def test_named_pipes_are_inputs(
    run: Run, encoded: Path, tmp_path: Path, fed: Callable[[bytes], Path]
) -> None:
    pipe = fed(encoded.read_bytes())
    assert json.loads(run("inspect", pipe, "--json").stdout)["input"] == str(pipe)
    pipe.unlink()
    run("decode", fed(encoded.read_bytes()), "-o", tmp_path / "out.mkv")
    pipe.unlink()
    source = make_video(tmp_path / "clip.mkv", moving_shapes(5, 16, 16))
    result = run("encode", fed(source.read_bytes()), "-o", tmp_path / "out.itk")
    assert result.stderr.startswith(f"{pipe} -> ")


def test_what_a_pipe_cannot_give_is_said_of_it(refused: Refused, tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(write)
    try:
        name = f"/dev/fd/{read}"
        message = refused(2, "encode", name, "-o", tmp_path / "o.itk", "--target-size", 1000)
        assert "a pipe can be read only once" in message
        assert "a pipe has no name" in refused(2, "encode", name)
    finally:
        os.close(read)


@pytest.mark.parametrize("command", ["cut", "export", "decode"])
def test_devices_are_outputs(run: Run, encoded: Path, command: str) -> None:
    assert "-> /dev/null" in run(command, encoded, "-o", "/dev/null").stderr
    assert not Path("/dev/null").is_file()


def test_standard_output_by_its_other_name(encoded: Path, tmp_path: Path) -> None:
    target = tmp_path / "part.itk"
    command = [sys.executable, "-P", "-m", "infotok_cli", "cut", str(encoded), "-o", "/dev/stdout"]
    with target.open("wb") as file:
        subprocess.run(command, stdout=file, check=True, timeout=120)
    assert target.read_bytes() == encoded.read_bytes()
    assert "leave out --json" in piped(b"", "cut", encoded, "-o", "/dev/stdout", "--json", code=2)[1]


def test_named_pipes_are_outputs(run: Run, encoded: Path, tmp_path: Path) -> None:
    pipe, got = tmp_path / "pipe.itk", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    run("cut", encoded, "-o", pipe)
    reader.join(timeout=60)
    assert got == [encoded.read_bytes()]


def test_a_pipe_of_the_wrong_kind_is_not_copied(tmp_path: Path) -> None:
    with (tmp_path / "long").open("wb+") as stream:
        stream.write(b"wrong" * 1000)
        stream.seek(0)
        with spooled(stream, begins=b"right") as held:
            assert held.stream.seek(0, os.SEEK_END) == 5
