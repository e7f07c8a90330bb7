"""What people type where an option takes a number, a time or one of a few words, and what it stands for.

Each function here makes the parser of one option, which names the option when it refuses a text. Values that
are no texts, which defaults are, pass as they are. Standard library only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from decimal import Context, Decimal
from typing import Any

from infotok_cli.errors import UsageError

Parser = Callable[[Any], Any]

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|[+-]?(?:inf|nan)"
_SCALES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d+(?:\.\d*)?)", re.ASCII)
_SECONDS = {"": Decimal(1), "s": Decimal(1), "ms": Decimal("0.001"), "min": Decimal(60), "h": Decimal(3600)}

LARGEST = 10**15
"""Of numbers that count something."""

BIT_UNITS = ("b", "bit", "bits", "bps", "b/s", "bit/s", "bits/s")
BYTE_UNITS = ("b", "byte", "bytes")


def number(option: str, *, units: Sequence[str] = (), hint: str = "") -> Parser:
    """Parser of a number, with its unit if it has one: 1.5, 1e3, 1.5k, 64Ki.

    units: what may stand behind it, in small letters. hint: the way out for what is no number.
    """

    def parse(text: Any) -> Any:
        if not isinstance(text, str):
            return text
        value = _scaled(text, units)
        if value is None:
            raise UsageError(
                f"{option} {text!r} is not a number", way_out=hint or "give one like 500, 1e3 or 1.5k"
            )
        return float(value)

    return parse


def share(option: str) -> Parser:
    """Parser of a share of something: 0.5, 50%."""
    plain = number(option, hint="give one like 0.5 or 50%")

    def parse(text: Any) -> Any:
        if isinstance(text, str) and text.strip().endswith("%"):
            value = _scaled(text.strip()[:-1], ())
            return plain(text) if value is None else float(value / 100)
        return plain(text)

    return parse


def whole(option: str, *, units: Sequence[str] = (), least: int | None = None, most: int = LARGEST) -> Parser:
    """Parser of a whole number, as `number` takes it, from `least` to `most`."""
    if least is None:
        allowed = f"at most {most:,}"
    else:
        allowed = f"at least {least}" if most == LARGEST else f"{least} to {most:,}"

    def parse(text: Any) -> Any:
        if not isinstance(text, str):
            return text
        value = _scaled(text, units)
        if value is None or not value.is_finite() or value != value.to_integral_value():
            raise UsageError(f"{option} {text!r} is not a whole number", way_out="give one like 500 or 2k")
        if abs(value) > most or (least is not None and value < least):
            raise UsageError(f"{option} {text} is out of range", way_out=f"choose {allowed}")
        return int(value)

    return parse


def bits(option: str) -> Parser:
    """Parser of bits per second: 500, 100k, 1.5M, 100kbps, 2 Mbit/s."""
    plain = number(option, units=BIT_UNITS, hint="give bits per second, such as 500, 100k or 1.5Mbps")

    def parse(text: Any) -> Any:
        if isinstance(text, str) and re.search(r"B|byte", text):
            raise UsageError(f"{option} {text!r} is in bytes", way_out="give bits, such as 100k or 1.5Mbps")
        return plain(text)

    return parse


def size(option: str) -> Parser:
    """Parser of bytes: 500, 500k, 1.5MB, 64KiB."""
    return number(option, units=BYTE_UNITS, hint="give bytes, such as 500, 500k, 1.5MB or 64KiB")


def seconds(option: str) -> Parser:
    """Parser of a time, finite and not negative: 90, 90s, 500ms, 1.5min, 1:30, 0:01:30.25."""

    def parse(text: Any) -> Any:
        if not isinstance(text, str):
            return text
        value = _time(text.strip().lower())
        if value is None or not (math.isfinite(value) and value >= 0):
            raise UsageError(
                f"{option} {text} is not a time",
                way_out="give seconds from the beginning, 0 or more, or a time like 1:30 or 0:01:30.5",
            )
        return value

    return parse


def one_of(option: str, words: Sequence[str]) -> Parser:
    """Parser of one of a few words."""

    def parse(text: Any) -> Any:
        if isinstance(text, str) and text not in words:
            choices = ", ".join(words[:-1])
            raise UsageError(f"{option} {text!r} is unknown", way_out=f"choose {choices} or {words[-1]}")
        return text

    return parse


def _scaled(text: str, units: Sequence[str]) -> Decimal | None:
    """The number that `text` names; None if it names none."""
    unit = "|".join(map(re.escape, units))
    match = re.fullmatch(rf"({_NUMBER})\s*([kmg]i?|)({unit}|)", text.strip().lower(), re.ASCII)
    return None if match is None else _product(match[1], _SCALES[match[2]])


def _time(text: str) -> float | None:
    """Seconds that `text`, in small letters, names; None if it names none."""
    clock = _CLOCK.fullmatch(text)
    if clock is not None:
        hours, minutes, rest = int(clock[1] or 0), int(clock[2]), Decimal(clock[3])
        if rest >= 60 or (clock[1] and minutes >= 60):
            return None
        return float(hours * 3600 + minutes * 60 + rest)
    plain = re.fullmatch(rf"({_NUMBER})\s*(s|ms|min|h|)", text, re.ASCII)
    return None if plain is None else float(_product(plain[1], _SECONDS[plain[2]]))


def _product(text: str, scale: Decimal | int) -> Decimal:
    """Exact, infinite where it is beyond all measure."""
    return Context(prec=40, traps=[]).multiply(Decimal(text), Decimal(scale))
