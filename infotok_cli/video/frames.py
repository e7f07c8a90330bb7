"""Frames that a program holds or makes, read as a video file of constant frame rate is."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, nullcontext
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

from av.video.frame import VideoFrame

from infotok_cli.colour import RANGE_FULL, Colour
from infotok_cli.errors import InfotokError, UsageError
from infotok_cli.sound import AudioPacket
from infotok_cli.tags import NO_TAGS
from infotok_cli.video.pixels import RgbConverter
from infotok_cli.video.timed_frames import LONGEST_TOLERANCE_SECONDS, TimedFrame
from infotok_cli.video.video_info import Frame, VideoInfo, scaled_size

RGB = Colour(matrix=0, range=RANGE_FULL)


class FramesReader:
    """As a file reader; without sound, and as often readable as `frames` can be called."""

    is_constant = True
    sound = None
    origin_seconds = Fraction(0)
    tags = NO_TAGS
    warnings: tuple[InfotokError, ...] = ()

    def __init__(
        self, frames: Callable[[], Iterator[Frame]], first: Frame, frame_rate: Fraction, total: int | None
    ) -> None:
        """frames: begins a run of all frames `[H, W, 3]`, RGB 0..255. first: one like them.

        total: how many there are; None where nobody knows.
        """
        self._frames = frames
        height, width, _ = first.shape
        self.info = VideoInfo(
            path=Path("frames"),
            width=width,
            height=height,
            frame_rate=frame_rate,
            time_base=1 / frame_rate,
            sample_aspect=Fraction(1),
            colour=RGB,
            codec="rawvideo",
            duration_seconds_from_container=None,
            frames_from_container=total,
            is_still_image=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def timed_frames(
        self,
        start_seconds: float | None = None,
        end_seconds: float | None = None,
        short_side: int | None = None,
    ) -> Generator[TimedFrame]:
        """Frames with start <= time < end; times are compared and sizes made as for a video file.

        Raises UsageError when no frame lies between start and end.
        """
        info = self.info
        tolerance = min(info.time_base / 2, LONGEST_TOLERANCE_SECONDS)
        start = Fraction(start_seconds or 0) - tolerance
        end = None if end_seconds is None else Fraction(end_seconds) - tolerance
        size = scaled_size(info.width, info.height, short_side)
        converter = None if size == (info.width, info.height) else RgbConverter(*size)
        number = -1
        found = False
        for number, pixels in enumerate(self._frames()):
            seconds = number / info.frame_rate
            if end is not None and seconds >= end:
                break
            if seconds >= start:
                found = True
                yield TimedFrame(seconds, pixels if converter is None else _scaled(pixels, converter))
        if not found:
            to = "the end" if end_seconds is None else f"{end_seconds:g} s"
            raise UsageError(
                f"no frame is shown from {start_seconds or 0:g} s to {to}",
                way_out=f"choose times within their {float((number + 1) * info.time_base):g} s",
                where=str(info.path),
            )

    def sound_packets(self) -> AbstractContextManager[Iterator[AudioPacket | None]]:
        """There is no sound."""
        return nullcontext(iter(()))


def _scaled(pixels: Frame, converter: RgbConverter) -> Frame:
    return converter(VideoFrame.from_ndarray(pixels, format="rgb24"))
