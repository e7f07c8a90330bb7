"""The table of budgets: its kinds, and the values they take."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from infotok_cli.allocation.budgets import BUDGETS, Budget, check_fit, make_planner
from infotok_cli.allocation.fits import Fits
from infotok_cli.allocation.planner import Planner
from infotok_cli.allocation.rate_planners import ElasticPlanner, RatePlanner
from infotok_cli.allocation.total_planners import MaxTokensPlanner
from infotok_cli.errors import ModelError, UsageError
from made_fits import MADE_UP
from make_itk import itk_header


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_budget_is_a_positive_number(value: float) -> None:
    with pytest.raises(UsageError, match=r"bitrate .* positive number of bits per second"):
        Budget("bitrate", value)


@pytest.mark.parametrize("value", [0.1, 1.5])
def test_a_calibrated_rate_is_a_rate(value: float) -> None:
    with pytest.raises(UsageError, match=r"calibrated-rate .* out of range: choose 0.125 to 1"):
        Budget("calibrated-rate", value)


def test_an_unknown_kind_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"budget 'size' is unknown: choose .*target-size"):
        Budget("size", 5)


def test_kinds_are_told_apart_by_name_and_unit() -> None:
    assert list(BUDGETS) == [planner.name for planner in BUDGETS.values()]
    assert {"bitrate", "calibrated-rate", "target-psnr"} < set(BUDGETS)
    assert all(planner.unit for planner in BUDGETS.values())


@pytest.mark.parametrize("kind", ["target-psnr", "calibrated-rate"])
def test_a_fit_that_is_missing_is_named(kind: str) -> None:
    fits = Fits({"exact": MADE_UP})
    with pytest.raises(
        ModelError, match=f"^a.safetensors: has no fit for {kind} with router fast: fit it first"
    ):
        check_fit(Budget(kind, 0.5), "fast", fits, "a.safetensors")
    check_fit(Budget("target-psnr", 30), "exact", fits, "a.safetensors")
    check_fit(Budget("bitrate", 30), "fast", fits, "a.safetensors")


@pytest.mark.parametrize(("router", "planner"), [("fast", RatePlanner), ("elastic", ElasticPlanner)])
def test_without_a_budget_there_is_a_rate(router: str, planner: type[Planner]) -> None:
    @dataclass
    class Asked:
        rate = 0.3
        budget: Budget | None = None

    assert isinstance(make_planner(Asked(), itk_header(router=router), Fits(), "none"), planner)
    asked = Asked(Budget("max-tokens", 77))
    assert isinstance(make_planner(asked, itk_header(), Fits(), "none"), MaxTokensPlanner)


def test_all_of_this_needs_no_torch() -> None:
    """These tests import, and so run, where there is none."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("test_*.py"))
    assert len(names) >= 7
    paths = [str(Path(__file__).parent), *sys.path]
    code = f"import sys; sys.modules['torch'] = None; sys.path[:0] = {paths!r}; import {', '.join(names)}"
    subprocess.run([sys.executable, "-P", "-c", code], check=True)
