"""Lists and tables of videos: a .txt of paths; a CSV or Parquet file with columns path and, perhaps, id."""

from __future__ import annotations

import csv
import io
import os
import posixpath
from collections.abc import Iterator

from infotok_cli.batch.remote import is_url, opened, without_scheme
from infotok_cli.errors import InputError, UsageError

MANIFEST_SUFFIXES = (".txt", ".csv", ".parquet")
"""Of inputs that are lists of videos."""

Entry = tuple[str, str]
"""An id and a path or URL; the path is empty where the row has none."""


def read_manifest(name: str) -> list[Entry]:
    """Rows of a list or table, in order; relative paths start at its folder.

    Raises InputError where it cannot be read or lacks the column `path`.
    """
    suffix = posixpath.splitext(name)[1].lower()
    rows = {".txt": _lines, ".csv": _csv_rows, ".parquet": _parquet_rows}[suffix](name)
    return [_entry(name, path.strip(), given.strip()) for given, path in rows]


def _entry(manifest: str, path: str, given: str) -> Entry:
    """Without an id the path as it is written is one, without what leads to it."""
    if not path:
        return given, ""
    folder = posixpath.dirname(manifest) if is_url(manifest) else os.path.dirname(manifest)
    source = path if is_url(path) else f"{folder}/{path}" if is_url(folder) else os.path.join(folder, path)
    return given or id_of(path), source


def id_of(path: str) -> str:
    """The id of a row without one: its path or URL, without what leads to it."""
    return posixpath.normpath(without_scheme(path)).lstrip("/")


def _lines(name: str) -> Iterator[Entry]:
    return (("", line) for line in _text(name).splitlines() if line.strip())


def _csv_rows(name: str) -> Iterator[Entry]:
    table = csv.DictReader(io.StringIO(_text(name), newline=""))
    try:
        _check_columns(name, table.fieldnames or ())
        for row in table:
            yield row.get("id") or "", row["path"] or ""
    except csv.Error as error:
        raise InputError(f"is not a CSV file ({error})", where=name) from error


def _text(name: str) -> str:
    with opened(name) as file:
        try:
            return file.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError("is not UTF-8 text", way_out="save it as UTF-8", where=name) from error


def _parquet_rows(name: str) -> Iterator[Entry]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise missing_pyarrow() from error
    with opened(name) as file:
        try:
            table = parquet.ParquetFile(file)
            columns = table.schema_arrow.names
            _check_columns(name, columns)
            wanted = [column for column in ("id", "path") if column in columns]
            rows = table.read(columns=wanted).to_pylist()
        except (pyarrow.ArrowException, OSError) as error:
            raise InputError("is not a whole Parquet file", way_out="write it again", where=name) from error
    for row in rows:
        yield _word(row.get("id")), _word(row["path"])


def _word(value: object) -> str:
    return "" if value is None else str(value)


def _check_columns(name: str, columns: object) -> None:
    names = [str(column) for column in columns]  # type: ignore[attr-defined]
    if "path" not in names:
        raise InputError(
            f"has no column path (columns: {', '.join(names) or 'none'})",
            way_out="name the column of paths or URLs path, and that of ids, if there is one, id",
            where=name,
        )


def missing_pyarrow() -> UsageError:
    """What to say where pyarrow is not installed."""
    return UsageError("needs pyarrow", way_out="install it with: pip install 'infotok[datasets]'")
