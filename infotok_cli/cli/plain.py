"""Words of the command line as values, without the library that the parser takes for it.

Our options have parsers of their own, and the rest are texts, paths and flags. Loading that library to learn
that a text is a text takes longer than all else that a usage error needs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_origin

_HOOK = "_runtime_param"
"""Where the parser keeps what turns words into values, made when it is first needed."""


def all_plain(parameters: list[Any]) -> list[Any]:
    """The same parameters; the parser takes each as we do, if this version of it can be told so."""
    for parameter in parameters:
        _take_plainly(parameter)
    return parameters


def _take_plainly(parameter: Any) -> None:
    descriptor = getattr(parameter, "type_descriptor", None)
    if descriptor is None or getattr(parameter, _HOOK, parameter) is not None:
        return
    own = descriptor.parameter_info.parser
    annotation = descriptor.annotation
    several = get_origin(annotation) is list
    convert = own or _CONVERT.get(get_args(annotation)[0] if several else annotation)
    if convert is not None:
        setattr(parameter, _HOOK, _Plain(convert, several=several))


class _Plain:
    """Turns the words given for one parameter into its value."""

    def __init__(self, convert: Callable[[Any], Any], *, several: bool) -> None:
        self._convert, self._several = convert, several

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value; None and nothing at all stay what they are."""
        if self._several:
            return [self._convert(one) for one in value or ()]
        return None if value is None else self._convert(value)


_CONVERT: dict[Any, Callable[[Any], Any]] = {str: str, Path: Path, bool: bool}
