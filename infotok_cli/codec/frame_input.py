"""Frames from a program as the input of an encode: a whole array, or an iterable of frames or of runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from infotok_cli.errors import InputError, UsageError
from infotok_cli.model.arrays import Pictures, is_array, to_numpy
from infotok_cli.video.frames import FramesReader
from infotok_cli.video.video_info import (
    HIGHEST_RATE,
    LOWEST_RATE,
    MOST_RATE_PARTS,
    Frame,
    is_usable_rate,
)

FrameSource = Pictures | Iterable[Pictures]
"""uint8, RGB: an array or tensor `[T, H, W, 3]`, or an iterable of frames `[H, W, 3]` or of such arrays."""

RUN_FRAMES = 64
"""Frames of a whole tensor that are fetched at once from the device it lies on."""


@dataclass(frozen=True)
class FramesInput:
    """Frames to read; an iterator can be read once only."""

    frames: FrameSource
    frame_rate: Fraction
    is_stream: ClassVar[bool] = False
    name: ClassVar[str] = "frames"

    def size_bytes(self) -> None:
        """There is no file to have a size."""
        return

    @property
    def reads_once(self) -> bool:
        """Whether there is no second pass over them."""
        return isinstance(self.frames, Iterator)

    def open_video(self, *, audio: bool) -> FramesReader:
        """Read them as a video; raises InputError where there is none, or the first is no frame."""
        start: Callable[[], Iterator[Frame]]
        frames, total = self.frames, None
        if is_array(frames):
            total = _check_whole(frames)
        if isinstance(frames, Iterator):
            first, rest = _first(single_frames(frames))

            def start() -> Iterator[Frame]:
                return chain([first], rest)
        else:
            first, _ = _first(single_frames(frames))

            def start() -> Iterator[Frame]:
                return single_frames(frames)

        return FramesReader(start, first, self.frame_rate, total)


def frame_rate_of(fps: float | Fraction) -> Fraction:
    """Frames per second as the file says them; UsageError for what none can have."""
    if not isinstance(fps, (int, float, Fraction)):
        raise TypeError(f"fps must be a number of frames per second, not {type(fps).__name__}")
    usable = math.isfinite(fps)
    rate = Fraction(fps).limit_denominator(MOST_RATE_PARTS) if usable else Fraction(0)
    if not usable or not is_usable_rate(rate):
        raise UsageError(
            f"`fps` {float(fps):g} is out of range",
            way_out=f"choose 1/{1 / LOWEST_RATE} to {HIGHEST_RATE} frames per second",
        )
    return rate


def single_frames(frames: FrameSource) -> Iterator[Frame]:
    """Frames `[H, W, 3]` one by one, checked; those of an iterable are copied, as it may reuse its memory.

    Raises InputError for what is no frame, or one of another size, and TypeError for what holds no frames.
    """
    shape: tuple[int, ...] | None = None
    number = 0
    for run in _runs(frames):
        for frame in run:
            if shape is not None and frame.shape != shape:
                raise InputError(
                    f"`video`: frame {number} is {frame.shape[1]}x{frame.shape[0]} pixels after "
                    f"{shape[1]}x{shape[0]}",
                    way_out="give frames of one size",
                )
            shape = frame.shape
            number += 1
            yield frame


def _runs(frames: FrameSource) -> Iterator[Frame]:
    """Arrays `[T, H, W, 3]`."""
    if is_array(frames):
        for at in range(0, len(frames), RUN_FRAMES):  # type: ignore[arg-type]
            yield np.ascontiguousarray(to_numpy(frames[at : at + RUN_FRAMES]))  # type: ignore[index]
        return
    if not isinstance(frames, Iterable) or isinstance(frames, (str, bytes)):
        raise _no_frames(frames)
    for run in frames:
        if not is_array(run):
            raise _no_frames(run)
        array = _checked(to_numpy(run)).copy(order="C")
        yield array if array.ndim == 4 else array[np.newaxis]


def _no_frames(given: object) -> TypeError:
    return TypeError(
        "video must be a uint8 numpy array or torch tensor [T, H, W, 3], or an iterable of such arrays or "
        f"of frames [H, W, 3], not {type(given).__name__}"
    )


def _check_whole(frames: Any) -> int:
    """The frames of a whole array or tensor; InputError unless it is one of frames."""
    _checked(to_numpy(frames[:1] if frames.ndim else frames))
    if frames.ndim != 4:
        raise InputError(
            f"`video` is one frame {list(frames.shape)}", way_out="give [T, H, W, 3], as frames[None] is"
        )
    return len(frames)


def _checked(array: NDArray[Any]) -> Frame:
    """The array itself; InputError unless it is uint8, `[H, W, 3]` or `[T, H, W, 3]`."""
    shape = list(array.shape)
    if array.dtype == np.uint8 and array.ndim in (3, 4) and shape[-1] == 3 and all(shape[-3:]):
        return array
    if array.dtype != np.uint8:
        way_out = "give uint8, 0 to 255"
    elif array.ndim in (3, 4) and 3 in shape[-3:-1]:
        way_out = "put the channels last: [T, H, W, 3]"
    else:
        way_out = "give uint8 [T, H, W, 3], RGB"
    raise InputError(f"`video` holds {array.dtype} {shape}", way_out=way_out)


def _first(frames: Iterator[Frame]) -> tuple[Frame, Iterator[Frame]]:
    """The first frame, and those that follow it; InputError where there is none."""
    for frame in frames:
        return frame, frames
    raise InputError("`video` is empty", way_out="give at least one frame")
