"""Files beyond the local file system, by fsspec URL: s3://, gs://, memory:// and what else is installed."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from infotok_cli.errors import InputError, UsageError

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def is_url(name: str) -> bool:
    """Whether it names a file by URL."""
    return _URL.match(name) is not None


def without_scheme(url: str) -> str:
    """What comes after s3:// and the like."""
    return _URL.sub("", url, count=1)


@contextmanager
def reached(url: str) -> Iterator[tuple[Any, str]]:
    """The file system of a URL and the path on it.

    What goes wrong in the block is an InputError that names the URL: a bucket that cannot be reached, a file
    that is not there. UsageError where fsspec is not installed.
    """
    try:
        import fsspec
    except ImportError as error:
        raise UsageError(
            "is a URL, and fsspec is not installed",
            way_out="install it with: pip install 'infotok[datasets]'",
            where=url,
        ) from error
    try:
        yield fsspec.core.url_to_fs(url)
    except (InputError, UsageError):
        raise
    except FileNotFoundError as error:
        raise InputError("does not exist", way_out="check the name", where=url) from error
    except Exception as error:  # each file system has its own kinds
        reason = str(error) or type(error).__name__
        raise InputError(
            f"cannot be reached ({reason})", way_out="check the URL and your access to it", where=url
        ) from error


@contextmanager
def opened(name: str) -> Iterator[IO[bytes]]:
    """A file to read, local or by URL; InputError where it cannot be opened."""
    if is_url(name):
        with reached(name) as (system, path), system.open(path, "rb") as file:
            yield file
        return
    try:
        file = open(name, "rb")  # noqa: SIM115  closed below
    except OSError as error:
        raise InputError(
            f"cannot be opened ({error.strerror})", way_out="check the name", where=name
        ) from error
    with file:
        yield file


def fetch(url: str, target: Path) -> None:
    """Copy a file to a local one; raises InputError."""
    with opened(url) as source, target.open("wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)


def size_of(name: str) -> int:
    """Bytes of a file, local or by URL; 0 where that is not known."""
    try:
        if not is_url(name):
            return os.stat(name).st_size
        with reached(name) as (system, path):
            return int(system.size(path) or 0)
    except (OSError, ValueError, InputError, UsageError):
        return 0
