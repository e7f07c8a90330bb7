"""Checks of single values against what the format can hold; each raises InputError, naming the value."""

from __future__ import annotations

import math
from collections.abc import Collection
from fractions import Fraction

from infotok_cli.container.layout import MAX_FRACTION_PART
from infotok_cli.container.sections import UPDATE
from infotok_cli.errors import InputError


def between(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise InputError(f"{name} {value} is out of range, the .itk format allows {low}..{high}")


def one_of(name: str, value: object, known: Collection[object]) -> None:
    """Refuse a value that a later version may know."""
    if value not in known:
        choices = ", ".join(str(choice) for choice in known)
        raise InputError(f"{name} {value!r} is unknown here (known: {choices})", way_out=UPDATE)


def fraction(name: str, value: Fraction, limits: tuple[Fraction, Fraction]) -> None:
    """`limits`: the lowest and the highest value."""
    low, high = limits
    if not low <= value <= high:
        raise InputError(f"{name} {value} is out of range, the .itk format allows {low} to {high}")
    if max(value.numerator, value.denominator) > MAX_FRACTION_PART:
        raise InputError(f"{name} {value} is out of range, the .itk format allows parts of 2^31 - 1 at most")


def text(name: str, value: str, shortest: int, longest: int) -> None:
    """Printable characters, `shortest` to `longest` bytes of UTF-8."""
    if not value.isprintable():
        raise InputError(f"{name} {value!r} holds characters that cannot be printed")
    between(f"bytes of the {name}", len(value.encode()), shortest, longest)


def lowest_terms(name: str, numerator: int, denominator: int) -> Fraction:
    """The fraction of these parts."""
    if denominator == 0 or math.gcd(numerator, denominator) != 1:
        raise InputError(f"{name} {numerator}/{denominator} is not in lowest terms")
    return Fraction(numerator, denominator)


def decoded(name: str, raw: bytes) -> str:
    """Text of UTF-8."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{name} {raw!r} is not UTF-8") from error
