"""A video that is open already, as the input of an encode, and one that behaves a little unlike itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import ClassVar, Self

from infotok_cli.errors import InfotokError
from infotok_cli.sound import AudioPacket, AudioTrack
from infotok_cli.tags import Tags
from infotok_cli.video.reader import VideoReader
from infotok_cli.video.timed_frames import TimedFrame
from infotok_cli.video.video_info import VideoInfo


class WrappedVideo:
    """A `VideoReader` that hands on another one; subclasses say what is different."""

    def __init__(self, video: VideoReader) -> None:
        self._video = video
        self.held = ExitStack()
        """What is let go with it."""

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
        return self._video.timed_frames(start_seconds, end_seconds, short_side)

    def sound_packets(self) -> AbstractContextManager[Iterator[AudioPacket | None]]:
        return self._video.sound_packets()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.held.close()


@dataclass(frozen=True)
class WrappedInput:
    """A video that is open already, as the input of one encode."""

    name: str
    video: WrappedVideo
    bytes: int | None = None
    is_stream: ClassVar[bool] = False

    def size_bytes(self) -> int | None:
        """Bytes of the file; None for a part of one."""
        return self.bytes

    def open_video(self, *, audio: bool) -> WrappedVideo:
        """The video; whether with sound was decided when it was opened."""
        return self.video

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Keep the video open until the end of the block, whoever leaves it before."""
        with self.video.held.pop_all():
            yield
