"""Interlaced pictures into progressive ones, with FFmpeg's bwdif filter: a frame for a frame."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
from av.video.frame import VideoFrame


def deinterlaced(frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    """The same frames with the same times; from the first interlaced one on, those are de-interlaced.

    Only frames that are marked as interlaced are changed. Until there is one, nothing is held back.
    """
    for frame in frames:
        if frame.interlaced_frame:
            yield from _filtered(frame, frames)
            return
        yield frame


def _filtered(first: VideoFrame, rest: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    # Times go by number, because the filter counts in halves of its time base.
    times: list[tuple[int | None, int]] = []
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=first.width, height=first.height, format=first.format, time_base=Fraction(1)
    )
    bwdif = graph.add("bwdif", "mode=send_frame:deint=interlaced")
    source.link_to(bwdif)
    bwdif.link_to(graph.add("buffersink"))
    graph.configure()

    def ready() -> Iterator[VideoFrame]:
        while True:
            try:
                frame = graph.vpull()
            except (av.BlockingIOError, av.EOFError):
                return
            frame.pts, frame.duration = times.pop(0)
            yield frame

    frame: VideoFrame | None = first
    number = 0
    while frame is not None:
        times.append((frame.pts, frame.duration))
        frame.pts, frame.time_base = number, Fraction(1)
        number += 1
        graph.vpush(frame)
        yield from ready()
        frame = next(rest, None)
    graph.vpush(None)
    yield from ready()
