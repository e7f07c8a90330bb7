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

Run = Callable[..., Any]
Spawn = Callable[..., subprocess.Popen[str]]


def test_json(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INFOTOK_KERNELS", raising=False)
    result = run("doctor", "--json", "--device", "cpu")
    assert result.stderr == ""
    report = json.loads(result.stdout)
    assert report["versions"]["infotok"] == __version__
    assert report["versions"]["torch"]
    assert report["devices"][0]["kind"] == "cpu"
    assert (report["device"], report["backend"]) == ("cpu", "reference")
    assert report["precision"] in ("bf16", "fp32")
    assert [entry["whole"] for entry in report["weights"]] == [True] * len(report["weights"])
    assert report["codecs"]["ffv1"] is True
    test = report["self_test"]
    assert (test["model"], test["frames"]) == ("tiny", 32)
    assert test["tokens"] == 8 * 32 * 32
    assert test["psnr"] > 0
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
    spawn: Spawn, clip: Path, tmp_path: Path, wanted: str, told: str
) -> None:
    environment = os.environ | {"INFOTOK_KERNELS": wanted, "TRITON_INTERPRET": "0"}
    target = tmp_path / "a.itk"
    process = spawn("encode", clip, "-o", target, "--device", "cpu", env=environment)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert err.startswith(f"infotok: error: {told}")
    assert err.count("\n") == 1
    assert not target.exists()


def test_doctor_tells_why_kernels_cannot_run(spawn: Spawn) -> None:
    environment = os.environ | {"INFOTOK_KERNELS": "triton", "TRITON_INTERPRET": "0"}
    process = spawn("doctor", "--json", "--device", "cpu", env=environment)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (2, "")
    report = json.loads(out)
    assert report["backend"] is None
    assert len(report["problems"]) == 1
    assert report["self_test"] is None
