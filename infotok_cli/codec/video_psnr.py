"""How far one video is from another."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from infotok_cli.metrics import PEAK, mean_squared_error
from infotok_cli.video.reader import open_video


def pooled_psnr_db(one: Path, other: Path) -> float:
    """PSNR over all frames of two videos of one size and length, dB; infinite where they are equal.

    ValueError where one has more frames. Raises InputError as the reader does.
    """
    with open_video(one) as first, open_video(other) as second:
        errors = [
            mean_squared_error(a[None], b[None])[0]
            for a, b in zip(first.frames(), second.frames(), strict=True)
        ]
    error = float(np.mean(errors))
    return float(10 * np.log10(PEAK**2 / error)) if error else float("inf")
