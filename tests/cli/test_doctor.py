"""`infotok doctor`, and what happens when kernels are asked for that cannot run."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infotok_cli import __version__
from infotok_cli.codec import demo_clip

Run = Callable[..., Any]
Spawn = Callable[..., subprocess.Popen[str]]


def test_json(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INFOTOK_KERNELS", raising=False)
    result = run("doctor", "--json", "--device", "cpu")
    assert result.stderr == ""
    assert result.stdout.count("\n") == 1
    report = json.loads(result.stdout)
    assert report["versions"]["infotok"] == __version__
    assert report["versions"]["torch"]
    assert report["devices"][0]["kind"] == "cpu"
    assert (report["device"], report["kernels"]) == ("cpu", "reference")
    assert report["precision"] in ("bf16", "fp32")
    assert [entry["whole"] for entry in report["weights"]] == [True] * len(report["weights"])
    assert report["codecs"]["ffv1"] is True
    test = report["self_test"]
    assert (test["model"]["name"], test["frames"]) == ("tiny", 32)
    assert test["tokens"] == 9 * 32 * 32
    assert test["psnr_db"] > 0
    assert (report["problems"], report["exit_code"]) == ([], 0)


def test_text_with_the_packaged_model(run: Run) -> None:
    """The trial demands a picture of a packaged model, so this fails when the codec is broken."""
    text = run("doctor", "--model", "small", "--device", "cpu").stdout
    for part in ("infotok ", "torch ", "runs on ", "kernels ", "weights ", "codecs ", "32 frames with small"):
        assert part in text
    assert text.endswith("everything works\n")


def test_a_bad_picture_is_a_problem(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from infotok_cli.codec import doctor

    monkeypatch.setattr(doctor, "WORST_PSNR", 99.0)
    monkeypatch.setattr(doctor, "PHASE_FRAMES", 4)
    result = run("doctor", "--json", "--model", "small", "--device", "cpu", code=4)
    (problem,) = json.loads(result.stdout)["problems"]
    assert "expected 99 or more" in problem


def test_problems_are_all_told(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import infotok_weights

    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"nothing")
    monkeypatch.setattr(infotok_weights, "path", lambda name: broken)
    result = run("doctor", "--model", tmp_path / "none.safetensors", code=4)
    assert "DAMAGED" in result.stdout
    assert result.stdout.count("problem ") == 2
    assert "does not exist" in result.stdout
    assert "everything works" not in result.stdout


@pytest.mark.parametrize(
    ("wanted", "told"),
    [("triton", "INFOTOK_KERNELS triton cannot run"), ("fast", "INFOTOK_KERNELS 'fast' is unknown")],
)
def test_kernels_that_cannot_run_are_refused(
    spawn: Spawn, warm: list[str], clip: Path, tmp_path: Path, wanted: str, told: str
) -> None:
    environment = os.environ | {"INFOTOK_KERNELS": wanted, "TRITON_INTERPRET": "0"}
    target = tmp_path / "a.itk"
    process = spawn("encode", clip, "-o", target, "--device", "cpu", env=environment, infotok=warm)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert err.startswith(f"infotok: error: {told}")
    assert err.count("\n") == 1
    assert not target.exists()


@pytest.mark.parametrize(
    ("command", "extra"),
    [("encode", ()), ("decode", ()), ("eval", ("--rates", "1")), ("demo", ()), ("train", ("--minutes", "1"))],
)
def test_kernels_asked_for_by_option_are_run_or_refused(
    run: Run,
    refused: Callable[..., str],
    command: str,
    extra: tuple[str, ...],
    clip: Path,
    encoded: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The option goes before the variable; without the interpreter a CPU cannot run triton."""
    source: Path = {"decode": encoded, "demo": tmp_path}.get(command, clip)
    suffix = {"train": ".safetensors", "encode": ".itk"}.get(command, ".mkv")
    target = () if command in ("eval", "demo") else ("-o", tmp_path / f"{command}{suffix}")
    line = (command, source, *target, *extra, "--device", "cpu", "--kernels")
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    monkeypatch.setattr("infotok_kernels.backend._selected", {})
    monkeypatch.setattr("infotok_kernels.backend._reasons", {})
    monkeypatch.setenv("INFOTOK_KERNELS", "reference")
    told = refused(2, *line, "triton")
    assert told.startswith("--kernels: backend triton cannot run (")
    assert "choose reference" in told
    assert refused(2, *line, "fast").startswith("--kernels: backend 'fast' is unknown: choose reference or")
    monkeypatch.setenv("INFOTOK_KERNELS", "triton")
    monkeypatch.setattr(demo_clip, "PHASE_FRAMES", 4)
    monkeypatch.setattr(demo_clip, "FRAMES", 12)
    if command == "train":
        return  # what runs then takes minutes
    shown = run(*line, "reference", *(("--json",) if target else ()))
    if target:
        assert json.loads(shown.stdout)["kernels"] == "reference"


