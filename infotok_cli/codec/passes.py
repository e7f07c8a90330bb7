"""Reading a video for an encode, once or twice, as groups of segments with the sound heard meanwhile."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, nullcontext
from fractions import Fraction
from itertools import chain

from infotok_cli.allocation.planner import Planner
from infotok_cli.codec.group_coder import GroupCoder
from infotok_cli.codec.groups import HeardSegment, group_size, read_groups
from infotok_cli.codec.job import EncodeJob
from infotok_cli.codec.progress import Tally
from infotok_cli.sound import AudioPacket
from infotok_cli.video.audio import AudioFeed
from infotok_cli.video.first_frames import FirstFrames
from infotok_cli.video.segments import TimedSegment, timed_segments


def groups_to_write(job: EncodeJob, planner: Planner, tally: Tally) -> Generator[GroupCoder]:
    """All groups in order, after a pass over them if `planner` asks for one.

    A video shorter than a group is read once: the planner has seen it whole.
    """
    with closing(_read(job, tally)) as groups:
        if not planner.surveys:
            yield from groups
            return
        first = next(groups)
        if len(first.group) < group_size(job):
            planner.survey(first.view(), None)
            yield first
            return
        tally.passes = 2
        for group in chain([first], groups):
            planner.survey(group.view(), group.measure)
            group.clear()
    with closing(_read(job, tally)) as groups:
        yield from groups


def _read(job: EncodeJob, tally: Tally) -> Generator[GroupCoder]:
    """One pass."""
    header, options, video = job.header, job.options, job.video
    frames = FirstFrames(
        video.timed_frames(options.start_seconds, options.end_seconds, options.short_side), options.frames
    )
    first = next(frames)
    tick = header.time_base if header.has_times else None
    segments = timed_segments(chain([first], frames), header.segment_frames, header.frame_rate, tick)
    sound = nullcontext(iter(())) if header.audio is None else video.sound_packets()
    with sound as packets:
        heard = _heard(job, segments, packets, first.seconds, frames)
        with closing(read_groups(job, heard, tally)) as groups:
            for group in groups:
                yield GroupCoder(job, group)


def _heard(
    job: EncodeJob,
    segments: Iterable[TimedSegment],
    packets: Iterator[AudioPacket | None],
    first_seconds: Fraction,
    frames: FirstFrames,
) -> Iterator[HeardSegment]:
    """Segments with the packets heard while they are shown; their first frame is shown at `first_seconds`.

    What lies before the first frame of the video goes with it, unless a start was asked for; what lies
    behind its last frame goes with that, unless an end was.
    frames: where `segments` come from.
    """
    track, options = job.header.audio, job.options
    if track is None:
        yield from (HeardSegment(segment, ()) for segment in segments)
        return
    feed = AudioFeed(packets, track.time_base, job.video.origin_seconds + first_seconds)
    if options.start_seconds:
        feed.skip_until(Fraction(0))
    for segment in segments:
        end = segment.end_seconds
        if end is None and frames.next_seconds is not None:
            end = frames.next_seconds - first_seconds
        elif end is None and options.end_seconds is not None:
            least = segment.start_seconds + 1 / job.header.frame_rate
            end = max(least, Fraction(options.end_seconds) - first_seconds)
        yield HeardSegment(segment, feed.segment(segment.start_seconds, end))
