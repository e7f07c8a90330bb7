"""Names of inputs that cannot be files, and the folder that names are looked up in."""

from __future__ import annotations

import os
import re
from pathlib import Path

from infotok_cli.errors import InputError

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/+(?=[^/])", re.IGNORECASE)
"""How an address begins; a path has lost one of the two slashes."""


def check_name(source: Path) -> None:
    """Raise InputError for an empty name and for an address."""
    if source == Path():
        raise InputError("the name of the input is empty, or the current folder", way_out="name one file")
    if _ADDRESS.match(str(source)) and not source.exists():
        address = _ADDRESS.sub(r"\1://", str(source), count=1)
        raise InputError(
            "is an address, and only files and pipes are read",
            way_out="fetch it first, or pipe it in: curl -L ADDRESS | infotok COMMAND -",
            where=address,
        )


def check_current_folder() -> None:
    """Raise InputError when the folder that the command was started in has been removed."""
    try:
        os.getcwd()
    except OSError as error:
        raise InputError("the current folder is gone", way_out="change to one that exists") from error
