"""Reading a video as groups of routed segments, the unit over which tokens are shared out.

A group is as many segments as a fixed number of positions allows (about 35 seconds at 256 rows), so
memory does not grow with length, and a still second pays for a busy one nearby. In a stream, where somebody
waits for the first bytes, it is the segments of 2 seconds, or one if that is longer.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from infotok_cli.allocation.allocate import even_map
from infotok_cli.allocation.planner import Group
from infotok_cli.blocks import token_grid
from infotok_cli.codec.ahead import ahead
from infotok_cli.codec.batches import batches, even_size
from infotok_cli.codec.job import EncodeJob
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.codec.progress import Tally
from infotok_cli.codec.trials import PrefixErrors, Trial, is_trial, may_be_trial, takes_trials
from infotok_cli.container import layout
from infotok_cli.container.header import Header
from infotok_cli.container.tracks import audio_bytes, times_bytes
from infotok_cli.model.engine import Engine, Footage
from infotok_cli.routers import ROUTERS
from infotok_cli.sound import AudioPacket
from infotok_cli.video.segments import TimedSegment
from infotok_cli.video.video_info import Frame

GROUP_POSITIONS = 1 << 19
"""Token-grid positions whose pixels are held at once: 378 MB with segments of 60 frames."""

STREAM_GROUP_SECONDS = 2
"""Video that is held back in a stream to share its tokens out."""


@dataclass(frozen=True)
class Pending:
    """A segment that waits for its allocation."""

    footage: Footage
    error_map: NDArray[np.float32]
    """`[t, h, w]`, as the router sees it."""
    prefixes: PrefixErrors | None
    """Set for the elastic router, which asks for more than one error map."""
    trial: Trial | None = None
    """Set for segments that may be decoded when quality is asked for."""
    durations: tuple[int, ...] = ()
    """Ticks that each frame is shown, in a file with frame times."""
    packets: Sequence[AudioPacket] = ()
    """Sound heard meanwhile, times from the start of the segment on."""

    @property
    def frames(self) -> int:
        return len(self.footage.frames)


@dataclass(frozen=True)
class HeardSegment:
    """A segment as it was read, and the sound heard meanwhile."""

    shown: TimedSegment
    packets: Sequence[AudioPacket]


@dataclass(frozen=True)
class _Ready:
    """A segment whose frames lie where the device can fetch them."""

    frames: Frame
    heard: HeardSegment
    ends_group: bool


def file_group_size(frames: int, height: int, width: int) -> int:
    """Segments of this shape in a group of a file: as many as memory allows, and at least one."""
    return max(1, GROUP_POSITIONS // math.prod(token_grid(frames, height, width)))


def group_size(job: EncodeJob) -> int:
    """Segments in a group: in a file as many as memory allows, in a stream as few as share well."""
    header, options = job.header, job.options
    size = file_group_size(header.segment_frames, header.height, header.width)
    if job.is_live:
        alone = options.budget is not None and options.budget.planner.alone
        shared = round(STREAM_GROUP_SECONDS * header.frame_rate / header.segment_frames)
        size = 1 if alone else max(1, min(size, shared))
    return size


def batch_size(job: EncodeJob) -> int:
    """Segments that go through the network at once, so that groups are cut evenly."""
    return even_size(group_size(job), job.engine.batch(job.header.positions()))


def read_groups(
    job: EncodeJob, segments: Iterable[HeardSegment], tally: Tally
) -> Generator[list[Pending], None, None]:
    """Route segments a batch at a time, and gather them into groups; batches lie within groups.

    A list that was yielded should be emptied before the next one is asked for.
    """
    size, batch = group_size(job), batch_size(job)
    ready = (
        _Ready(job.engine.pinned(heard.shown.frames), heard, ends_group=(number + 1) % size == 0)
        for number, heard in enumerate(segments)
    )
    group: list[Pending] = []
    with ahead(ready, batch) as prepared:
        for together in batches(prepared, batch, lambda one: one.frames.shape, lambda one: one.ends_group):
            for pending in _routed(job, together, first=len(group)):
                group.append(pending)
                tally.routed(pending.frames)
            if len(group) == size:
                yield group
                group = []
    if group:
        yield group


def _routed(job: EncodeJob, together: Sequence[_Ready], *, first: int) -> Iterator[Pending]:
    """Segments of one shape with their error maps; `first` is the place of the first one in its group."""
    engine, options = job.engine, job.options
    frames = [segment.frames for segment in together]
    footages = [Footage(*pair) for pair in zip(frames, engine.motion(frames), strict=True)]
    error_maps = _error_maps(footages, engine, options)
    searched = ROUTERS[options.router].error_map == "searched"
    tried = takes_trials(options)
    given = zip(together, footages, error_maps, strict=True)
    for place, (segment, footage, error_map) in enumerate(given, first):
        heard = segment.heard
        may_be = tried and may_be_trial(place)
        yield Pending(
            footage=footage,
            error_map=error_map,
            prefixes=PrefixErrors(engine, footage) if searched else None,
            trial=Trial(engine, footage, options.refine) if may_be else None,
            durations=heard.shown.durations,
            packets=heard.packets,
        )


def group_view(group: list[Pending], header: Header) -> Group:
    """What a planner needs to know of a group."""
    return Group(
        errors=[pending.error_map for pending in group],
        frames=[pending.frames for pending in group],
        prefixes=[pending.prefixes for pending in group if pending.prefixes is not None],
        trials={
            number: pending.trial
            for number, pending in enumerate(group)
            if pending.trial and is_trial(number, len(group))
        },
        side_bytes=sum(_side_bytes(pending, header) for pending in group),
        seconds=sum((_seconds(pending, header) for pending in group), start=Fraction(0)),
    )


def _seconds(pending: Pending, header: Header) -> Fraction:
    if header.has_times:
        return sum(pending.durations) * header.time_base
    return pending.frames / header.frame_rate


def _side_bytes(pending: Pending, header: Header) -> int:
    """Bytes a segment takes beside its tokens and `SEGMENT_OVERHEAD`: sound and frame times."""
    total = layout.layout_of(header.index_fields).size - layout.INDEX_ENTRY_STRUCT.size
    if header.has_times:
        total += layout.SECTION_STRUCT.size + times_bytes(pending.durations)
    if header.audio is not None:
        total += layout.SECTION_STRUCT.size + audio_bytes(pending.packets)
    return total


def _error_maps(
    segments: Sequence[Footage], engine: Engine, options: EncodeOptions
) -> list[NDArray[np.float32]]:
    """Error maps of segments of one shape, as the router sees them."""
    everything = options.budget is None and options.rate == 1
    match "even" if everything else ROUTERS[options.router].error_map:
        case "even":
            kind = options.allocation_kind
            return [even_map(token_grid(*one.frames.shape[:3]), kind) for one in segments]
        case "exact":
            return engine.exact_errors(segments)
        case "predicted" | "searched":
            return engine.predicted_errors(segments)
