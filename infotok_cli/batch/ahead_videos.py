"""Videos opened, and their first frames decoded, by threads while the ones before them are encoded."""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from infotok_cli.batch.items import Item
from infotok_cli.batch.remote import fetch, is_url
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.errors import InfotokError
from infotok_cli.sound import AudioPacket, AudioTrack
from infotok_cli.tags import Tags
from infotok_cli.video.reader import VideoReader, open_video
from infotok_cli.video.timed_frames import TimedFrame
from infotok_cli.video.video_info import VideoInfo

VIDEOS_AHEAD = 2
FRAMES_AHEAD = 64
BYTES_AHEAD = 64 << 20
"""Of the frames of one video that wait."""


class BegunVideo:
    """A `VideoReader` whose first frames are decoded already."""

    def __init__(self, video: VideoReader, options: EncodeOptions) -> None:
        """Raises what decoding the frames raises."""
        self._video = video
        self.held = ExitStack()
        """What is let go with it."""
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

    @property
    def info(self) -> VideoInfo:
        return self._video.info

    @property
    def is_constant(self) -> bool:
        return self._video.is_constant

    @property
    def sound(self) -> AudioTrack | None:
        return self._video.sound

    @property
    def origin_seconds(self) -> Fraction:
        return self._video.origin_seconds

    @property
    def tags(self) -> Tags:
        return self._video.tags

    @property
    def warnings(self) -> tuple[InfotokError, ...]:
        return self._video.warnings

    def timed_frames(
        self,
        start_seconds: float | None = None,
        end_seconds: float | None = None,
        short_side: int | None = None,
    ) -> Iterator[TimedFrame]:
        """As those of the video; the first run of what was begun goes on from there."""
        begun = self._begun
        if begun is None or self._wanted != (start_seconds, end_seconds, short_side):
            return self._video.timed_frames(start_seconds, end_seconds, short_side)
        self._begun = None
        return chain(_emptied(begun[0]), begun[1])

    def sound_packets(self) -> AbstractContextManager[Iterator[AudioPacket | None]]:
        return self._video.sound_packets()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.held.close()


def _emptied(frames: list[TimedFrame]) -> Iterator[TimedFrame]:
    """Frames in order, none of them held any longer than it takes."""
    frames.reverse()
    while frames:
        yield frames.pop()


@dataclass(frozen=True)
class BegunInput:
    """A video that is open already, as the input of one encode."""

    name: str
    video: BegunVideo
    bytes: int
    is_stream: ClassVar[bool] = False

    def size_bytes(self) -> int:
        """Bytes of the file."""
        return self.bytes

    def open_video(self, *, audio: bool) -> BegunVideo:
        """The video; `audio` was said when it was begun."""
        return self.video

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Keep the video open until the end of the block, whoever leaves it before."""
        with self.video.held.pop_all():
            yield


def begin(item: Item, options: EncodeOptions) -> BegunInput:
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
        return BegunInput(item.source, begun, size)


Begun = Callable[[], BegunInput]
"""Gives the video, or raises what beginning it raised."""


@contextmanager
def begun_ahead(
    items: Iterable[Item], options: EncodeOptions, *, ahead: int = VIDEOS_AHEAD
) -> Iterator[Iterator[tuple[Item, Begun]]]:
    """Items in order, each with its video, which the receiver closes; others are closed on leaving.

    `ahead` of them are begun before they are asked for.
    """
    rest = iter(items)
    waiting: deque[tuple[Item, Future[BegunInput]]] = deque()
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
                    future.result().video.__exit__(None, None, None)
