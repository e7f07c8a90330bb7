"""Budgets on the command line: every kind has an option, and what cannot be met is said on stderr."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infotok_cli.allocation.budgets import BUDGETS

Refused = Callable[..., str]
Run = Callable[..., Any]


@pytest.mark.parametrize("kind", BUDGETS)
def test_every_kind_has_an_option(kind: str, refused: Refused, clip: Path) -> None:
    message = refused(2, "encode", clip, f"--{kind}", 0)
    assert f"--{kind} 0 is out of range: give a positive number of {BUDGETS[kind].unit}" in message


def test_a_rate_that_cannot_be_met_is_said(run: Run, clip: Path, tmp_path: Path) -> None:
    arguments = ["encode", clip, "-o", tmp_path / "a.itk", "--rate", "0.125", "--end", "0.1"]
    told = "rate 0.125 was asked for, 0.15 is the least this video can have"
    assert f"infotok: warning: --{told}\n" in run(*arguments).stderr
    result = run(*arguments, "-y", "--json")
    assert json.loads(result.stderr) == {"warning": f"--{told}"}
    assert json.loads(result.stdout)["warnings"] == [f"--{told}"]
