"""What a shell offers on TAB: the words that an option takes, from the tables that check them, and files."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from infotok_cli.routers import ALLOCATIONS, ROUTERS

_HOOK = "_custom_shell_complete"
"""Where the parser keeps what completes a parameter."""

_WORDS = re.compile(r"[a-z0-9-]+(?:\|[a-z0-9-]+)+")
"""What an option is said to take where all of it is named: auto|cpu|cuda."""

Words = Iterable[str]


def offer_words(parameters: Iterable[Any]) -> None:
    """Have the shell complete what these parameters take, as far as it is known here."""
    for parameter in parameters:
        complete = _completer(parameter)
        if complete is not None and getattr(parameter, _HOOK, parameter) is None:
            setattr(parameter, _HOOK, complete)


def _completer(parameter: Any) -> Callable[[Any, Any, str], list[str]] | None:
    metavar = parameter.metavar or ""
    if parameter.param_type_name == "argument":
        if metavar == "COMMAND":
            return lambda context, _, begun: _beginning(_commands(context), begun)
        suffixes = (".itk",) if ".itk" in metavar else _FILES.get(metavar)
        return None if suffixes is None else lambda _, __, begun: list(_files(begun, suffixes))
    option = max(parameter.opts, key=len)
    if _WORDS.fullmatch(metavar):
        return lambda _, __, begun: _beginning(metavar.split("|"), begun)
    if option in _LISTS:
        return lambda _, __, begun: _next_of_list(_LISTS[option](), begun)
    if option in _TABLES:
        return lambda _, __, begun: _beginning(_TABLES[option](), begun) + _weights(metavar, begun)
    return None


def _beginning(words: Words, begun: str) -> list[str]:
    return [word for word in words if word.startswith(begun)]


def _next_of_list(words: Words, begun: str) -> list[str]:
    """The last word of a list with commas, without those that stand before it."""
    before, comma, last = begun.rpartition(",")
    return [before + comma + word for word in _beginning(words, last) if word not in before.split(",")]


def _files(begun: str, suffixes: tuple[str, ...]) -> Iterator[str]:
    """Files of these suffixes; where there is none the shell offers what it finds itself.

    Names that a shell would take apart are left to it as well.
    """
    folder, name = os.path.split(begun)
    try:
        found = sorted(os.listdir(folder or "."))
    except OSError:
        return
    for entry in found:
        is_plain = shlex.quote(entry) == entry and (name or entry[0] != ".")
        if is_plain and entry.startswith(name) and entry.lower().endswith(suffixes):
            yield os.path.join(folder, entry)


def _weights(metavar: str, begun: str) -> list[str]:
    return list(_files(begun, (".safetensors",))) if "PATH" in metavar else []


def _commands(context: Any) -> Words:
    root = context.find_root()
    return [name for name in root.command.list_commands(root) if name != context.info_name]


def _anchors() -> Words:
    from infotok_cli.evaluate.anchors import ANCHORS

    return ANCHORS


def _codecs() -> Words:
    from infotok_cli.video.encoders import ENCODERS

    return [name for name in ENCODERS if name != "gif"]  # which its suffix chooses


def _export_formats() -> Words:
    from infotok_cli.itk.flat_files import FORMATS
    from infotok_cli.itk.training_formats.export import TRAINING_FORMATS

    return [*FORMATS, *TRAINING_FORMATS]


def _marks() -> Words:
    from infotok_cli.itk.training_formats.sequences import MARK_RANGES

    return MARK_RANGES


def _metrics() -> Words:
    from infotok_cli.evaluate.metric_table import METRIC_NAMES

    return METRIC_NAMES


def _models() -> Words:
    import infotok_weights

    return infotok_weights.names()


_TABLES: dict[str, Callable[[], Words]] = {
    "--against": _anchors,
    "--codec": _codecs,
    "--format": _export_formats,
    "--init": _models,
    "--model": _models,
}
"""Options that take one word."""

_LISTS: dict[str, Callable[[], Words]] = {
    "--allocations": lambda: ALLOCATIONS,
    "--anchors": _anchors,
    "--marks": _marks,
    "--metrics": _metrics,
    "--routers": lambda: ROUTERS,
}
"""Options that take several, with commas between them."""

_FILES = {"FILE": (".npz", ".npy", ".jsonl", ".safetensors"), "FILES...": (".itk",)}
"""Arguments whose files have suffixes of their own, by what the help calls them."""
