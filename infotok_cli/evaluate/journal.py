"""Measurements kept on disk one by one, so that an interrupted run resumes where it stopped.

A journal is a file of JSON lines, each a key and a row of results. The key is a SHA-256 over everything that
decides the row: the content of the clip, the weights or the encoder, every option, and the code itself.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any, Self

import infotok_kernels
from infotok_cli.errors import InputError, OutputError
from infotok_cli.evaluate.results import SCHEMA_VERSION, ClipResult

MEASURING_CODE = ("metrics.py", "video", "perceptual", "evaluate")
"""Parts of the package that decide what an anchor's row says; all parts decide ours."""


def key_of(facts: Mapping[str, Any]) -> str:
    """Key of a measurement: SHA-256, in hexadecimal, of what decides it and of the version of the rows."""
    everything = {**facts, "schema": SCHEMA_VERSION}
    return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()


@cache
def code_sha256(*parts: str) -> str:
    """SHA-256 over this package's source files: those of some of its parts, or of all and the kernels."""
    package = Path(__file__).parent.parent
    roots = [package / part for part in parts] or [package, Path(infotok_kernels.__file__).parent]
    files = sorted(file for root in roots for file in ([root] if root.is_file() else root.rglob("*.py")))
    digest = hashlib.sha256()
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


class Journal:
    """Rows by key, in memory and, with a path, in a file that grows by whole lines."""

    def __init__(self, path: Path | None = None) -> None:
        """Nothing is read or written yet; see `open`."""
        self._path = path
        self._rows: dict[str, ClipResult] = {}

    @classmethod
    def open(cls, path: Path, *, resume: bool) -> Self:
        """Journal at `path`: with `resume` what is there is kept, else a new one replaces it.

        A last line cut short by an interruption is dropped. Raises InputError for a line that is not a row,
        OutputError if the file cannot be written.
        """
        journal = cls(path)
        try:
            if resume and path.exists():
                journal._load(path)
            else:
                path.write_bytes(b"")
        except OSError as error:
            raise _unwritable(path, error) from error
        return journal

    def _load(self, path: Path) -> None:
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        for number, line in enumerate(content[:whole].splitlines(), 1):
            try:
                entry = json.loads(line)
                self._rows[entry["key"]] = ClipResult.from_json(entry["row"])
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    "is not a measurement of this version",
                    way_out="start over with `overwrite`",
                    where=f"{path}: line {number}",
                ) from error
        if whole < len(content):
            os.truncate(path, whole)

    def find(self, key: str, clip: str) -> ClipResult | None:
        """The row of this key, if it was measured before, under the clip's name of today."""
        row = self._rows.get(key)
        return None if row is None else replace(row, clip=clip)

    def add(self, key: str, row: ClipResult) -> None:
        """Keep a row: one write of one line, on disk when this returns. Raises OutputError."""
        self._rows[key] = row
        if self._path is None:
            return
        line = json.dumps({"key": key, "row": asdict(row)}) + "\n"
        try:
            with self._path.open("ab") as file:
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise _unwritable(self._path, error) from error


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"cannot be written ({error.strerror})", way_out="choose another folder for `output`", where=str(path)
    )
