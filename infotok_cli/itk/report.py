"""What an .itk file holds and where its tokens went; reads every byte, needs no model and no torch."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infotok_cli.config import PATCH
from infotok_cli.container.header import Header
from infotok_cli.container.layout import LOST_FLAG, Segment
from infotok_cli.container.reader import ItkReader
from infotok_cli.errors import InputError, UsageError
from infotok_cli.itk.find_weights import token_net_for
from infotok_cli.itk.keep_maps import damaged_segments, keep_maps
from infotok_cli.metrics import bits_per_pixel, bpp16
from infotok_cli.places import Source
from infotok_cli.tags import Tags


@dataclass(frozen=True, kw_only=True)
class ByteCounts:
    """Where the bytes of a file are; all add up to its size."""

    header: int
    """Magic, header section, the framing of all segments, and sections that are not known here."""
    map: int
    motion: int
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
    """As the paper counts, for each position that is shown: see `metrics.bpp16`."""
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
    motion_bytes: int
    token_bytes: int


@dataclass(frozen=True, kw_only=True)
class StatsReport:
    """Rows per segment, the token rate of each latent step, and the average over time of where tokens are."""

    file: FileReport
    segments: tuple[SegmentReport, ...]
    rate_over_frame: NDArray[np.float64]
    """`[h, w]` share of latent steps that carry a token at each position of the frame, 0..1."""
    of_segment: int | None = None
    """The segment that `rate_over_frame` is of; None for the whole file."""
    step_rates: NDArray[np.float64]
    """`[steps]` share of its positions that each latent step keeps, 0..1."""
    step_ends: NDArray[np.float64]
    """`[steps]` when each step ends, in seconds, never falling: leads take no time, frames count as evenly
    spread over their segment."""


def report_file(path: Source) -> FileReport:
    """Check every byte of `path` and report on it; InputError when it is no whole .itk file."""
    with ItkReader(path) as reader:
        reader.verify()
        return _facts(path, reader)


NAMED_AT_MOST = 5
"""Damaged segments that an error message names."""


def verify_file(path: Source, model: str | None = None) -> None:
    """Decode the token layer of every segment of `path`: keep maps, motion maps, counts and ids.

    Needs no network, but where tokens are coded the weights file that holds their token net (`model`: its
    name or path, unless it is a packaged one). Lost segments of a repaired file are passed over.

    Raises:
        InputError: the file is no whole .itk file, or segments are damaged: how many, and which.
        ModelError: the token net is not to be had.
    """
    with ItkReader(path) as reader:
        damaged = damaged_segments(reader, token_net_for(reader.header, model))
        bad, first = [reader.place(number) for number in damaged], next(iter(damaged.values()), None)
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


def report_stats(path: Source, segment_number: int | None = None) -> StatsReport:
    """As `report_file`, with a row per segment; decodes the keep maps, not the tokens.

    segment_number: the one segment that `rate_over_frame` is of. UsageError, as `segment`, if there is none.
    """
    with ItkReader(path) as reader:
        _check_segment(segment_number, reader)
        return stats_of(path, reader, segment_number=segment_number)


def _check_segment(number: int | None, reader: ItkReader) -> None:
    if number is not None and not 0 <= number < len(reader.index):
        raise UsageError(
            f"`segment` {number} is out of range",
            way_out=f"choose 0 to {len(reader.index) - 1}",
            where=reader.name,
        )


def stats_of(
    path: Source, reader: ItkReader, damaged: Collection[int] = (), segment_number: int | None = None
) -> StatsReport:
    """`report_stats` of an opened file; the rows of the segments in `damaged` have no tokens."""
    _, rows, columns = reader.header.grid()
    carried = np.zeros((rows, columns), np.int64)
    steps, reports = 0, []
    rates: list[float] = []
    ends: list[float] = []
    for segment, keep in keep_maps(reader, damaged):
        start, end = reader.time_range_seconds(segment.number)
        if segment_number in (None, segment.number):
            carried += keep.sum(axis=0)
            steps += len(keep)
        rates += keep.mean(axis=(1, 2)).tolist()
        ends += _step_ends(segment, start, end)
        reports.append(
            SegmentReport(
                number=segment.number,
                start_seconds=start,
                end_seconds=end,
                frames=segment.counts.shown,
                positions=keep.size,
                tokens=segment.tokens,
                token_rate=segment.tokens / keep.size,
                map_bytes=len(segment.map_payload),
                motion_bytes=len(segment.motion_payload),
                token_bytes=len(segment.token_payload),
            )
        )
    return StatsReport(
        file=_facts(path, reader),
        segments=tuple(reports),
        rate_over_frame=carried / max(1, steps),
        of_segment=segment_number,
        step_rates=np.array(rates),
        step_ends=np.array(ends),
    )


def _step_ends(segment: Segment, start: float, end: float) -> list[float]:
    """When each latent step of a segment ends that is shown from `start` to `end`, in seconds."""
    coded = np.minimum(np.arange(0, segment.frames + PATCH[0], PATCH[0]), segment.frames)
    shown = np.clip(coded - segment.trim_start, 0, segment.counts.shown)
    ends: list[float] = (start + (end - start) * shown / segment.counts.shown).tolist()
    return ends


def _facts(path: Source, reader: ItkReader) -> FileReport:
    header, index = reader.header, reader.index
    positions = int(index.positions(header).sum())
    tokens, map_bytes, motion_bytes, token_bytes = (
        int(index.column(name).sum()) for name in ("tokens", "map_bytes", "motion_bytes", "token_bytes")
    )
    if reader.cut is not None and reader.cut.number < len(index):
        token_bytes -= reader.cut.missing_bytes
    lost = (index.column("flags") & LOST_FLAG).astype(np.bool_)
    times, audio = int(index.column("time_length").sum()), int(index.column("audio_length").sum())
    last = index[len(index) - 1]
    # Where a segment was cut short, its end lies behind that of the file.
    index_bytes = max(0, reader.size_bytes - (last.offset + last.total_length))
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
        bpp16_nominal=bpp16(tokens, positions, positions - len(index) * header.lead_positions()),
        size_bytes=reader.size_bytes,
        bytes=ByteCounts(
            header=reader.size_bytes - map_bytes - motion_bytes - token_bytes - index_bytes - times - audio,
            map=map_bytes,
            motion=motion_bytes,
            tokens=token_bytes,
            index=index_bytes,
            times=times,
            audio=audio,
        ),
        lost_frames=int(np.diff(index.starts)[lost].sum()),
        hidden_frames=int(index.column("frames").sum()) - reader.total_frames,
    )
