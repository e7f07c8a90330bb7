"""The first frames of a video, where it goes on after them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Self

from infotok_cli.video.timed_frames import TimedFrame


class FirstFrames(Iterator[TimedFrame]):
    """The first of some frames, each held back until the next is known."""

    def __init__(self, frames: Iterable[TimedFrame], count: int | None) -> None:
        """count: how many, 1 or more; None for all."""
        self._frames = iter(frames)
        self._left = count
        self.next_seconds: Fraction | None = None
        """When the first frame that is left out is shown, once the last one before it is given; else None."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> TimedFrame:
        if self._left is None:
            return next(self._frames)
        if not self._left:
            raise StopIteration
        frame = next(self._frames)
        self._left -= 1
        following = None if self._left else next(self._frames, None)
        if following is None:
            return frame
        self.next_seconds = following.seconds
        return replace(frame, shown_seconds=following.seconds - frame.seconds)
