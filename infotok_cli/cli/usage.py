"""What is wrong with a command line, in our words: the parser says it in those of its libraries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from infotok_cli.errors import UsageError

_WANTED = {"float": "a number", "int": "a whole number"}
_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def complaint(error: Any) -> str:
    """What the parser's usage error means, without a way out.

    Goes by the parts of the error, as far as it has them: which class, which parameter, which value.
    """
    parameter = getattr(error, "param", None)
    match type(error).__name__:
        case "MissingParameter" if parameter is not None:
            return f"{_spelled(parameter)} is missing"
        case "NoSuchOption":
            likely = get_close_matches(
                error.option_name, getattr(error, "possibilities", None) or (), cutoff=0.7
            )
            if not likely and not error.option_name.startswith("--"):
                return f"there is no option {error.option_name} (a file like that is named ./-NAME)"
            return f"there is no option {error.option_name}" + (
                f", perhaps {' or '.join(likely)}" if likely else ""
            )
        case "BadParameter" if parameter is not None:
            details = getattr(error.__cause__, "errors", None)
            if callable(details):
                return _refused(_spelled(parameter), details()[0])
    return str(error.format_message()).rstrip(".")


def no_command(name: str, known: Iterable[str]) -> UsageError:
    """The error for a command that does not exist."""
    likely = get_close_matches(name, known)
    perhaps = f", perhaps {' or '.join(likely)}" if likely else ""
    return UsageError(f"there is no command {name!r}{perhaps}", way_out="'infotok --help' lists them")


def _refused(name: str, detail: Mapping[str, Any]) -> str:
    """One entry of a validation error: its `type`, the `input`, and the bounds in its `ctx`."""
    value, bounds = detail.get("input"), detail.get("ctx") or {}
    for key, words in _BOUNDS.items():
        if key in bounds:
            return f"{name} {value} is out of range: choose {words} {bounds[key]}"
    wanted = _WANTED.get(str(detail.get("type")).partition("_")[0])
    return f"{name} {value!r} is not {wanted}" if wanted else f"{name} {value!r} cannot be used"


def _spelled(parameter: Any) -> str:
    """An option as it is typed, in full; an argument as help names it."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper())
    return str(max(parameter.opts, key=len))
