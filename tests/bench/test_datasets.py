"""Rates of batches and of the loop, from commands that really ran."""

from __future__ import annotations

from pathlib import Path

import pytest

from infotok_cli.bench import datasets
from tiny_model import write_tiny_model


@pytest.mark.slow
def test_rates_are_of_what_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    write_tiny_model(tmp_path / "tiny.safetensors")
    monkeypatch.setenv("INFOTOK_MODEL", str(tmp_path / "tiny.safetensors"))
    rates = datasets.compare(tmp_path, 3, 0.2, ["--short-side", "32"], [1])
    assert [(rate.way, rate.clips) for rate in rates] == [
        ("loop over encode", 2),
        ("batch with 1 workers", 3),
    ]
    assert len(list((tmp_path / "tokens-1").glob("*.itk"))) == 3
    for rate in rates:
        assert rate.files_per_second == pytest.approx(rate.clips / rate.wall_seconds, abs=0.05)
        assert rate.video_seconds_per_second == pytest.approx(0.2 * rate.files_per_second, abs=0.01)
    monkeypatch.setattr(datasets, "LOADER_SECONDS", 0.05)
    monkeypatch.setattr(datasets, "CONTEXT_LENGTH", 16)
    assert datasets.loader_rate(tmp_path / "tokens-1", tmp_path) > 0


def test_a_command_that_fails_ends_it() -> None:
    with pytest.raises(SystemExit, match="failed with exit code 2"):
        datasets.checked(["encode"])
