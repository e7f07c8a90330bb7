"""What the cuts between segments cost: quality by place in a segment, and flicker across cuts.

Segments are coded on their own, so the error may jump where one ends and the next begins. Flicker is
that jump, whatever the picture itself does: the root mean square, over RGB samples 0..255, of
(decoded - source) of one frame less (decoded - source) of the frame before. Between two frames of one
segment it is measured too, apart for frames of one latent step and of two, so that a cut has something
to be compared with.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infotok_cli.config import PATCH

STEP_FRAMES = PATCH[0]


@dataclass(frozen=True, kw_only=True)
class SeamReport:
    """Figures of one clip; None where it has no frame, or pair of frames, to tell.

    Starts, ends and rest are those of whole segments of at least three latent steps. A codec without
    segments is measured at the same places, which shows what the places alone make of it.
    """

    start_db: float | None
    """Mean PSNR of frames in the first latent step (4 frames) of a segment."""
    end_db: float | None
    """Mean PSNR of frames in the last latent step."""
    rest_db: float | None
    """Mean PSNR of frames in the steps between."""
    seam_flicker: float | None
    """Flicker from the last frame of a segment to the first of the next, 0..510."""
    step_flicker: float | None
    """Flicker from one latent step to the next inside a segment."""
    inside_flicker: float | None
    """Flicker from frame to frame inside a latent step."""
    seams: int
    psnr_by_place: list[float]
    """Mean PSNR of the first, second, ... frame of a segment; empty without a whole segment."""


class SeamMeter:
    """Gathers a `SeamReport` from a clip's segments, given in order."""

    def __init__(self, segment_frames: int) -> None:
        self._length = segment_frames
        self._profiles: list[NDArray[np.float64]] = []
        self._last: NDArray[np.int16] | None = None
        self._jumps: dict[str, list[float]] = {"seam": [], "step": [], "inside": []}

    def add(
        self, source: NDArray[np.uint8], decoded: NDArray[np.uint8], psnr_db: NDArray[np.float64]
    ) -> None:
        """Take in one segment `[T, H, W, 3]`, RGB 0..255, and the finite PSNR of its frames `[T]`."""
        if len(source) == self._length:
            self._profiles.append(psnr_db)
        for place, (one, other) in enumerate(zip(source, decoded, strict=True)):
            error = other.astype(np.int16) - one
            if self._last is not None:
                kind = "seam" if place == 0 else "step" if place % STEP_FRAMES == 0 else "inside"
                jump = (error - self._last).astype(np.float32)
                self._jumps[kind].append(float(np.sqrt(np.mean(jump * jump, dtype=np.float64))))
            self._last = error

    def report(self) -> SeamReport:
        """What the segments so far add up to."""
        profile = np.mean(self._profiles, axis=0) if self._profiles else np.empty(0)
        long_enough = len(profile) >= 3 * STEP_FRAMES
        return SeamReport(
            start_db=float(profile[:STEP_FRAMES].mean()) if long_enough else None,
            end_db=float(profile[-STEP_FRAMES:].mean()) if long_enough else None,
            rest_db=float(profile[STEP_FRAMES:-STEP_FRAMES].mean()) if long_enough else None,
            seam_flicker=_mean(self._jumps["seam"]),
            step_flicker=_mean(self._jumps["step"]),
            inside_flicker=_mean(self._jumps["inside"]),
            seams=len(self._jumps["seam"]),
            psnr_by_place=[round(float(value), 3) for value in profile],
        )


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None
