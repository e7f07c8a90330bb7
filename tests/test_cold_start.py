"""What must not be loaded to show help or to look into a file, and how fast help is."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from infotok_cli.container.header import Header
from infotok_cli.container.writer import ItkWriter
from infotok_cli.entropy.keep_map import encode_positions

HELP_LIMIT_SECONDS = 0.4
"""Also of usage errors, where the libraries of the command line take `LIBRARY_SECONDS` to be loaded."""

LIBRARY_SECONDS = 0.11

PROBE = """
import json, sys
from infotok_cli.cli.app import main
unwanted, expected, lines = sys.argv[1].split(","), int(sys.argv[2]), json.loads(sys.argv[3])
for words in lines:
    code = main(words)
    heavy = [name for name in unwanted if name in sys.modules]
    assert not heavy, f"{words} loads {heavy}"
    assert code == expected, f"{words} ends with {code}"
    print(end="\\0", flush=True)
"""


def probe(unwanted: str, lines: Sequence[Sequence[object]], code: int = 0) -> list[str]:
    """Run `infotok` with each of the lines, in one process; returns what each printed.

    What one of them loads stays loaded, so it fails after the first that loads an unwanted module.
    """
    words = json.dumps([[str(word) for word in line] for line in lines])
    command = [sys.executable, "-P", "-c", PROBE, unwanted, str(code), words]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    printed = result.stdout.split("\0")[:-1]
    assert len(printed) == len(lines)
    return printed


def test_help_loads_nothing_heavy() -> None:
    probe(
        "torch,av,numpy,safetensors,infotok_kernels",
        [
            [],
            ["--help"],
            ["--version"],
            ["encode", "--help"],
            ["eval", "--help"],
            ["play", "--help"],
            ["doctor", "--help"],
        ],
    )


@pytest.mark.parametrize("module", ["infotok_cli", "infotok_cli.batch.attempts"])
def test_import_of_the_package_loads_nothing_heavy(module: str) -> None:
    """Nor that of a module which Ray imports in a process of its own."""
    code = f"import sys, {module}; assert not {{'torch', 'av', 'numpy', 'typer'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-P", "-c", code], check=True)


@pytest.fixture
def small_file(tmp_path: Path) -> Path:
    """An .itk file made without a model."""
    header = Header(
        width=24, height=16, frame_rate=Fraction(24), time_base=Fraction(1, 24), segment_frames=8,
        levels=(8, 8, 8, 5, 5, 5), router="fast", allocation="position", target_rate_ppm=500_000,
        model_name="none", model_sha256=bytes(32), encoder="test",
    )  # fmt: skip
    keep = np.ones((3, 2, 3), np.bool_)
    keep[0, 0, 0] = False
    stream = io.BytesIO()
    writer = ItkWriter(stream, header)
    writer.write_segment(frames=8, tokens=17, map_payload=encode_positions(keep), token_payload=bytes(34))
    writer.finish()
    path = tmp_path / "small.itk"
    path.write_bytes(stream.getvalue())
    return path


def test_reports_load_no_torch(small_file: Path) -> None:
    lines = [["inspect"], ["inspect", "--json"], ["stats"], ["stats", "--csv"]]
    printed = probe("torch,av,safetensors,infotok_kernels", [[*line, small_file] for line in lines])
    assert all("17" in text for text in printed)


def test_commands_on_itk_files_load_no_torch(small_file: Path) -> None:
    out = f"{small_file}.out"
    lines = [
        ["inspect", small_file, "--verify"],
        ["cut", small_file, "--end", "0.1", "-o", out],
        ["concat", small_file, small_file, "-o", out, "-y"],
        ["repair", small_file, "-o", out, "-y"],
    ]
    for name in ("npz", "safetensors", "jsonl"):
        lines.append(["export", small_file, "-o", out, "--format", name, "-y"])
        lines.append(["import", out, "--format", name, "-o", small_file, "-y"])
    probe("torch,av,infotok_kernels", lines)


TOKENS_WITHOUT_TORCH = """
import sys
from pathlib import Path

