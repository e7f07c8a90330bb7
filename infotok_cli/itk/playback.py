"""An .itk file, or a stream of one, as what is shown and heard: frames, their times and sound, in order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from infotok_cli.container.header import Header
from infotok_cli.container.layout import Segment
from infotok_cli.container.reader import ItkReader
from infotok_cli.container.stream import ItkStream, StreamedSegment
from infotok_cli.errors import InputError, UsageError
from infotok_cli.itk.frame_times import LARGEST_ROUNDING_SECONDS, frame_at, frame_span, shown_ticks
from infotok_cli.itk.sound_cut import SoundCut, Span
from infotok_cli.sound import AudioPacket
from infotok_cli.video.video_info import Frame


@dataclass(frozen=True)
class Chunk:
    """A few frames that follow those of the chunk before, and the sound that starts about then."""

    frames: Frame | None
    """`[T, H, W, 3]`, RGB, 0..255; None when only sound is left."""
    ticks: list[int] | None
    """When each frame is shown after the first one of all; None for a constant frame rate."""
    packets: list[AudioPacket]
    """Times count from the first frame of all."""
    seconds: Fraction = Fraction(0)
    """How long the frames are shown, where they come from a stream; of a file the index tells."""


def file_chunks(
    reader: ItkReader, decoded: Iterator[Frame], wanted: range, *, audio: bool, lost: list[str] | None
) -> Iterator[Chunk]:
    """The frames `wanted`, which `decoded` gives, with their sound; reads only what belongs to them.

    With a list `lost` damage is named there instead of being raised: frames whose times are damaged are
    spread evenly, and damaged sound is left out.
    """
    numbers = iter(range(reader.index.holding(wanted.start), reader.index.holding(wanted.stop - 1) + 1))
    track = reader.header.audio if audio else None
    cut = None if track is None else SoundCut(track.time_base, frame_span(reader, wanted)[0])
    ticks = shown_ticks(reader, wanted, lost)
    done, next_start = wanted.start, wanted.start
    for frames in decoded:
        packets: list[AudioPacket] = []
        while cut is not None and next_start <= done:
            number = next(numbers, None)
            if number is None:
                break
            packets += cut.heard(_packets(reader, number, lost), _span(reader, number, wanted))
            next_start = int(reader.index.starts[number + 1])
        timed = [next(ticks) for _ in range(len(frames))] if reader.header.has_times else None
        yield Chunk(frames, timed, packets)
        done += len(frames)
    if cut is not None:
        yield Chunk(None, None, cut.rest())


def _packets(reader: ItkReader, number: int, lost: list[str] | None) -> list[AudioPacket]:
    try:
        return reader.read_audio(number)
    except InputError as error:
        if lost is None:
            raise
        lost.append(f"{error.what}: it is left out")
        return []


def _span(reader: ItkReader, number: int, wanted: range) -> Span:
    first, last = reader.index.starts[number : number + 2].tolist()
    counts = reader.index[number].counts
    shown = range(max(first, wanted.start), min(last, wanted.stop))
    start, end = frame_span(reader, shown)
    whole_start = frame_span(reader, range(first, last))[0]
    if reader.header.has_times:
        before = sum(reader.times_at_any_rate(number)[: counts.trim_start]) * reader.header.time_base
    else:
        before = counts.trim_start / reader.header.frame_rate
    return Span(
        coded_start=whole_start - before,
        start=start,
        end=end,
        cut_start=counts.trim_start > 0 or shown.start > first,
        cut_end=counts.trim_end > 0 or shown.stop < last,
    )


def stream_chunks(
    stream: ItkStream,
    segments: Iterator[StreamedSegment],
    decode: Callable[[Segment], Iterator[Frame]],
    *,
    start_seconds: float | None,
    end_seconds: float | None,
    frames: int | None = None,
    audio: bool,
) -> Iterator[Chunk]:
    """What is shown at start <= time < end, at most `frames` of it; stops reading after it.

    segments: of `stream`, in order. decode: gives what a segment shows, in parts.
    Raises UsageError when there is nothing.
    """
    clock = _Clock(stream.header, start_seconds, end_seconds)
    cut: SoundCut | None = None
    left = frames
    for stored in segments:
        times = clock.times(stored)
        wanted = [place for place, time in enumerate(times[:-1]) if clock.first <= time < clock.last][:left]
        if wanted:
            here = range(wanted[0], wanted[-1] + 1)
            if clock.origin is None:
                clock.origin = times[here.start]
                if audio and stream.header.audio is not None:
                    origin = clock.origin * clock.unit
                    cut = SoundCut(stream.header.audio.time_base, origin)
            packets = [] if cut is None else cut.heard(stored.packets, clock.span(stored, times, here))
            for part, places in _parts(decode(stored.segment), here):
                ticks = [times[place] - clock.origin for place in places]
                seconds = (times[places.stop] - times[places.start]) * clock.unit
                yield Chunk(part, ticks if stream.header.has_times else None, packets, seconds)
                packets = []
            left = None if left is None else left - len(here)
        if times[-1] >= clock.last or left == 0:
            break
    if clock.origin is None:
        length = float(clock.now * clock.unit)
        raise UsageError(
            f"no frame lies between `start_seconds` {start_seconds or 0:g} and `end_seconds` "
            f"{(math.inf if end_seconds is None else end_seconds):g}",
            way_out=f"choose times within its {length:.3f} s",
            where=stream.name,
        )
    if cut is not None:
        yield Chunk(None, None, cut.rest())


def _parts(decoded: Iterator[Frame], wanted: range) -> Iterator[tuple[Frame, range]]:
    """Parts of a segment's frames, cut to the places `wanted`, and the places of each."""
    at = 0
    for part in decoded:
        places = range(max(at, wanted.start), min(at + len(part), wanted.stop))
        if places:
            yield part[places.start - at : places.stop - at], places
        at += len(part)
        if at >= wanted.stop:
            break


class _Clock:
    """Times of frames as they go by, in ticks, or in frames where the frame rate is constant."""

    def __init__(self, header: Header, start_seconds: float | None, end_seconds: float | None) -> None:
        self.unit = header.time_base if header.has_times else 1 / header.frame_rate
        slack = LARGEST_ROUNDING_SECONDS / self.unit if header.has_times else None
        self.first = 0 if start_seconds is None else frame_at(start_seconds, 1 / self.unit, slack)
        self.last = math.inf if end_seconds is None else frame_at(end_seconds, 1 / self.unit, slack)
        self.origin: int | None = None
        self.now = 0

    def times(self, stored: StreamedSegment) -> list[int]:
        """When the frames that a segment shows are shown, and when they end."""
        segment, times = stored.segment, [self.now]
        for place in range(segment.trim_start, segment.frames - segment.trim_end):
            times.append(times[-1] + (stored.durations[place] if stored.durations else 1))
        self.now = times[-1]
        return times

    def span(self, stored: StreamedSegment, times: list[int], here: range) -> Span:
        segment = stored.segment
        before = sum(stored.durations[: segment.trim_start]) if stored.durations else segment.trim_start
        return Span(
            coded_start=(times[0] - before) * self.unit,
            start=times[here.start] * self.unit,
            end=times[here.stop] * self.unit,
            cut_start=segment.trim_start > 0 or here.start > 0,
            cut_end=segment.trim_end > 0 or here.stop < len(times) - 1,
        )
