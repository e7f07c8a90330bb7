"""How far an encode or a decode has come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from infotok_cli.allocation.planner import NOTHING, Written
from infotok_cli.codec.forecast import Forecast


class Progress(Protocol):
    """Is told how an encode or a decode gets on."""

    def started(self, total: int | None) -> None:
        """`total` frames are to be done, as far as the input tells; None where it does not."""

    def done(self, frames: int, tokens: int | None = None) -> None:
        """Frames done so far, and tokens written where there are any to count."""


Seconds = Callable[[], float | None]
"""Finds out how long an encode will take, which takes a few seconds itself; None where nothing tells."""


class EncodeProgress(Progress, Protocol):
    """Is also told what an encode will take."""

    def expects(self, forecast: Forecast, seconds: Seconds) -> None:
        """Comes first, before anything is done."""


class Silence:
    """Progress that nobody wants to know."""

    def expects(self, forecast: Forecast, seconds: Seconds) -> None: ...
    def started(self, total: int | None) -> None: ...
    def done(self, frames: int, tokens: int | None = None) -> None: ...


class Tally:
    """Counts what an encode has done; of n passes and the writing each is one part in n + 1 of a frame."""

    def __init__(self, progress: EncodeProgress) -> None:
        self.passes = 1
        """Passes over the video that are needed, as far as is known."""
        self.written = NOTHING
        """What all segments written so far took."""
        self._routed_frames = self._written_frames = self._done = 0
        self._progress = progress

    def started(self, forecast: Forecast, total: int | None, seconds: Seconds) -> None:
        """What the encode will take, and the frames there are to encode, as far as is known."""
        self._progress.expects(forecast, seconds)
        self._progress.started(total)

    def routed(self, frames: int) -> None:
        """Count frames whose error maps are there, in any pass."""
        self._routed_frames += frames
        self._tell()

    def wrote(self, frames: int, segment: Written) -> None:
        """Count a segment that was written."""
        self._written_frames += frames
        self.written += segment
        self._tell()

    def _tell(self) -> None:
        done = (self._routed_frames + self._written_frames) // (self.passes + 1)
        # A second pass is only known to be needed when the first group is full.
        self._done = max(self._done, done)
        self._progress.done(self._done, self.written.tokens)
