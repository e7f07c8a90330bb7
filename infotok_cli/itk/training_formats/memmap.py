"""Ids in one file to map into memory, and beside each the number of its segment."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from infotok_cli.itk.training_formats.documents import Provenance, pieces
from infotok_cli.itk.training_formats.rows import KIND, METADATA, Settings, Video, write_json


def write(folder: Path, videos: Iterable[Video], settings: Settings) -> None:
    """tokens.bin, segment_ids.bin (int32, counted over all videos), documents.jsonl and metadata.json."""
    length = total = segments = 0
    header = None
    with (
        open(folder / "tokens.bin", "wb") as tokens,
        open(folder / "segment_ids.bin", "wb") as numbers,
        open(folder / "documents.jsonl", "w", encoding="utf-8") as lines,
    ):
        provenance = Provenance(lines)
        for piece in pieces(videos, settings):
            header = header or piece.header
            tokens.write(piece.ids.data)
            numbers.write(np.full(len(piece.ids), segments, "<i4").data)
            length, segments = length + len(piece.ids), segments + 1
            if piece.ends_document:
                provenance.add(piece.row, total, length)
                total, length = total + length, 0
    if header is None:
        return
    about = {"kind": KIND, "format": "memmap", "document": settings.document, "documents": provenance.count}
    about |= {"segments": segments, "ids": total}
    write_json(folder / METADATA, about | settings.sequences.vocabulary(header))
