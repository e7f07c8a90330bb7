"""Reading a video as groups of routed segments, the unit over which tokens are shared out.

A group is as many segments as a fixed number of positions allows (about 30 seconds at 256 rows), so
memory does not grow with length, and a still second pays for a busy one nearby. In a stream, where somebody
waits for the first bytes, it is the segments of 2 seconds, or one if that is longer.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from infotok_cli.blocks import token_grid
from infotok_cli.codec.ahead import ahead
from infotok_cli.codec.batches import batches
from infotok_cli.codec.elastic import PrefixErrors
from infotok_cli.codec.planning import SEGMENT_OVERHEAD, Group
from infotok_cli.codec.samples import Sample, is_sample, may_be_sample, takes_samples
from infotok_cli.config import EncodeOptions
from infotok_cli.container import layout
from infotok_cli.container.header import Header
from infotok_cli.container.tracks import pack_audio, pack_times
from infotok_cli.model.allocation import even_map
from infotok_cli.model.engine import Engine
from infotok_cli.sound import AudioPacket
from infotok_cli.video.clip import Frame
from infotok_cli.video.segments import TimedSegment

GROUP_POSITIONS = 3 << 17
"""Token-grid positions whose pixels are held at once: 302 MB."""

STREAM_GROUP_SECONDS = 2
"""Video that is held back in a stream to share its tokens out."""


@dataclass(frozen=True)
class Pending:
    """A segment that waits for its allocation."""

    pixels: Frame
    error: NDArray[np.float32]
    """The router's error map."""
    prefixes: PrefixErrors | None
    """Set for the elastic router, which asks for more than one error map."""
    sample: Sample | None = None
    """Set for segments that may be decoded when quality is asked for."""
    durations: tuple[int, ...] = ()
    """Ticks that each frame is shown, in a file with frame times."""
    packets: Sequence[AudioPacket] = ()
    """Sound heard meanwhile, times from the start of the segment on."""

    @property
    def frames(self) -> int:
        return len(self.pixels)


@dataclass(frozen=True)
class _Read:
    """A segment as it was read: frames, where the device can fetch them, and what goes with them."""

    ends_group: bool
    frames: Frame
    durations: tuple[int, ...]
    packets: Sequence[AudioPacket]


def group_size(header: Header, *, is_stream: bool = False, alone: bool = False) -> int:
    """Segments in a group of a file, or of a stream; `alone`: where each is allocated by itself."""
    size = GROUP_POSITIONS // header.positions()
    if is_stream:
        size = (
            1 if alone else min(size, int(STREAM_GROUP_SECONDS * header.frame_rate / header.segment_frames))
        )
    return max(1, size)


def read_groups(
    segments: Iterable[TimedSegment],
    size: int,
    engine: Engine,
    options: EncodeOptions,
    *,
    batch: int = 1,
    sound: Callable[[TimedSegment], Sequence[AudioPacket]],
    routed: Callable[[int], None],
) -> Generator[list[Pending], None, None]:
    """Route segments, `size` in a group and `batch` at a time; `sound` gives their packets.

    `routed` is told of their frames. Batches lie within groups. A list that was yielded should be emptied
    before the next one is asked for.
    """
    group: list[Pending] = []
    read = (
        _Read((n + 1) % size == 0, engine.pinned(segment.frames), segment.durations, sound(segment))
        for n, segment in enumerate(segments)
    )
    with ahead(read, batch) as prepared:
        for together in batches(
            prepared, batch, lambda read: read.frames.shape, lambda read: read.ends_group
        ):
            for pending in _pending(together, engine, options, first=len(group)):
                group.append(pending)
                routed(pending.frames)
            if len(group) == size:
                yield group
                group = []
    if group:
        yield group


def _pending(
    together: Sequence[_Read], engine: Engine, options: EncodeOptions, *, first: int
) -> Iterator[Pending]:
    """Segments of one shape with their error maps; `first` is the place of the first one in its group."""
    errors = _error_maps([segment.frames for segment in together], engine, options)
    samples = takes_samples(options)
    for place, (segment, error) in enumerate(zip(together, errors, strict=True), first):
        frames = segment.frames
        yield Pending(
            pixels=frames,
            error=error,
            prefixes=PrefixErrors(engine, frames) if options.router == "elastic" else None,
            sample=Sample(engine, frames, options.refine) if samples and may_be_sample(place) else None,
            durations=segment.durations,
            packets=segment.packets,
        )


def group_view(group: list[Pending], header: Header) -> Group:
    """What a planner needs to know of a group."""
    return Group(
        errors=[pending.error for pending in group],
        frames=[pending.frames for pending in group],
        prefixes=[pending.prefixes for pending in group if pending.prefixes is not None],
        samples={
            number: pending.sample
            for number, pending in enumerate(group)
            if pending.sample and is_sample(number, len(group))
        },
        side_bytes=sum(_side_bytes(pending, header) for pending in group),
        seconds=sum((_seconds(pending, header) for pending in group), start=Fraction(0)),
    )


def _seconds(pending: Pending, header: Header) -> Fraction:
    if header.has_times:
        return sum(pending.durations) * header.time_base
    return pending.frames / header.frame_rate


def _side_bytes(pending: Pending, header: Header) -> int:
    """Bytes a segment takes beside its tokens and what a segment of version 1 takes."""
    version, kind = header.format_version, header.index_layout
    total = layout.segment_section_bytes(0, 0, version) + layout.INDEX_ENTRY_STRUCTS[kind].size
    total -= SEGMENT_OVERHEAD
    if header.has_times:
        total += layout.SECTION_STRUCT.size + len(pack_times(0, 0, pending.durations))
    if header.audio is not None:
        total += layout.SECTION_STRUCT.size + len(pack_audio(0, pending.packets))
    return total


def _error_maps(
    segments: Sequence[Frame], engine: Engine, options: EncodeOptions
) -> list[NDArray[np.float32]]:
    """Error maps of segments of one shape, as the router sees them."""
    everything = options.budget is None and options.rate == 1
    if options.router == "fixed" or everything:
        return [even_map(token_grid(*frames.shape[:3]), options.allocation) for frames in segments]
    if options.router == "exact":
        return engine.exact_errors(segments)
    return engine.predicted_errors(segments)
