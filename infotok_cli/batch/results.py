"""What a shard leaves beside its outputs: a table of statistics, and failures as lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from infotok_cli.atomic import atomic_path
from infotok_cli.batch.manifest import missing_pyarrow
from infotok_cli.batch.outputs import Row
from infotok_cli.errors import OutputError


def check_pyarrow() -> None:
    """Raise UsageError where pyarrow is not installed."""
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise missing_pyarrow() from error


def write_stats(path: Path, rows: Sequence[Row]) -> None:
    """Write a Parquet table of one row per file, in order of ids; raises OutputError.

    What was measured while a file was encoded, its time and PSNR, is kept from the table that stood there,
    where the output is the same.
    """
    from pyarrow import parquet

    measured = _measured(path)
    kept = []
    for row in rows:
        ms, psnr_db = measured.get((_utf8(row.id), row.sha256), (None, None))
        kept.append(replace(row, ms=ms, psnr_db=psnr_db) if row.status == "skipped" else row)
    table = table_of(sorted(kept, key=lambda row: (_utf8(row.id), _utf8(row.source))))
    with atomic_path(path, overwrite=True) as temporary:
        try:
            parquet.write_table(table, temporary)
        except OSError as error:
            raise OutputError(
                f"cannot be written ({error.strerror or error})", way_out="check the disk", where=str(path)
            ) from error


def table_of(rows: Sequence[Row]) -> Any:
    """The rows as a table of pyarrow."""
    import pyarrow

    plain = [{name: _utf8(value) for name, value in asdict(row).items()} for row in rows]
    return pyarrow.Table.from_pylist(plain, schema=_schema(pyarrow))


def _utf8(value: Any) -> Any:
    """The value; a text, such as the name of a file, without what UTF-8 cannot hold."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _measured(path: Path) -> dict[tuple[str, str | None], tuple[float | None, float | None]]:
    """Milliseconds and PSNR by id and sha256 in an earlier table; nothing where there is none to read."""
    import pyarrow
    from pyarrow import parquet

    try:
        rows = parquet.read_table(path, columns=["id", "sha256", "ms", "psnr_db"]).to_pylist()
    except (OSError, pyarrow.ArrowException):
        return {}
    return {(row["id"], row["sha256"]): (row["ms"], row.get("psnr_db")) for row in rows}


def _schema(arrow: Any) -> Any:
    whole, real, text = arrow.int64(), arrow.float64(), arrow.string()
    kinds = {
        "id": text, "source": text, "output": text, "status": text, "sha256": text, "size_bytes": whole,
        "frames": whole, "seconds": real, "fps": real, "width": whole, "height": whole,
        "grid": arrow.list_(arrow.int32()), "segments": whole, "positions": whole, "tokens": whole,
        "token_bits": whole, "map_bits": whole, "motion_bits": whole, "time_bits": whole, "audio_bits": whole,
        "other_bits": whole, "psnr_db": real, "ms": real, "error": text,
    }  # fmt: skip
    return arrow.schema(list(kinds.items()))


class Failures:
    """Lines of JSON, one per file that failed in this run; the file is there only when there are some."""

    def __init__(self, path: Path) -> None:
        """Begin anew at `path`: what failed before is tried again. Raises OutputError."""
        self._path = path
        self.count = 0
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error

    def add(self, known: str, reason: str, seconds: float) -> None:
        """Append a line, on disk when this returns; raises OutputError."""
        self.count += 1
        line = json.dumps({"id": known, "reason": reason, "seconds": round(seconds, 3)}) + "\n"
        try:
            with self._path.open("ab") as file:
                file.write(line.encode())
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(
            f"cannot be written ({error.strerror})", way_out="check the disk", where=str(self._path)
        )
