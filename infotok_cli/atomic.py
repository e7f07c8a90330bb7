"""Outputs that appear whole or not at all: written under a temporary name, then renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from infotok_cli.errors import OutputError
from infotok_cli.files import rename_to_new


@contextlib.contextmanager
def atomic_path(path: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """Lend the name of an empty temporary file in the folder of `path`, with the same suffix.

    When the block ends well the file is flushed to disk and takes the name `path`; on any exception,
    KeyboardInterrupt included, it is removed and what stood at `path` before stays as it was.

    Raises:
        OutputError: `path` exists and `overwrite` is false, is not a regular file, its folder is missing or
            cannot be written to, or the file cannot be finished.
    """
    target, mode = _resolve(path, overwrite)
    temporary = _create_beside(path, target)
    try:
        yield temporary
        try:
            _publish(temporary, target, mode, overwrite)
        except FileExistsError as error:
            raise _exists(path) from error
        except OSError as error:
            raise OutputError(
                f"cannot be finished ({error.strerror})", way_out="check the disk", where=_name(path)
            ) from error
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def check_path(path: str | Path, overwrite: bool = False) -> None:
    """Raise the OutputError that `atomic_path` would begin with, if any; leaves everything as it was."""
    target, _ = _resolve(path, overwrite)
    with contextlib.suppress(OSError):
        _create_beside(path, target).unlink()


@contextlib.contextmanager
def atomic_output(path: str | Path, overwrite: bool = False) -> Iterator[BinaryIO]:
    """Lend a binary file to write; otherwise as `atomic_path`."""
    with atomic_path(path, overwrite) as temporary:
        try:
            file = open(temporary, "wb")  # noqa: SIM115  closed below, where a failure gets its message
        except OSError as error:
            raise OutputError(
                f"cannot be written ({error.strerror})", way_out="check the folder", where=_name(path)
            ) from error
        try:
            yield file
        except BaseException:
            # The file is about to be removed; a full disk met in closing it must not hide the cause.
            with contextlib.suppress(OSError):
                file.close()
            raise
        try:
            file.close()
        except OSError as error:
            raise OutputError(
                f"cannot be written ({error.strerror})", way_out="check the disk", where=_name(path)
            ) from error


def _resolve(path: str | Path, overwrite: bool) -> tuple[Path, int | None]:
    """The file to make, links followed, and the permission bits of the one it replaces, if any."""
    try:
        target = Path(os.path.realpath(path))
        status = target.stat()
    except FileNotFoundError:
        return target, None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(
            f"is not a usable file name ({reason})", way_out="choose another", where=_name(path)
        ) from error
    if stat.S_ISDIR(status.st_mode):
        raise OutputError("is a folder", way_out="give the name of a file in it", where=_name(path))
    if not stat.S_ISREG(status.st_mode):
        raise OutputError("is not a regular file", way_out="give the name of a file", where=_name(path))
    if not overwrite:
        raise _exists(path)
    return target, stat.S_IMODE(status.st_mode)


def _create_beside(path: str | Path, target: Path) -> Path:
    """Create an empty file with a fresh hidden name, the suffix of `target` and the usual permissions."""
    folder = target.parent
    if not folder.is_dir():
        raise OutputError(
            f"folder {_name(folder)} does not exist", way_out="create it first", where=_name(path)
        )
    temporary = folder / f".infotok-{os.urandom(8).hex()}{target.suffix}"
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        raise OutputError(
            f"cannot write into folder {_name(folder)} ({error.strerror})",
            way_out="choose another",
            where=_name(path),
        ) from error
    return temporary


def _publish(temporary: Path, target: Path, mode: int | None, overwrite: bool) -> None:
    """Flush `temporary` to disk and give it its name; FileExistsError if that may not be replaced."""
    with open(temporary, "rb") as file:
        os.fsync(file.fileno())
    if mode is not None:
        os.chmod(temporary, mode)
    if overwrite:
        os.replace(temporary, target)
    else:
        rename_to_new(temporary, target)
    with contextlib.suppress(OSError):  # not every file system lets a folder be flushed
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _exists(path: str | Path) -> OutputError:
    return OutputError(
        "exists already", way_out="choose another name, or replace it with `overwrite`", where=_name(path)
    )


def _name(path: str | Path) -> str:
    text = str(path)
    return text if text.isprintable() else repr(text)


@contextlib.contextmanager
def atomic_folder(path: str | Path, overwrite: bool, may_replace: Callable[[Path], bool]) -> Iterator[Path]:
    """Lend an empty temporary folder beside `path`, which takes that name when the block ends well.

    On any exception it is removed and what stood at `path` stays as it was. An empty folder is replaced,
    another one only with `overwrite` and where `may_replace` says that it is of the kind that is written.
    Raises OutputError as `atomic_path` does.
    """
    try:
        target = Path(os.path.realpath(path))
        _check_folder(path, target, overwrite, may_replace)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(
            f"is not a usable folder ({reason})", way_out="choose another", where=_name(path)
        ) from error
    if not target.parent.is_dir():
        raise OutputError(
            f"folder {_name(target.parent)} does not exist", way_out="create it first", where=_name(path)
        )
    temporary = target.parent / f".infotok-{os.urandom(8).hex()}"
    try:
        temporary.mkdir()
    except OSError as error:
        raise OutputError(
            f"cannot write into folder {_name(target.parent)} ({error.strerror})",
            way_out="choose another",
            where=_name(path),
        ) from error
    try:
        yield temporary
        try:
            _publish_folder(temporary, target, overwrite)
        except FileExistsError as error:
            raise _exists(path) from error
        except OSError as error:
            raise OutputError(
                f"cannot be finished ({error.strerror})", way_out="check the disk", where=_name(path)
            ) from error
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _check_folder(
    path: str | Path, target: Path, overwrite: bool, may_replace: Callable[[Path], bool]
) -> None:
    if not os.path.lexists(target):
        return
    if not target.is_dir():
        raise OutputError(
            "is a file, and a folder is to be written", way_out="choose another name", where=_name(path)
        )
    if any(target.iterdir()):
        if not overwrite:
            raise _exists(path)
        if not may_replace(target):
            raise OutputError(
                "is a folder with other things in it", way_out="choose another name", where=_name(path)
            )


def _publish_folder(temporary: Path, target: Path, overwrite: bool) -> None:
    """Flush all files to disk and give the folder its name; what stood there is removed afterwards.

    FileExistsError if a folder that may not be replaced has appeared meanwhile.
    """
    for file in temporary.iterdir():
        with open(file, "rb") as opened:
            os.fsync(opened.fileno())
    try:
        os.rename(temporary, target)  # takes the place of an empty folder, too
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        if not overwrite:
            raise FileExistsError(target) from error
        old = target.parent / f".infotok-{os.urandom(8).hex()}"
        os.rename(target, old)
        try:
            os.rename(temporary, target)
        except BaseException:
            os.rename(old, target)
            raise
        shutil.rmtree(old, ignore_errors=True)
