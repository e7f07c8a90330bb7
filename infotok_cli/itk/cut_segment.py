"""The whole latent steps of the segment that a file, or a stream of one, ends in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from infotok_cli.blocks import frames_of_steps
from infotok_cli.container.layout import Segment
from infotok_cli.container.reader import ItkReader
from infotok_cli.container.scan import nominal_ticks
from infotok_cli.container.stream import ItkStream, StreamedSegment
from infotok_cli.container.tracks import spread_evenly
from infotok_cli.entropy.keep_map import unpack_keep
from infotok_cli.entropy.motion_map import unpack_motion
from infotok_cli.entropy.token_net import TokenNet
from infotok_cli.errors import InputError
from infotok_cli.itk.tokens import Stored, first_ids
from infotok_cli.segment_tokens import Maps


def show_cut_segment(reader: ItkReader, net: TokenNet | None) -> None:
    """Have the whole steps of a segment that was cut short in the index of a file opened with `recover`.

    net: where the file's token coding needs one. Raises InputError where there is nothing else to show, and
    no whole step either.
    """
    cut = reader.cut
    if cut is not None and cut.number == len(reader.index):
        shown = _whole_steps(reader, cut, net)
        if shown is not None:
            reader.show_cut(shown)
    if not len(reader.index):
        raise InputError("ends before its first latent step", way_out="copy it again", where=reader.name)


def segments_and_cut(stream: ItkStream, net: TokenNet | None) -> Iterator[StreamedSegment]:
    """All segments of a stream; where it ends inside one, its whole steps, and then InputError."""
    try:
        yield from stream.segments()
    except InputError:
        cut = None if stream.cut is None else _whole_steps(stream, stream.cut.segment, net)
        if stream.cut is not None and cut is not None:
            durations = stream.cut.durations
            if stream.header.has_times and not durations:
                durations = spread_evenly(nominal_ticks(cut.counts.shown, stream.header), cut.counts)
            yield StreamedSegment(cut, durations, [])
        raise


def _whole_steps(stored: Stored, cut: Segment, net: TokenNet | None) -> Segment | None:
    """A segment that was cut short, trimmed to its whole latent steps; None where they show nothing."""
    header = stored.header
    grid = header.grid(cut.frames)
    if cut.lost:
        return None
    try:
        keep = unpack_keep(cut.map_payload, header.allocation, grid, cut.tokens)
        maps = Maps(keep, unpack_motion(cut.motion_payload, grid))
    except InputError:
        return None
    if not cut.missing_bytes:
        return cut
    ends = np.cumsum(keep.sum(axis=(1, 2)))
    steps = int((ends <= len(first_ids(header, cut, maps, net))).sum())
    end = min(cut.frames - cut.trim_end, frames_of_steps(steps))
    return replace(cut, trim_end=cut.frames - end) if end > cut.trim_start else None
