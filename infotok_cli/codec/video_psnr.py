"""How far one video is from another."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from infotok_cli.metrics import mean_squared_error, psnr_of_error
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
    return psnr_of_error(float(np.mean(errors)))
