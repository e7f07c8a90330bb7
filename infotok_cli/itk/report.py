"""What an .itk file holds and where its tokens went; reads every byte, needs no model and no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infotok_cli.container.header import Header
from infotok_cli.container.layout import LOST_FLAG
from infotok_cli.container.reader import ItkReader
from infotok_cli.errors import InputError
from infotok_cli.itk.find_weights import token_net_for
from infotok_cli.itk.tokens import unpack_keep_map, unpack_tokens
from infotok_cli.metrics import bits_per_pixel, bpp16
from infotok_cli.places import Source
from infotok_cli.tags import Tags


@dataclass(frozen=True, kw_only=True)
class ByteCounts:
    """Where the bytes of a file are; all add up to its size."""

    header: int
    """Magic, header section, the framing of all segments, and sections that are not known here."""
    map: int
    tokens: int
    index: int
    times: int
    audio: int


@dataclass(frozen=True, kw_only=True)
class FileReport:
    """Facts about one .itk file."""

    path: str
    format_version: int
    header: Header
    tags: Tags
    frames: int
    duration_seconds: float
    segments: int
    positions: int
    tokens: int
    token_rate: float
    bpp: float
    """Bits of the file, without its sound, per pixel."""
    bpp16_nominal: float
    """Token rate + 1/16, as the paper counts."""
    size_bytes: int
    bytes: ByteCounts
    lost_frames: int
    """Frames whose tokens were lost before the file was repaired; they count as shown."""
    hidden_frames: int
    """Coded frames that are not shown, because the file was cut inside their segment."""


@dataclass(frozen=True, kw_only=True)
class SegmentReport:
    """One row of `infotok stats`."""

    number: int
    start_seconds: float
    end_seconds: float
    frames: int
    """Shown frames; `positions` are those of all coded ones."""
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


def report_file(path: Source) -> FileReport:
    """Check every byte of `path` and report on it; InputError when it is no whole .itk file."""
    with ItkReader(path) as reader:
        reader.verify()
        return _facts(path, reader)


NAMED_AT_MOST = 5
"""Damaged segments that an error message names."""


def verify_file(path: Source, model: str | None = None) -> None:
    """Decode the token layer of every segment of `path`: keep maps, counts and ids.

    Needs no network, but where tokens are coded the weights file that holds their token net (`model`: its
    name or path, unless it is a packaged one). Lost segments of a repaired file are passed over.

    Raises:
        InputError: the file is no whole .itk file, or segments are damaged: how many, and which.
        ModelError: the token net is not to be had.
    """
    with ItkReader(path) as reader:
        net = token_net_for(reader.header, model)
        bad: list[str] = []
        first: InputError | None = None
        for number in range(len(reader.index)):
            try:
                segment = reader.read_segment(number)
                if not segment.lost:
                    unpack_tokens(reader, segment, net)
            except InputError as error:
                first = first or error
                bad.append(reader.place(number))
        if first is not None and len(bad) == 1:
            raise first
        if first is not None:
            more = f" and {len(bad) - NAMED_AT_MOST} more" if len(bad) > NAMED_AT_MOST else ""
            raise InputError(
                f"{len(bad)} of {len(reader.index)} segments are damaged, "
                f"{', '.join(bad[:NAMED_AT_MOST])}{more}",
                way_out=first.way_out,
                where=reader.name,
            )


def report_stats(path: Source) -> StatsReport:
    """As `report_file`, with a row per segment; decodes the keep maps, not the tokens."""
    with ItkReader(path) as reader:
        header = reader.header
        _, rows, columns = header.grid()
        carried = np.zeros((rows, columns), np.int64)
        steps, reports = 0, []
        for segment in reader.segments():
            grid = header.grid(segment.frames)
            keep = np.zeros(grid, np.bool_) if segment.lost else unpack_keep_map(reader, segment)
            carried += keep.sum(axis=0)
            steps += grid[0]
            reports.append(
                SegmentReport(
                    number=segment.number,
                    start_seconds=reader.time_range_seconds(segment.number)[0],
                    end_seconds=reader.time_range_seconds(segment.number)[1],
                    frames=segment.counts.shown,
                    positions=keep.size,
                    tokens=segment.tokens,
                    token_rate=segment.tokens / keep.size,
                    map_bytes=len(segment.map_payload),
                    token_bytes=len(segment.token_payload),
                )
            )
        return StatsReport(
            file=_facts(path, reader), segments=tuple(reports), rate_over_frame=carried / max(1, steps)
        )


def _facts(path: Source, reader: ItkReader) -> FileReport:
    header, index = reader.header, reader.index
    positions = int(index.positions(header).sum())
    tokens, map_bytes, token_bytes = (
        int(index.column(name).sum()) for name in ("tokens", "map_bytes", "token_bytes")
    )
    lost = (index.column("flags") & LOST_FLAG).astype(np.bool_)
    times, audio = int(index.column("time_length").sum()), int(index.column("audio_length").sum())
    last = index[len(index) - 1]
    index_bytes = reader.size_bytes - (last.offset + last.total_length)
    return FileReport(
        path=str(path),
        format_version=header.format_version,
        header=header,
        tags=reader.tags,
        frames=reader.total_frames,
        duration_seconds=float(reader.duration_seconds),
        segments=len(index),
        positions=positions,
        tokens=tokens,
        token_rate=tokens / positions,
        bpp=bits_per_pixel(reader.size_bytes - audio, reader.total_frames, header.height, header.width),
        bpp16_nominal=bpp16(tokens, positions),
        size_bytes=reader.size_bytes,
        bytes=ByteCounts(
            header=reader.size_bytes - map_bytes - token_bytes - index_bytes - times - audio,
            map=map_bytes,
            tokens=token_bytes,
            index=index_bytes,
            times=times,
            audio=audio,
        ),
        lost_frames=int(np.diff(index.starts)[lost].sum()),
        hidden_frames=int(index.column("frames").sum()) - reader.total_frames,
    )
