"""Reports as JSON: every command spells a thing with the same key."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from infotok_cli.cli.output import option_name

_KEYS = {
    "path": "input",
    "output_bytes": "size_bytes",
    "backend": "kernels",
    "has_times": "frame_times",
    "lost": "warnings",
    "notes": "warnings",
    "psnr": "psnr_db",
}
"""Fields of reports whose key in JSON is another, so that all commands spell a thing the same way."""


def json_line(report: Any, **more: Any) -> str:
    """`json_values` of a report, and more of them, as one line of JSON."""
    return json.dumps(json_values(report) | more)


def json_values(report: Any) -> dict[str, Any]:
    """Fields of a report, a dataclass, under the keys that they have in every command's JSON.

    Fields that share a key, such as all kinds of warnings, are one list.
    """
    values: dict[str, Any] = {}
    for field in dataclasses.fields(report):
        for key, value in _json_items(field.name, getattr(report, field.name)):
            values[key] = [*values[key], *value] if key in values else value
    return values


def _json_items(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A field as keys and values of JSON."""
    if name == "model":
        yield name, {"name": value}
    elif name == "audio_codec":
        yield "audio", None if value is None else {"codec": value}
    elif name == "inputs" and len(value) == 1:
        yield "input", value[0]
    elif isinstance(value, Fraction):
        yield _KEYS.get(name, name), ratio(value)
    elif name in ("warnings", "lost", "notes"):
        yield "warnings", [one if isinstance(one, str) else one.text(option_name) for one in value]
    elif dataclasses.is_dataclass(value):
        yield _KEYS.get(name, name), json_values(value)
    elif isinstance(value, (list, tuple)):
        yield (
            _KEYS.get(name, name),
            [json_values(one) if dataclasses.is_dataclass(one) else one for one in value],
        )
    else:
        yield _KEYS.get(name, name), value


def ratio(value: Fraction) -> str:
    """A fraction with its denominator, even when that is 1: 24/1."""
    return f"{value.numerator}/{value.denominator}"
