"""Reading a video for an encode, once or twice, as groups of segments with the sound heard meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from infotok_cli.allocation.planner import Measure, Planner
from infotok_cli.codec.batches import even_size
from infotok_cli.codec.groups import Pending, group_view, read_groups
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.container.header import Header
from infotok_cli.model.engine import Engine
from infotok_cli.sound import AudioPacket, AudioTrack
from infotok_cli.video.audio import AudioFeed
from infotok_cli.video.reader import TimedFrame, VideoReader, open_video
from infotok_cli.video.segments import TimedSegment, timed_segments


class Passes:
    """Reads the video once or twice."""

    def __init__(
        self,
        source: Path | BinaryIO,
        video: VideoReader,
        *,
        engine: Engine,
        options: EncodeOptions,
        header: Header,
        size: int,
        analyzed: Callable[[int], None],
    ) -> None:
        """`size`: segments in a group; `analyzed` is told of frames, in every pass."""
        self.source, self.video, self.engine, self.options = source, video, engine, options
        self.header, self.size, self.analyzed = header, size, analyzed
        self.batch = even_size(size, engine.batch(header.positions()))
        """Segments that go through the network at once, so that groups are cut evenly."""
        self.count = 1
        """Passes that are needed, as far as is known."""

    def groups(
        self, planner: Planner, measure_of: Callable[[list[Pending]], Measure]
    ) -> Generator[list[Pending], None, None]:
        """Groups to be written, after a pass over all of them if `planner` asks for one.

        `measure_of` gives what measures a group that is surveyed for a pass to come. A video shorter than a
        group is read once: the planner has seen it whole.
        """
        with closing(self._read(self.video)) as groups:
            if not planner.surveys:
                yield from groups
                return
            first = next(groups, [])
            if len(first) < self.size:
                planner.survey(group_view(first, self.header), None)
                yield first
                return
            self.count = 2
            for group in chain([first], groups):
                planner.survey(group_view(group, self.header), measure_of(group))
                group.clear()
        assert isinstance(self.source, Path)
        with open_video(self.source) as again, closing(self._read(again)) as groups:
            yield from groups

    def _read(self, video: VideoReader) -> Generator[list[Pending], None, None]:
        options, header = self.options, self.header
        frames = iter(video.timed_frames(options.start_seconds, options.end_seconds, options.short_side))
        tick = header.time_base if header.has_times else None
        first = next(frames)
        segments = timed_segments(chain([first], frames), header.segment_frames, header.frame_rate, tick)
        with self._sound(video, first) as sound:
            groups = read_groups(
                segments,
                self.size,
                self.engine,
                options,
                batch=self.batch,
                sound=sound,
                analyzed=self.analyzed,
            )
            with closing(groups):
                yield from groups

    @contextmanager
    def _sound(
        self, video: VideoReader, first: TimedFrame
    ) -> Iterator[Callable[[TimedSegment], Sequence[AudioPacket]]]:
        """What gives the packets that are heard while a segment is shown, the first frame being `first`.

        What lies before the first frame of the video goes with it, unless a start was asked for; what lies
        behind its last frame goes with that, unless an end was.
        """
        if self.header.audio is None:
            yield lambda segment: ()
            return
        with video.audio() as source:
            assert source is not None
            feed = AudioFeed(
                video.audio_packets(source), source.time_base, video.origin_seconds + first.seconds
            )
            if self.options.start_seconds:
                feed.skip_until(Fraction(0))

            def packets(segment: TimedSegment) -> Sequence[AudioPacket]:
                end = segment.end_seconds
                if end is None and self.options.end_seconds is not None:
                    end = max(
                        segment.start_seconds + 1 / self.header.frame_rate,
                        Fraction(self.options.end_seconds) - first.seconds,
                    )
                return feed.segment(segment.start_seconds, end)

            yield packets


def audio_track(video: VideoReader) -> AudioTrack | None:
    """What is to be known of the sound; None when there is not a single packet of it."""
    with video.audio() as sound:
        if sound is None:
            return None
        if sound.track is None:
            next(video.audio_packets(sound), None)
        return sound.track
