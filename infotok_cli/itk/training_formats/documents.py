"""Documents of ids, one after the other in a file, and a line of JSON about each: for megatron and memmap."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TextIO

from infotok_cli.container.header import Header
from infotok_cli.itk.training_formats.rows import Settings, Video
from infotok_cli.itk.training_formats.sequences import Ids


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Ids of one segment."""

    header: Header
    ids: Ids
    row: dict[str, Any]
    """About the document that it belongs to."""
    ends_document: bool


def pieces(videos: Iterable[Video], settings: Settings) -> Iterator[Piece]:
    """The ids of all videos, a segment at a time; InputError for damage."""
    for video in videos:
        header, last = video.opened.header, video.last_number()
        whole = video.row() if settings.document == "video" else {}
        for segment in video.segments():
            is_last = segment.about.number == last
            yield Piece(
                header=header,
                ids=settings.sequences.sequence(segment, header, last=is_last),
                row=whole or video.segment_row(segment),
                ends_document=is_last or not whole,
            )


class Provenance:
    """Writes a line of JSON for each document."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.count = 0

    def add(self, row: dict[str, Any], offset: int, length: int) -> None:
        """The document of `length` ids that begins `offset` ids from the start."""
        line = {"document": self.count, "offset": offset, "ids": length} | row
        self._stream.write(json.dumps(line) + "\n")
        self.count += 1
