"""Comparisons of curves as CSV."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from infotok_cli.evaluate.bootstrap import Interval
from infotok_cli.evaluate.compare import Comparison
from infotok_cli.evaluate.results import csv_text

INTERVAL_SUFFIX = "_interval"


def comparisons_as_csv(comparisons: Sequence[Comparison]) -> str:
    """A header and a row per pair of curves and metric; an interval as columns `.low` and so on."""
    columns: list[str] = []
    for field in dataclasses.fields(Comparison):
        columns += _columns(field.name) if field.name.endswith(INTERVAL_SUFFIX) else [field.name]
    return csv_text(map(_flat, comparisons), columns)


def _columns(name: str) -> list[str]:
    return [f"{name}.{part.name}" for part in dataclasses.fields(Interval)]


def _flat(comparison: Comparison) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, value in dataclasses.asdict(comparison).items():
        if name.endswith(INTERVAL_SUFFIX):
            row |= (
                dict.fromkeys(_columns(name))
                if value is None
                else {f"{name}.{k}": v for k, v in value.items()}
            )
        else:
            row[name] = value
    return row
