"""Checks of the files that a command names, before anything slow happens; nothing is changed."""

from __future__ import annotations

import os
from pathlib import Path

from infotok_cli.cli.input_names import check_name
from infotok_cli.errors import InputError, UsageError


def check_distinct(source: Path, target: Path) -> None:
    """Raise UsageError when input and output are the same file, links followed."""
    try:
        same = os.path.samefile(source, target)
    except (OSError, ValueError):
        same = os.path.realpath(source) == os.path.realpath(target)
    if same:
        raise UsageError("is the input itself", way_out="name another output with -o", where=str(target))


def check_input(source: Path) -> None:
    """Raise InputError when there is no file at `source`; what is wrong with it is found when it is read."""
    check_name(source)
    try:
        is_folder, exists = source.is_dir(), source.exists()
    except OSError as error:
        raise InputError(
            f"cannot be opened: {error.strerror}", way_out="check the name", where=str(source)
        ) from error
    if is_folder:
        raise InputError("is a folder", way_out="name one file", where=str(source))
    if not exists:
        raise InputError("does not exist", way_out="check the name", where=str(source))


def check_file_output(target: Path, overwrite: bool) -> None:
    """Raise OutputError unless a file can be written at `target`; leaves everything as it was.

    Asks the very code that will write the output, before anything slow happens.
    """
    from infotok_cli.atomic import check_path

    check_path(target, overwrite)


def check_folder_output(target: Path, overwrite: bool) -> None:
    """Raise OutputError unless PNG frames can be written into `target`; leaves everything as it was."""
    from infotok_cli.video.png_folder import PngWriter

    PngWriter(target, 1, 1, overwrite=overwrite).abort()