def test_kernels_of_the_option_are_in_the_reports(
    run: Run, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the interpreter, where a CPU runs both."""
    pytest.importorskip("triton")
    monkeypatch.setattr("infotok_kernels.backend._selected", {})
    monkeypatch.setenv("INFOTOK_KERNELS", "reference")
    itk, back = tmp_path / "a.itk", tmp_path / "a.mkv"
    chosen = ("--json", "--device", "cpu", "--kernels", "triton")
    for line in (("encode", clip, "-o", itk, "--end", "0.1"), ("decode", itk, "-o", back)):
        assert json.loads(run(*line, *chosen).stdout)["kernels"] == "triton"
    assert json.loads(run("decode", itk, "-o", back, "-y", "--json").stdout)["kernels"] == "reference"


def test_compile_is_reported_and_excludes_deterministic(
    run: Run, refused: Callable[..., str], clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from infotok_cli.model import engine

    compiled: list[object] = []
    monkeypatch.setattr(engine, "compile_blocks", compiled.append)
    itk, back = tmp_path / "a.itk", tmp_path / "a.mkv"
    lines = (("encode", clip, "-o", itk), ("decode", itk, "-o", back))
    for number, line in enumerate(lines, 1):
        assert json.loads(run(*line, "--json", "--compile").stdout)["compiled"] is True
        assert len(compiled) == number
        assert json.loads(run(*line, "-y", "--json").stdout)["compiled"] is False
        assert len(compiled) == number
        assert "leave --compile out" in refused(2, *line, "-y", "--compile", "--deterministic")


def test_compile_without_a_compiler_is_refused(spawn: Spawn, clip: Path, tmp_path: Path) -> None:
    environment = os.environ | {"CXX": str(tmp_path / "none"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "c")}
    target = tmp_path / "a.itk"
    process = spawn("encode", clip, "-o", target, "--device", "cpu", "--compile", env=environment)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (2, "")
    assert err.startswith("infotok: error: torch cannot compile the model here (")
    assert err.endswith("): turn --compile off\n")
    assert err.count("\n") == 1
    assert not target.exists()


def test_doctor_tells_why_kernels_cannot_run(spawn: Spawn, warm: list[str]) -> None:
    environment = os.environ | {"INFOTOK_KERNELS": "triton", "TRITON_INTERPRET": "0"}
    process = spawn("doctor", "--json", "--device", "cpu", env=environment, infotok=warm)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (2, "")
    report = json.loads(out)
    assert report["kernels"] is None
    assert len(report["problems"]) == 1
    assert report["self_test"] is None


def test_doctor_takes_the_option(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    monkeypatch.setattr("infotok_kernels.backend._selected", {})
    monkeypatch.setattr("infotok_kernels.backend._reasons", {})
    monkeypatch.setenv("INFOTOK_KERNELS", "triton")
    line = ("doctor", "--json", "--device", "cpu", "--kernels")
    assert json.loads(run(*line, "reference").stdout)["kernels"] == "reference"
    report = json.loads(run(*line, "triton", code=2).stdout)
    assert report["problems"][0].startswith("kernels: backend triton cannot run (")
