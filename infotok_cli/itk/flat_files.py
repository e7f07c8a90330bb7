"""Flat ids in files: .npz, .npy, .jsonl and .safetensors, as docs/FORMAT.md describes them.

A writer takes a binary stream, the header and the sequence of each segment. A reader is a context manager
that gives the header's bytes and the sequences; whatever the file holds, it raises nothing but InputError.
No pickle is read, and nothing compressed is unpacked.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib.format import header_data_from_array_1_0, write_array_header_1_0
from numpy.typing import NDArray

from infotok_cli.container.header import Header, unpack_header
from infotok_cli.container.layout import MAX_HEAD_BYTES
from infotok_cli.entropy.flat_ids import SEGMENT, Flat, flatten_bytes, split_file
from infotok_cli.errors import InputError, UsageError
from infotok_cli.kinds import HEAD_BYTES, kind_of
from infotok_cli.places import PathName, Spooled, source_name

DEFAULT_FORMAT = "npz"
"""What a stream gets where nobody says."""

FLAT_VERSION = "infotok flat ids 1"
CHARACTERS_PER_ID = 7
"""Of a line of .jsonl: at most five digits, a comma and a blank."""
CHARACTERS_BESIDE_IDS = 4096
_EXPORT_AGAIN = "export the .itk file again"
_CHANGED = "export the .itk file again, or leave the checksum out if the ids were changed on purpose"

_LIBRARY_ERRORS: tuple[type[Exception], ...] = (
    OSError, ValueError, KeyError, TypeError, EOFError, MemoryError, RuntimeError, OverflowError,
    AttributeError, zipfile.BadZipFile,
)  # fmt: skip

Content = tuple[bytes, Iterable[Flat]]
"""Payload of the HEAD section, and the flat sequence of each segment."""


@dataclass(frozen=True)
class FlatFormat:
    write: Callable[[BinaryIO, Header, Iterable[Flat]], None]
    read: Callable[[Path], AbstractContextManager[Content]]
    begins: bytes
    """What each such file has, `begins_at` so many bytes from its start; of two that fit the longer tells."""
    begins_at: int = 0


def flat_format(path: str | Path, name: str | None) -> str:
    """One of the keys of `FORMATS`: `name`, or that of the suffix of `path`; UsageError if there is none."""
    suffix = Path(path).suffix
    kind = suffix[1:].lower() if name is None else name
    if kind not in FORMATS:
        what = f"suffix {suffix!r}" if name is None else f"`format` {name!r}"
        raise UsageError(
            f"{what} is not a format of flat ids",
            way_out=f"choose {', '.join(FORMATS)}",
            where=str(path) if name is None else "",
        )
    return kind


def format_of(source: PathName | Spooled, name: str | None) -> str:
    """The format of a file to read: `name`, else what its suffix says, else what its first bytes tell.

    UsageError for a `name` that is none; InputError if nothing tells, or it cannot be read.
    """
    suffix = "" if isinstance(source, Spooled) else Path(source).suffix[1:].lower()
    if name is not None or suffix in FORMATS:
        return flat_format(suffix, name or suffix)
    head = _first_bytes(source)
    likely = [kind for kind, entry in FORMATS.items() if head.startswith(entry.begins, entry.begins_at)]
    if likely:
        return max(likely, key=lambda kind: len(FORMATS[kind].begins))
    raise InputError(
        f"is {kind_of(head) or 'of no known format'}, and no file of flat ids",
        way_out=f"name its `format` if it is one of {', '.join(FORMATS)}",
        where=source_name(source),
    )


def _first_bytes(source: PathName | Spooled) -> bytes:
    if isinstance(source, Spooled):
        with source.lock:
            source.stream.seek(0)
            return source.stream.read(HEAD_BYTES)
    try:
        with open(source, "rb") as file:
            return file.read(HEAD_BYTES)
    except OSError as error:
        raise InputError(
            f"cannot be opened: {error.strerror}", way_out="check the name", where=str(source)
        ) from error


def _facts(header: Header) -> dict[str, Any]:
    """What a reader of the ids may want to know without taking the header apart."""
    return {
        "format": FLAT_VERSION,
        "width": header.width,
        "height": header.height,
        "frame_rate": f"{header.frame_rate.numerator}/{header.frame_rate.denominator}",
        "segment_frames": header.segment_frames,
        "levels": list(header.levels),
        "model": header.model_name,
        "model_sha256": header.model_sha256.hex(),
        "head": header.pack().hex(),
    }


def _whole(sequences: Iterable[Flat]) -> tuple[Flat, NDArray[np.int64]]:
    """All sequences as one array, and where each starts, with the end of the last."""
    parts = list(sequences)
    return np.concatenate(parts), np.cumsum([0, *map(len, parts)], dtype=np.int64)


def _write_npz(stream: BinaryIO, header: Header, sequences: Iterable[Flat]) -> None:
    ids, offsets = _whole(sequences)
    facts = np.frombuffer(json.dumps(_facts(header) | _checksum(ids)).encode(), np.uint8)
    np.savez(stream, ids=ids, offsets=offsets, header=facts)


def _write_npy(stream: BinaryIO, header: Header, sequences: Iterable[Flat]) -> None:
    ids, _ = _whole([flatten_bytes(header.pack()), *sequences])
    # np.save writes arrays past `stream` by C's stdio, and says nothing when the disk is full.
    write_array_header_1_0(stream, header_data_from_array_1_0(ids))
    stream.write(ids.data)


def _write_safetensors(stream: BinaryIO, header: Header, sequences: Iterable[Flat]) -> None:
    from safetensors.numpy import save

    ids, offsets = _whole(sequences)
    stream.write(
        save({"ids": ids, "offsets": offsets}, {"header": json.dumps(_facts(header) | _checksum(ids))})
    )


def _write_jsonl(stream: BinaryIO, header: Header, sequences: Iterable[Flat]) -> None:
    stream.write(json.dumps(_facts(header)).encode() + b"\n")
    for number, flat in enumerate(sequences):
        row = {"segment": number, "ids": flat.tolist(), "crc32": _crc32(flat)}
        stream.write(json.dumps(row).encode() + b"\n")


@contextmanager
def _read_npz(path: Path) -> Iterator[Content]:
    with _refused("npz"):
        with zipfile.ZipFile(path) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise InputError("is compressed", way_out=_EXPORT_AGAIN)
        with np.load(path, allow_pickle=False) as arrays:
            facts, ids, offsets = arrays["header"], arrays["ids"], arrays["offsets"]
    if facts.dtype != np.uint8 or facts.ndim != 1:
        raise InputError(f"header is {facts.dtype} {facts.shape}", way_out=_EXPORT_AGAIN)
    yield _checked_head(facts.tobytes(), ids), _split(ids, offsets)


@contextmanager
def _read_npy(path: Path) -> Iterator[Content]:
    with _refused("npy"):
        ids = np.load(path, mmap_mode="r", allow_pickle=False)
    yield split_file(_checked(ids))


@contextmanager
def _read_safetensors(path: Path) -> Iterator[Content]:
    from safetensors import SafetensorError, safe_open

    with _refused("safetensors", SafetensorError), safe_open(path, framework="np") as file:
        text = (file.metadata() or {}).get("header", "")
        ids, offsets = file.get_tensor("ids"), file.get_tensor("offsets")
    yield _checked_head(text.encode(), ids), _split(ids, offsets)


@contextmanager
def _read_jsonl(path: Path) -> Iterator[Content]:
    with _refused("jsonl"):
        file = path.open("rb")
    with file:
        with _refused("jsonl"):
            head = _head(_line(file, CHARACTERS_BESIDE_IDS))
        header = unpack_header(head)
        limit = CHARACTERS_BESIDE_IDS + CHARACTERS_PER_ID * header.positions()
        yield head, _json_lines(file, limit)


def _json_lines(file: BinaryIO, limit: int) -> Iterator[Flat]:
    number = 0
    while True:
        with _refused("jsonl"):
            line = _line(file, limit)
            if not line:
                return
            row = json.loads(line)
            if (
                not isinstance(row, dict)
                or row.get("segment") != number
                or not isinstance(row.get("ids"), list)
            ):
                raise InputError(f"line {number + 2} is not segment {number}", way_out=_EXPORT_AGAIN)
            ids = np.array(row["ids"])
            if ids.ndim != 1 or ids.dtype != np.int64 or int(ids.min()) < 0 or int(ids.max()) > 0xFFFF:
                raise InputError(f"line {number + 2} has ids outside 0..65535", way_out=_EXPORT_AGAIN)
            flat = ids.astype(np.uint16)
            if row.get("crc32", _crc32(flat)) != _crc32(flat):
                raise InputError(f"line {number + 2} has other ids than its checksum", way_out=_CHANGED)
        yield flat
        number += 1


def _line(file: BinaryIO, limit: int) -> bytes:
    line = file.readline(limit + 1)
    if len(line) > limit:
        raise InputError(f"has a line of more than {limit} bytes", way_out=_EXPORT_AGAIN)
    return line


def _checksum(ids: Flat) -> dict[str, str]:
    return {"ids_sha256": hashlib.sha256(ids.astype("<u2").data).hexdigest()}


def _crc32(ids: Flat) -> int:
    return zlib.crc32(ids.astype("<u2").data)


def _checked_head(text: bytes, ids: NDArray[Any]) -> bytes:
    """HEAD payload of the facts beside `ids`, which are those of the checksum, if there is one."""
    head = _head(text)
    facts = json.loads(text)
    if facts.get("ids_sha256", "") not in ("", _checksum(_checked(ids))["ids_sha256"]):
        raise InputError("its ids are not those of its checksum", way_out=_CHANGED)
    return head


def _head(text: bytes) -> bytes:
    """HEAD payload of the facts that stand beside the ids."""
    with _refused("header"):
        facts = json.loads(text)
        if not isinstance(facts, dict) or facts.get("format") != FLAT_VERSION:
            raise InputError(f"its header does not say {FLAT_VERSION!r}", way_out=_EXPORT_AGAIN)
        head = bytes.fromhex(facts["head"])
    if len(head) > MAX_HEAD_BYTES:
        raise InputError(f"has a header of {len(head)} bytes", way_out=_EXPORT_AGAIN)
    return head


def _split(ids: NDArray[Any], offsets: NDArray[Any]) -> list[Flat]:
    flat = _checked(ids)
    starts = np.flatnonzero(flat == SEGMENT)
    if not np.array_equal(offsets, np.append(starts, len(flat))) or not len(starts) or starts[0]:
        raise InputError("offsets are not where segments start", way_out=_EXPORT_AGAIN)
    return np.split(flat, starts[1:])


def _checked(ids: NDArray[Any]) -> Flat:
    if not isinstance(ids, np.ndarray) or ids.dtype != np.uint16 or ids.ndim != 1:
        raise InputError("ids are not a list of uint16", way_out=_EXPORT_AGAIN)
    return ids


@contextmanager
def _refused(kind: str, *more: type[Exception]) -> Iterator[None]:
    """Turn whatever a library says about a broken file into an InputError of one line."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError("does not exist", way_out="check the name") from error
    except (*_LIBRARY_ERRORS, *more) as error:
        reason = str(error).split("\n")[0][:200] or type(error).__name__
        raise InputError(f"cannot be read as {kind} ({reason})", way_out=_EXPORT_AGAIN) from error


FORMATS = {
    "npz": FlatFormat(_write_npz, _read_npz, b"PK"),
    "npy": FlatFormat(_write_npy, _read_npy, b"\x93NUMPY"),
    "jsonl": FlatFormat(_write_jsonl, _read_jsonl, b"{"),
    "safetensors": FlatFormat(_write_safetensors, _read_safetensors, b"\0\0{", begins_at=6),
}
