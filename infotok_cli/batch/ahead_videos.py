"""Videos opened, and their first frames decoded, by threads while the ones before them are encoded."""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path

from infotok_cli.batch.items import Item
from infotok_cli.batch.remote import fetch, is_url
from infotok_cli.batch.wrapped_video import WrappedInput, WrappedVideo
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.video.reader import VideoReader, open_video
from infotok_cli.video.timed_frames import TimedFrame

VIDEOS_AHEAD = 2
FRAMES_AHEAD = 64
BYTES_AHEAD = 64 << 20
"""Of the frames of one video that wait."""


class BegunVideo(WrappedVideo):
    """A `VideoReader` whose first frames are decoded already."""

    def __init__(self, video: VideoReader, options: EncodeOptions) -> None:
        """Raises what decoding the frames raises."""
        super().__init__(video)
        self._wanted = (options.start_seconds, options.end_seconds, options.short_side)
        frames = iter(video.timed_frames(*self._wanted))
        waiting: list[TimedFrame] = []
        size = 0
        while len(waiting) < FRAMES_AHEAD and size < BYTES_AHEAD:
            frame = next(frames, None)
            if frame is None:
                break
            waiting.append(frame)
            size += frame.pixels.nbytes
        self._begun: tuple[list[TimedFrame], Iterator[TimedFrame]] | None = (waiting, frames)

    def timed_frames(
        self,
        start_seconds: float | None = None,
        end_seconds: float | None = None,
        short_side: int | None = None,
    ) -> Iterator[TimedFrame]:
        """As those of the video; the first run of what was begun goes on from there."""
        begun = self._begun
        if begun is None or self._wanted != (start_seconds, end_seconds, short_side):
            return super().timed_frames(start_seconds, end_seconds, short_side)
        self._begun = None
        return chain(_emptied(begun[0]), begun[1])


def _emptied(frames: list[TimedFrame]) -> Iterator[TimedFrame]:
    """Frames in order, none of them held any longer than it takes."""
    frames.reverse()
    while frames:
        yield frames.pop()


def begin(item: Item, options: EncodeOptions) -> WrappedInput:
    """Open a video and decode its first frames; one given by URL is copied to a temporary file.

    Raises InputError, UsageError, and OSError where there is no room for the copy.
    """
    with ExitStack() as held:
        path = Path(item.source)
        if is_url(item.source):
            folder = held.enter_context(tempfile.TemporaryDirectory(prefix="infotok-"))
            path = Path(folder) / "video"
            fetch(item.source, path)
        video = held.enter_context(open_video(path, survey=True, audio=options.audio))
        begun = BegunVideo(video, options)
        size = os.stat(path).st_size
        begun.held = held.pop_all()
        return WrappedInput(item.source, begun, size)


Begun = Callable[[], WrappedInput]
"""Gives the video, or raises what beginning it raised."""


@contextmanager
def begun_ahead(
    items: Iterable[Item], options: EncodeOptions, *, ahead: int = VIDEOS_AHEAD
) -> Iterator[Iterator[tuple[Item, Begun]]]:
    """Items in order, each with its video, which the receiver closes; others are closed on leaving.

    `ahead` of them are begun before they are asked for.
    """
    rest = iter(items)
    waiting: deque[tuple[Item, Future[WrappedInput]]] = deque()
    with ThreadPoolExecutor(ahead, thread_name_prefix="videos") as threads:

        def begin_next() -> None:
            item = next(rest, None)
            if item is not None:
                waiting.append((item, threads.submit(begin, item, options)))

        def taken() -> Iterator[tuple[Item, Begun]]:
            while waiting:
                item, future = waiting.popleft()
                begin_next()
                yield item, future.result

        try:
            for _ in range(ahead):
                begin_next()
            yield taken()
        finally:
            for _, future in waiting:
                future.cancel()
            for _, future in waiting:
                if not future.cancelled() and future.exception() is None:
                    future.result().video.held.close()
