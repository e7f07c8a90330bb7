"""What an .itk file holds and where its tokens went; reads every byte, needs no model and no torch."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infotok_cli.codec.keep_maps import unpack_keep
from infotok_cli.container.header import Header
from infotok_cli.container.layout import FORMAT_VERSION
from infotok_cli.container.reader import ItkReader
from infotok_cli.metrics import bits_per_pixel, bpp16


@dataclass(frozen=True, kw_only=True)
class ByteCounts:
    """Where the bytes of a file are; the four add up to its size."""

    header: int
    """Magic, header section, and the framing of all segments."""
    map: int
    tokens: int
    index: int


@dataclass(frozen=True, kw_only=True)
class FileReport:
    """Facts about one .itk file."""

    path: str
    format_version: int
    header: Header
    frames: int
    duration_seconds: float
    segments: int
    positions: int
    tokens: int
    token_rate: float
    bpp: float
    """Bits of the whole file per pixel."""
    bpp16_nominal: float
    """Token rate + 1/16, as the paper counts."""
    size_bytes: int
    bytes: ByteCounts


@dataclass(frozen=True, kw_only=True)
class SegmentReport:
    """One row of `infotok stats`."""

    number: int
    start_seconds: float
    end_seconds: float
    frames: int
    positions: int
    tokens: int
    token_rate: float
    map_bytes: int
    token_bytes: int


@dataclass(frozen=True, kw_only=True)
class StatsReport:
    """Rows per segment and the average over time of where tokens are."""

    file: FileReport
    segments: tuple[SegmentReport, ...]
    rate_over_frame: NDArray[np.float64]
    """`[h, w]` share of latent steps that carry a token at each position of the frame, 0..1."""


def report_file(path: Path) -> FileReport:
    """Check every byte of `path` and report on it; InputError when it is no whole .itk file."""
    with ItkReader(path) as reader:
        reader.verify()
        return _facts(path, reader)


def report_stats(path: Path) -> StatsReport:
    """As `report_file`, with a row per segment; decodes the keep maps, not the tokens."""
    with ItkReader(path) as reader:
        header = reader.header
        _, rows, columns = header.grid()
        carried = np.zeros((rows, columns), np.int64)
        steps, first, reports = 0, 0, []
        for segment in reader.segments():
            grid = header.grid(segment.frames)
            keep = unpack_keep(segment.map_payload, header.allocation, grid)
            carried += keep.sum(axis=0)
            steps += grid[0]
            reports.append(
                SegmentReport(
                    number=segment.number,
                    start_seconds=_seconds(first, header.frame_rate),
                    end_seconds=_seconds(first + segment.frames, header.frame_rate),
                    frames=segment.frames,
                    positions=keep.size,
                    tokens=segment.tokens,
                    token_rate=segment.tokens / keep.size,
                    map_bytes=len(segment.map_payload),
                    token_bytes=len(segment.token_payload),
                )
            )
            first += segment.frames
        return StatsReport(
            file=_facts(path, reader), segments=tuple(reports), rate_over_frame=carried / max(1, steps)
        )


def _facts(path: Path, reader: ItkReader) -> FileReport:
    header, index = reader.header, reader.index
    positions = sum(header.positions(entry.frames) for entry in index)
    tokens = sum(entry.tokens for entry in index)
    map_bytes = sum(entry.map_bytes for entry in index)
    token_bytes = sum(entry.token_bytes for entry in index)
    index_bytes = reader.size_bytes - (index[-1].offset + index[-1].length)
    return FileReport(
        path=str(path),
        format_version=FORMAT_VERSION,
        header=header,
        frames=reader.total_frames,
        duration_seconds=_seconds(reader.total_frames, header.frame_rate),
        segments=len(index),
        positions=positions,
        tokens=tokens,
        token_rate=tokens / positions,
        bpp=bits_per_pixel(reader.size_bytes, reader.total_frames, header.height, header.width),
        bpp16_nominal=bpp16(tokens, positions),
        size_bytes=reader.size_bytes,
        bytes=ByteCounts(
            header=reader.size_bytes - map_bytes - token_bytes - index_bytes,
            map=map_bytes,
            tokens=token_bytes,
            index=index_bytes,
        ),
    )


def _seconds(frames: int, frame_rate: Fraction) -> float:
    return float(frames / frame_rate)
