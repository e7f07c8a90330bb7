"""Reading a video as groups of analyzed segments, the unit over which tokens are shared out.

A group is as many segments as a fixed number of positions allows (about 40 seconds at 256 rows), so
memory does not grow with length, and a still second pays for a busy one nearby. In a stream, where somebody
waits for the first bytes, it is the segments of 2 seconds, or one if that is longer.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import numpy as np
from numpy.typing import NDArray

from infotok_cli.allocation.allocate import even_map
from infotok_cli.allocation.planner import Group
from infotok_cli.blocks import token_grid
from infotok_cli.codec.ahead import ahead
from infotok_cli.codec.batches import batches
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.codec.trials import PrefixErrors, Trial, is_trial, may_be_trial, takes_trials
from infotok_cli.container import layout
from infotok_cli.container.header import Header
from infotok_cli.container.tracks import pack_audio, pack_times
from infotok_cli.model.engine import Engine
from infotok_cli.model.tokenizer import Analysis
from infotok_cli.routers import ROUTERS
from infotok_cli.sound import AudioPacket
from infotok_cli.video.segments import TimedSegment
from infotok_cli.video.video_info import Frame

GROUP_POSITIONS = 1 << 19
"""Token-grid positions whose analyses are held at once: about 280 MB with 256 channels in bfloat16."""


GROUP_PIXEL_BYTES = 256 << 20
"""Pixels that are held at once where tokens are refined, which needs them again: 24 seconds at 456x256 and
30 frames per second."""

STREAM_GROUP_SECONDS = 2
"""Video that is held back in a stream to share its tokens out."""


@dataclass(frozen=True)
class Pending:
    """An analyzed segment that waits for its allocation."""

    frames: int
    analysis: Analysis
    error: NDArray[np.float32]
    prefixes: PrefixErrors | None
    """Set for the elastic router, which asks for more than one error map."""
    trial: Trial | None = None
    """Set for segments that may be decoded when quality is asked for."""
    pixels: Frame | None = None
    """Set when tokens are refined."""
    durations: tuple[int, ...] = ()
    """Ticks that each frame is shown, in a file with frame times."""
    packets: Sequence[AudioPacket] = ()
    """Sound heard meanwhile, times from the start of the segment on."""


@dataclass(frozen=True)
class _Read:
    """A segment as it was read: frames, where the device can fetch them, and what goes with them."""

    ends_group: bool
    frames: Frame
    durations: tuple[int, ...]
    packets: Sequence[AudioPacket]


def group_size(
    header: Header, *, is_stream: bool = False, holds_pixels: bool = False, alone: bool = False
) -> int:
    """Segments in a group of a file, or of a stream; `alone`: where each is allocated by itself."""
    size = GROUP_POSITIONS // header.positions()
    if holds_pixels:
        size = min(size, GROUP_PIXEL_BYTES // (header.segment_frames * header.height * header.width * 3))
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
    analyzed: Callable[[int], None],
) -> Generator[list[Pending], None, None]:
    """Analyze segments, `size` in a group and `batch` at a time; `sound` gives their packets.

    `analyzed` is told of their frames. Batches lie within groups. A list that was yielded should be emptied
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
                analyzed(pending.frames)
            if len(group) == size:
                yield group
                group = []
    if group:
        yield group


def _pending(
    together: Sequence[_Read], engine: Engine, options: EncodeOptions, *, first: int
) -> Iterator[Pending]:
    """Segments of one shape, analyzed; `first` is the place of the first one in its group."""
    shown = [segment.frames for segment in together]
    analyses = engine.analyze_all(shown)
    errors = _errors(shown, analyses, engine, options)
    searched = ROUTERS[options.router].error_map == "searched"
    tried = takes_trials(options)
    trial = partial(Trial, engine, refine=options.refine)
    for place, (segment, analysis, error) in enumerate(zip(together, analyses, errors, strict=True), first):
        frames = segment.frames
        yield Pending(
            frames=len(frames),
            analysis=analysis,
            error=error,
            prefixes=PrefixErrors(engine, frames, analysis) if searched else None,
            trial=trial(frames, analysis) if tried and may_be_trial(place) else None,
            pixels=frames if options.refine else None,
            durations=segment.durations,
            packets=segment.packets,
        )


def group_view(group: list[Pending], header: Header) -> Group:
    """What a planner needs to know of a group."""
    return Group(
        errors=[pending.error for pending in group],
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
        total += layout.SECTION_STRUCT.size + len(pack_times(0, 0, pending.durations))
    if header.audio is not None:
        total += layout.SECTION_STRUCT.size + len(pack_audio(0, pending.packets))
    return total


def _errors(
    segments: Sequence[Frame], analyses: Sequence[Analysis], engine: Engine, options: EncodeOptions
) -> list[NDArray[np.float32]]:
    """Error maps of segments of one shape, as the router sees them."""
    everything = options.budget is None and options.rate == 1
    match "even" if everything else ROUTERS[options.router].error_map:
        case "even":
            kind = options.allocation_kind
            return [even_map(token_grid(*frames.shape[:3]), kind) for frames in segments]
        case "exact":
            return engine.exact_errors(segments, analyses)
        case "predicted" | "searched":
            return engine.predicted_errors(analyses)
