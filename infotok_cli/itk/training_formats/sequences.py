"""Segments as sequences of integers to learn: tokens, and the marks that are asked for between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infotok_cli.container.header import Header
from infotok_cli.entropy.flat_ids import (
    LONGEST_SKIP,
    LONGEST_STILL_RUN,
    MAX_TOKEN_IDS,
    SKIP,
    STEP,
    STILL_RUN,
    VECTOR,
    FlatSegment,
    flatten,
)
from infotok_cli.entropy.token_ids import codebook_size
from infotok_cli.errors import UsageError
from infotok_cli.itk.training_formats.inputs import SegmentTokens

Ids = NDArray[np.uint16] | NDArray[np.int32]

SEGMENT_END = 64_004
VIDEO_END = 64_005

MARK_RANGES = {
    "step": (STEP, STEP),
    "motion": (VECTOR, STILL_RUN + LONGEST_STILL_RUN - 1),
    "skip": (SKIP, SKIP + LONGEST_SKIP - 1),
    "segment-end": (SEGMENT_END, SEGMENT_END),
    "video-end": (VIDEO_END, VIDEO_END),
}
"""Marks by name, and the first and last of their ids before the offset."""

HIGHEST_OFFSET = 2**31 - 2**16


@dataclass(frozen=True, kw_only=True)
class SequenceOptions:
    """How segments become sequences; raises UsageError when built with values out of range."""

    marks: tuple[str, ...] = ()
    """Keys of `MARK_RANGES`: `step` before each latent step; `motion` for the blocks that move in it and the
    runs of those that do not; `skip` for runs of positions without a token; `segment-end` and `video-end`
    after them."""
    id_offset: int = 0
    """Added to every id, 0 to 2,147,418,112, to put them behind the ids of text, say."""

    def __post_init__(self) -> None:
        for mark in self.marks:
            if mark not in MARK_RANGES:
                raise UsageError(
                    f"`marks` has {mark!r}, which is not a mark",
                    way_out=f"choose from {', '.join(MARK_RANGES)}",
                )
        if not 0 <= self.id_offset <= HIGHEST_OFFSET:
            raise UsageError(
                f"`id_offset` {self.id_offset} is out of range", way_out=f"choose 0 to {HIGHEST_OFFSET:,}"
            )

    def highest(self, header: Header) -> int:
        """The highest id that can occur, offset included."""
        tops = [MARK_RANGES[mark][1] for mark in self.marks]
        return self.id_offset + max([codebook_size(header.levels) - 1, *tops])

    def dtype(self, header: Header) -> np.dtype[Any]:
        """Little-endian uint16 where every id fits, else int32."""
        return np.dtype("<u2") if self.highest(header) <= 0xFFFF else np.dtype("<i4")

    def sequence(self, segment: SegmentTokens, header: Header, *, last: bool) -> Ids:
        """`[n]` ids of a segment, the `last` one of its video or not."""
        parts = [self._inner(segment)]
        ends = {"segment-end": True, "video-end": last}
        parts += [
            np.array([MARK_RANGES[mark][0]], np.uint16)
            for mark, is_due in ends.items()
            if is_due and mark in self.marks
        ]
        ids: Ids = (np.concatenate(parts).astype(np.int64) + self.id_offset).astype(self.dtype(header))
        return ids

    def _inner(self, segment: SegmentTokens) -> NDArray[np.uint16]:
        inner = [MARK_RANGES[mark] for mark in ("step", "motion", "skip") if mark in self.marks]
        if not inner:
            return segment.tokens.ids
        frames = segment.about.frames + segment.about.trim_start + segment.about.trim_end
        flat = flatten(FlatSegment(frames, 0, 0, segment.tokens))[2:]
        wanted = flat < MAX_TOKEN_IDS
        for first, last in inner:
            wanted |= (flat >= first) & (flat <= last)
        return flat[wanted]

    def vocabulary(self, header: Header) -> dict[str, Any]:
        """What ids mean, for vocab.json and metadata.json."""
        ranges = {"token": (0, codebook_size(header.levels) - 1)} | {
            mark: MARK_RANGES[mark] for mark in MARK_RANGES if mark in self.marks
        }
        return {
            "dtype": {2: "uint16", 4: "int32"}[self.dtype(header).itemsize],
            "id_offset": self.id_offset,
            "vocab_size": self.highest(header) + 1,
            "ranges": {
                name: {"first": first + self.id_offset, "last": last + self.id_offset}
                for name, (first, last) in ranges.items()
            },
            "quantizer_levels": list(header.levels),
            "model": header.model_name,
            "model_sha256": header.model_sha256.hex(),
        }


def parse_marks(text: str) -> tuple[str, ...]:
    """The marks of a list with commas, each once."""
    return tuple(dict.fromkeys(word for word in map(str.strip, text.split(",")) if word))
