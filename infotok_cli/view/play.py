"""An .itk file that is shown while it is decoded, in real time: what comes too late is passed over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np

from infotok_cli.codec.ahead import Ahead, ahead
from infotok_cli.codec.decode_inputs import Selection, playing_reader
from infotok_cli.codec.load_engine import check_model
from infotok_cli.container.reader import ItkReader
from infotok_cli.itk.cut_segment import show_cut_segment
from infotok_cli.itk.frame_times import frame_range, frame_span
from infotok_cli.itk.keep_maps import damaged_segments
from infotok_cli.itk.playback import Chunk
from infotok_cli.model.engine import Engine
from infotok_cli.video.video_info import Frame
from infotok_cli.view.drawing import Picture, heat_over
from infotok_cli.view.scene import Where, where_tokens_are

ROUNDING_SECONDS = 1e-6
"""Of times that are sums of fractions."""


class Clock:
    """How far playing has come, in seconds of the file. It stands still until it is started."""

    def __init__(self, at: float, *, now: Callable[[], float] = time.monotonic) -> None:
        self._at, self._now = at, now
        self._since: float | None = None

    @property
    def at(self) -> float:
        """Where playing is."""
        return self._at if self._since is None else self._at + self._now() - self._since

    @property
    def is_running(self) -> bool:
        return self._since is not None

    def start(self) -> None:
        """Go on; nothing where it runs already."""
        if self._since is None:
            self._since = self._now()

    def stop(self) -> None:
        """Stand still."""
        self._at, self._since = self.at, None

    def set_back(self, seconds: float) -> None:
        """Take so much time for not gone by."""
        self._at -= seconds


@dataclass
class Pace:
    """Decides which segments are worth decoding: those of which at least half will be in time."""

    reader: ItkReader
    wanted: range
    clock: Clock
    dropped: int = 0
    """Frames that were not decoded."""
    passed: set[int] = field(default_factory=set)
    """Numbers of their segments."""
    took_seconds: float = 0.0
    """What decoding a segment is expected to take."""
    _spent_seconds: float = 0.0
    """Decoding so far of the segment that `late` was asked about last."""
    _is_decoding: bool = False
    """Whether that one is decoded at all."""

    def late(self, number: int) -> bool:
        """Whether to pass over segment `number`; asked before each segment, in order."""
        if self._is_decoding and self._spent_seconds:
            took = self._spent_seconds
            self.took_seconds = (self.took_seconds + took) / 2 if self.took_seconds else took
        self._spent_seconds = 0.0
        start, end = self.reader.time_range_seconds(number)
        if self.clock.is_running and self.clock.at + self.took_seconds > (start + end) / 2:
            first, last = self.reader.index.starts[number : number + 2].tolist()
            self.passed.add(number)
            self.dropped += min(last, self.wanted.stop) - max(first, self.wanted.start)
            self._is_decoding = False
            return True
        self._is_decoding = True
        return False

    def timed(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """The chunks, with a look at how long segments take: the mean of the last one and those before."""
        began = time.monotonic()
        for chunk in chunks:
            self._spent_seconds += time.monotonic() - began
            yield chunk
            began = time.monotonic()

    def is_passed(self, frame: int) -> bool:
        """Whether a good frame stands for this one."""
        return self.reader.index.holding(frame) in self.passed


@dataclass(frozen=True)
class Part:
    """Frames that are being decoded, from some place in the file on."""

    wanted: range
    """Their numbers in the file."""
    chunks: Ahead[Chunk]
    pace: Pace


@dataclass(frozen=True, kw_only=True)
class Film:
    """An .itk file and what of it is to be played."""

    reader: ItkReader
    engine: Engine
    start_seconds: float | None = None
    end_seconds: float | None = None
    skip_bad: bool = False
    """Whether a good frame stands for those of damaged segments, instead of InputError."""
    lost: list[str] = field(default_factory=list)
    """With `skip_bad`: what could not be decoded, a line for each."""

    def __post_init__(self) -> None:
        """Raises ModelError for other weights, UsageError where no frame lies between start and end."""
        check_model(self.engine, self.reader.header, self.reader.name)
        if self.skip_bad:
            show_cut_segment(self.reader, self.engine.loaded.token_net)
        _ = self.wanted

    @cached_property
    def wanted(self) -> range:
        """Numbers of the frames to play."""
        return frame_range(self.reader, self.start_seconds, self.end_seconds)

    @cached_property
    def span(self) -> tuple[float, float]:
        """When these are shown, in seconds of the file."""
        start, end = frame_span(self.reader, self.wanted)
        return float(start), float(end)

    @contextmanager
    def decoding(self, clock: Clock, *, first: int | None = None, audio: bool) -> Iterator[Part]:
        """Decode ahead of `clock`, from the frame `first` on, else from the beginning.

        Raises InputError for a damaged file, when the damage is reached.
        """
        wanted = range(self.wanted.start if first is None else first, self.wanted.stop)
        start = frame_span(self.reader, wanted)[0]
        selection = Selection(
            start_seconds=float(start),
            frames=len(wanted),
            audio=audio,
            skip_bad=self.skip_bad,
        )
        pace = Pace(self.reader, wanted, clock)
        with (
            playing_reader(self.reader, self.engine, selection, self.lost, pace.late) as playback,
            ahead(pace.timed(playback.chunks)) as chunks,
        ):
            yield Part(wanted, chunks, pace)

    def segment_at(self, seconds: float) -> int:
        """The segment that is shown at this time, of those that are played."""
        first, last = self._segments
        number = first
        while number < last and self.reader.time_range_seconds(number)[1] <= seconds + ROUNDING_SECONDS:
            number += 1
        return number

    def segment_of(self, frame: int) -> int:
        """The segment that shows this frame."""
        return self.reader.index.holding(frame)

    def first_frame(self, number: int) -> int:
        """The first frame of a segment that is played."""
        return max(self.wanted.start, int(self.reader.index.starts[number]))

    def moved(self, at: float, by_seconds: float) -> int | None:
        """The first frame of the segment that is so far from `at`, another one than there if forwards.

        None where forwards leads beyond the last one.
        """
        here, there = self.segment_at(at), self.segment_at(max(self.span[0], at + by_seconds))
        if by_seconds > 0 and there == here:
            there += 1
        return None if there > self._segments[1] else self.first_frame(there)

    @property
    def _segments(self) -> tuple[int, int]:
        index = self.reader.index
        return index.holding(self.wanted.start), index.holding(self.wanted.stop - 1)

    @cached_property
    def _where(self) -> Where:
        net = self.engine.loaded.token_net
        return where_tokens_are(self.reader, damaged_segments(self.reader, net) if self.skip_bad else ())

    def heat(self, frame: int, picture: Picture) -> Picture:
        """The picture of frame number `frame`, of any size, under where its tokens went."""
        return heat_over(picture, self._where.shares[self._where.step_of_frame[frame]])

    def heated(self, first: int, frames: Frame) -> Frame:
        """As `heat`, of frames `[T, H, W, 3]` that begin with number `first`."""
        return np.stack([self.heat(first + place, picture) for place, picture in enumerate(frames)])


@dataclass(frozen=True, kw_only=True)
class Played:
    """What came of it."""

    frames: int
    """Frames whose time came."""
    dropped: int
    """Those of them that were not shown, to keep time."""
    player: str
    """Where they were shown."""


def shown_times(part: Part, reader: ItkReader, chunk: Chunk, first: int) -> list[tuple[float, float]]:
    """When each frame of a chunk, whose first one is number `first`, is shown and ends, in seconds."""
    header = reader.header
    frames = 0 if chunk.frames is None else len(chunk.frames)
    if chunk.ticks is None:
        edges = [float((first + place) / header.frame_rate) for place in range(frames + 1)]
        return list(pairwise(edges))
    origin = float(frame_span(reader, part.wanted)[0])
    starts = [origin + float(tick * header.time_base) for tick in chunk.ticks]
    end = float(frame_span(reader, range(first, first + frames))[1])
    return list(pairwise([*starts, end]))
