"""Indexed data sets as Megatron-LM and its kin map them into memory: tokens.bin and tokens.idx.

The index is little-endian: a magic, the version, a code for the type of ids, how many sequences and how many
document bounds there are; then the length of each sequence (i32), where its bytes begin (i64), and which
sequences begin a document (i64), with the end. Here every document is one sequence.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from infotok_cli.errors import InputError
from infotok_cli.itk.training_formats.documents import Provenance, pieces
from infotok_cli.itk.training_formats.rows import KIND, METADATA, Settings, Video, write_json

MAGIC = b"MMIDIDX\x00\x00"
TYPE_CODES = {"<u2": 8, "<i4": 4}
LONGEST = 2**31 - 1


def write(folder: Path, videos: Iterable[Video], settings: Settings) -> None:
    """tokens.bin, tokens.idx, documents.jsonl, vocab.json and metadata.json."""
    lengths: list[int] = []
    length = total = 0
    header = None
    with (
        open(folder / "tokens.bin", "wb") as tokens,
        open(folder / "documents.jsonl", "w", encoding="utf-8") as lines,
    ):
        provenance = Provenance(lines)
        for piece in pieces(videos, settings):
            header = header or piece.header
            tokens.write(piece.ids.data)
            length += len(piece.ids)
            if length > LONGEST:
                raise InputError(
                    f"is a document of more than {LONGEST:,} ids",
                    way_out="take `document` segment",
                    where=piece.row["source"],
                )
            if piece.ends_document:
                provenance.add(piece.row, total, length)
                lengths.append(length)
                total, length = total + length, 0
    if header is None:
        return
    vocabulary = settings.sequences.vocabulary(header)
    dtype = settings.sequences.dtype(header)
    (folder / "tokens.idx").write_bytes(_index(np.array(lengths, np.int64), dtype))
    write_json(folder / "vocab.json", vocabulary)
    about = {"kind": KIND, "format": "megatron", "document": settings.document, "documents": len(lengths)}
    write_json(folder / METADATA, about | {"ids": total})


def _index(lengths: np.ndarray[tuple[int], np.dtype[np.int64]], dtype: np.dtype[np.generic]) -> bytes:
    count = len(lengths)
    starts = (np.cumsum(lengths) - lengths) * dtype.itemsize
    return b"".join(
        [
            MAGIC,
            struct.pack("<QBQQ", 1, TYPE_CODES[dtype.str], count, count + 1),
            lengths.astype("<i4").tobytes(),
            starts.astype("<i8").tobytes(),
            np.arange(count + 1).astype("<i8").tobytes(),
        ]
    )
