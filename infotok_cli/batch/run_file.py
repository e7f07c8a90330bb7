"""`run.json`: what all shards of a batch have in common, fixed by the first and held against the others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from infotok_cli.atomic import atomic_output
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.errors import ModelError, OutputError, UsageError

NAME = "run.json"
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """What decides the bytes of the outputs, but for the devices that compute them, and what is measured."""

    shards: int
    model_sha256: str
    options: EncodeOptions
    precision: str
    deterministic: bool
    psnr: bool = False
    """Whether what was encoded is decoded and compared; not in the file, as it changes no output."""

    def as_json(self) -> dict[str, Any]:
        """What the file holds; flat, so that a difference has a name."""
        return {
            "version": VERSION,
            "shards": self.shards,
            "model_sha256": self.model_sha256,
            **asdict(self.options),
            "precision": self.precision,
            "deterministic": self.deterministic,
        }


def model_sha256(path: Path) -> str:
    """SHA-256 of a weights file, in hexadecimal; ModelError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(
            f"cannot be read ({error.strerror})", way_out="give another with `model`", where=str(path)
        ) from error


def check_run(folder: Path, wanted: RunSettings, targets: Iterable[str], *, any_count: bool = False) -> None:
    """Raise UsageError when the run of `folder` is another one; leaves everything as it was.

    targets: outputs below the folder, none of which may stand there without a run. any_count: the number of
    shards may differ, as when nothing is encoded.
    """
    found = _read(folder)
    if found is None:
        there = next((name for name in targets if (folder / name).exists()), None)
        found = _read(folder) if there is not None else None  # another shard may just have begun
        if there is not None and found is None:
            raise UsageError(
                f"exists already, and no {NAME} says with which settings it was made",
                way_out="choose another output folder",
                where=str(folder / there),
            )
    if found is not None:
        ours: dict[str, Any] = json.loads(json.dumps(wanted.as_json()))
        if any_count:
            ours["shards"] = found.get("shards")
        _compare(folder / NAME, found, ours)


def fix_run(folder: Path, wanted: RunSettings) -> None:
    """Write the run's file unless another shard has; raises OutputError, and UsageError as `check_run`."""
    make_folder(folder)
    if not (folder / NAME).exists():
        try:
            with atomic_output(folder / NAME) as file:
                file.write(json.dumps(wanted.as_json(), indent=2).encode() + b"\n")
        except OutputError:
            if not (folder / NAME).exists():
                raise
    check_run(folder, wanted, ())


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot be made a folder ({error.strerror})", way_out="choose another", where=str(folder)
        ) from error


def _read(folder: Path) -> dict[str, Any] | None:
    path = folder / NAME
    try:
        found = json.loads(path.read_text("utf-8"))
        if not isinstance(found, dict) or found.get("version") != VERSION:
            raise ValueError
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, OSError) as error:
        raise UsageError(
            "is not the run of a batch of this version",
            way_out="choose another output folder",
            where=str(path),
        ) from error
    return found


def _compare(path: Path, found: dict[str, Any], ours: dict[str, Any]) -> None:
    for name, value in ours.items():
        if found.get(name) != value:
            way_out = "give the same as before, or choose another output folder"
            if name == "shards":
                way_out = f"give `shard` i/{found.get(name)}, or choose another output folder"
            raise UsageError(
                f"the run there has {name} {_shown(found.get(name))}, this one {_shown(value)}",
                way_out=way_out,
                where=str(path),
            )


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(str(part) for part in value.values())
    return "none" if value is None else str(value)
