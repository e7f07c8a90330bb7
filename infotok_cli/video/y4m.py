"""Uncompressed video to a stream, as YUV4MPEG2: what other programs read from a pipe without asking."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from types import TracebackType
from typing import BinaryIO, ClassVar, Self

import numpy as np

from infotok_cli.colour import RANGE_FULL, Colour
from infotok_cli.errors import InfotokError
from infotok_cli.files import write_all
from infotok_cli.sound import AudioPacket
from infotok_cli.video.constant import check_constant
from infotok_cli.video.encoders import writable_colour
from infotok_cli.video.ffmpeg_pipes import unwritable
from infotok_cli.video.pixels import YuvConverter
from infotok_cli.video.video_info import Frame


class Y4mWriter:
    """Writes a header line and then every frame: 4:2:0 for even sizes, 4:4:4 for odd ones.

    The format has neither sound nor frame times, and of the colour tags the range only.
    """

    warnings: ClassVar[tuple[InfotokError, ...]] = ()

    def __init__(
        self,
        sink: BinaryIO,
        width: int,
        height: int,
        frame_rate: Fraction,
        *,
        colour: Colour,
        sample_aspect: Fraction = Fraction(1),
        tick: Fraction | None = None,
        shown_as: str = "standard output",
    ) -> None:
        """`shown_as`: what messages call the sink.

        tick: seconds per unit of the times that `write` gets, which must be those of the frame rate.
        """
        odd = bool(width % 2 or height % 2)
        pixel_format = "yuv444p" if odd else "yuv420p"
        written = writable_colour(colour, height, pixel_format)
        self._converter = YuvConverter(pixel_format, written)
        self._sink, self._name = sink, shown_as
        self._shape = (height, width, 3)
        self._rate, self._tick, self._count = frame_rate, tick, 0
        limits = "FULL" if written.range == RANGE_FULL else "LIMITED"
        rate, aspect = (f"{value.numerator}:{value.denominator}" for value in (frame_rate, sample_aspect))
        chroma = "444" if odd else "420mpeg2"
        self._put(
            f"YUV4MPEG2 W{width} H{height} F{rate} Ip A{aspect} C{chroma} XCOLORRANGE={limits}\n".encode()
        )

    def write(self, frames: Frame, ticks: Sequence[int] | None = None) -> None:
        """Append frames `[T, H, W, 3]`, RGB 0..255; raises OutputError if the stream refuses them."""
        for place, picture in enumerate(frames):
            if ticks is not None:
                assert self._tick is not None
                seconds = ticks[place] * self._tick
                check_constant(self._count, seconds, self._rate, self._tick, kind="Y4M", name=self._name)
            self._count += 1
            if picture.shape != self._shape or picture.dtype != np.uint8:
                raise ValueError(f"frame is {picture.dtype} {picture.shape}, not uint8 {self._shape}")
            self._put(b"FRAME\n" + self._converter(picture).to_ndarray().tobytes())
        self._flush()

    def write_audio(self, packets: Sequence[AudioPacket]) -> None:
        """There is no place for sound."""

    def close(self) -> None:
        """Hand over what is still held back; the stream stays open."""
        self._flush()

    def _put(self, data: bytes) -> None:
        try:
            write_all(self._sink, data)
        except OSError as error:
            raise unwritable(self._name, error) from error

    def _flush(self) -> None:
        try:
            self._sink.flush()
        except OSError as error:
            raise unwritable(self._name, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