sys.modules["torch"] = None  # any import of it now fails
import hashlib, json
from infotok_cli.itk.tokens import unpack_tokens
from infotok_cli.container.reader import ItkReader

for path in sorted(Path(sys.argv[1]).rglob("*.itk")):
    expected = json.loads((path.parent / "expected.json").read_text())[path.stem]["segments"]
    with ItkReader(path) as reader:
        for segment, row in zip(reader.segments(), expected, strict=True):
            if segment.lost:
                continue
            ids = unpack_tokens(reader, segment, None).ids
            assert hashlib.sha256(ids.astype("<u2").tobytes()).hexdigest() == row["ids_sha256"]
            print(path.stem, len(ids))
"""


def test_tokens_are_decoded_where_torch_cannot_be_imported() -> None:
    golden = Path(__file__).parent / "golden"
    command = [sys.executable, "-P", "-c", TOKENS_WITHOUT_TORCH, golden]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert {line.split()[0] for line in result.stdout.splitlines()} == {
        path.stem for path in golden.rglob("*.itk")
    }


USAGE_ERRORS = [
    ["encode"],
    ["encode", "{}", "--no-such-option"],
    ["encode", "{}", "--rate", "high"],
    ["encode", "{}", "--rate", "4"],
    ["encode", "{}", "--start", "2", "--end", "1"],
    ["encode", "{}", "--start", "soon"],
    ["encode", "{}", "--device", "abacus"],
    ["encode", "{}", "--router", "magic"],
    ["encode", "{}", "--rate", "1", "--bitrate", "9k"],
    ["decode", "{}", "--crf", "99"],
    ["decode", "{}", "--precision", "int8"],
    ["cut", "{}"],
    ["cut", "{}", "-o", "{}", "--frames", "0"],
    ["stats", "{}", "--csv", "--json"],
    ["play", "{}", "--player", "vlc"],
    ["play", "{}", "--start", "2", "--end", "1"],
    ["play", "{}", "--player", "terminal"],
    ["eval", "{}", "--jobs", "0"],
]


def test_usage_errors_load_nothing_heavy(small_file: Path) -> None:
    """Nor the library that the parser would take words apart with."""
    lines = [[word.format(small_file) for word in line] for line in USAGE_ERRORS]
    printed = probe("torch,av,numpy,safetensors,infotok_kernels,pydantic", lines, code=2)
    assert set(printed) == {""}


def test_errors_of_budgets_load_no_torch(small_file: Path) -> None:
    lines = [
        ["encode", small_file, "--bitrate", "0"],
        ["encode", "-", "--max-tokens", "9", "-o", f"{small_file}2"],
    ]
    probe("torch,av,infotok_kernels", lines, code=2)


@pytest.mark.parametrize("command", ["encode", "decode"])
def test_bad_inputs_are_refused_before_a_model_is_loaded(small_file: Path, command: str) -> None:
    lines = []
    for number, content in enumerate((b"", b"no video, no tokens", small_file.read_bytes()[:-30])):
        source = small_file.with_name(f"{number}.itk")
        source.write_bytes(content)
        target = small_file.with_name("new.itk" if command == "encode" else "new.mkv")
        lines.append([command, source, "-o", target])
    probe("torch,infotok_kernels,safetensors", lines, code=3)


@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 0), (["encode", "x", "--rate", "4"], 2)])
def test_help_and_usage_errors_are_quick(arguments: list[str], code: int) -> None:
    """Processor time, the best of several runs; more where this machine loads typer and rich more slowly."""

    def best(command: list[str], code: int) -> float:
        times = []
        for _ in range(5):
            before = os.times()
            result = subprocess.run(command, check=False, capture_output=True)
            after = os.times()
            times.append(sum(after[2:4]) - sum(before[2:4]))  # of children that have ended
            assert result.returncode == code
        return min(times)

    libraries = best([sys.executable, "-P", "-c", "import rich, typer.main"], 0)
    shown = best([sys.executable, "-P", "-m", "infotok_cli", *arguments], code)
    assert shown < HELP_LIMIT_SECONDS * max(1, libraries / LIBRARY_SECONDS)
