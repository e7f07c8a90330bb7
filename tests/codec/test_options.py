"""Options of an encode that contradict each other are refused by the names of both."""

from __future__ import annotations

import math
from typing import Any

import pytest

from infotok_cli.allocation.budgets import BUDGETS, Budget
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.errors import UsageError


@pytest.mark.parametrize(
    ("options", "words"), [({"router": "fixed"}, "router"), ({"allocation": "position"}, "allocation")]
)
@pytest.mark.parametrize(("kind", "value"), [("target-psnr", 30), ("calibrated-rate", 0.5)])
def test_fitted_budgets_name_what_they_cannot_go_with(
    kind: str, value: float, options: dict[str, str], words: str
) -> None:
    with pytest.raises(UsageError, match=f"{kind} does not go with {words} "):
        EncodeOptions(budget=Budget(kind, value), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", BUDGETS)
def test_a_pipe_takes_budgets_that_look_at_the_video_once(kind: str) -> None:
    options = EncodeOptions(budget=Budget(kind, 0.5))
    if kind in ("max-tokens", "target-size"):
        words = rf"{kind} looks at .*, but a pipe can .*: save it, or give rate, .*bitrate or target-psnr"
        with pytest.raises(UsageError, match=words):
            options.check_single_pass("a pipe", "save it")
    else:
        options.check_single_pass("a pipe", "save it")


def test_a_searching_router_takes_a_rate_only() -> None:
    with pytest.raises(UsageError, match="bitrate does not go with router elastic: give rate"):
        EncodeOptions(budget=Budget("bitrate", 1000), router="elastic")
    assert EncodeOptions(router="elastic").allocation_kind == "position"
    with pytest.raises(UsageError, match="allocation block does not go with router elastic"):
        EncodeOptions(router="elastic", allocation="block")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"start_seconds": -0.5}, "start_seconds -0.5 is negative"),
        ({"end_seconds": 0}, "end_seconds 0 is not after start_seconds 0"),
        ({"start_seconds": 2.0, "end_seconds": 2.0}, "end_seconds 2 is not after start_seconds 2"),
        ({"start_seconds": math.nan}, "start_seconds is nan: give a number of seconds"),
        ({"end_seconds": math.inf}, "end_seconds is inf: give a number of seconds"),
        ({"frames": 0}, "frames 0 is out of range: choose 1 or more"),
    ],
)
def test_ranges_that_hold_nothing_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        EncodeOptions(**options)
