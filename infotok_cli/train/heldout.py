"""Quick measure of a model in training: PSNR of held-out crops at several rates, without files."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from infotok_cli.blocks import LEAD_FRAMES
from infotok_cli.metrics import psnr_of_error
from infotok_cli.model.engine import Runtime
from infotok_cli.model.grid import with_lead
from infotok_cli.model.motion import estimate_motion
from infotok_cli.model.pixels import to_pixels
from infotok_cli.model.tokenizer import Tokenizer
from infotok_cli.train.frame_cache import CropShape, centre_crop
from infotok_cli.train.masking import keep_at_rate

HELD_RATES = (1.0, 0.75, 0.5, 0.25)

LEAST_ERROR = 1e-3
"""Mean squared error that a frame counts with at least: 78 dB."""


class HeldOut:
    """Centre crops of held-out tiles."""

    def __init__(self, tiles: list[NDArray[np.uint8]], shape: CropShape, runtime: Runtime) -> None:
        self.crops = torch.from_numpy(np.stack([centre_crop(tile, shape) for tile in tiles]))
        self.runtime = runtime

    @torch.no_grad()
    def psnr(self, model: Tokenizer) -> dict[float, float]:
        """Mean over frames of PSNR in dB by token rate; blocks chosen by the head, or prefixes."""
        sums: dict[float, list[float]] = {rate: [] for rate in HELD_RATES}
        for part in torch.split(self.crops, 8):
            pixels = part.to(self.runtime.device)
            video = with_lead(pixels)
            with self.runtime.autocast():
                motion = estimate_motion(video)
                log_error = model.predict(video, motion)
                for rate in HELD_RATES:
                    keep = keep_at_rate(log_error, rate, model.config.masking)
                    shown = to_pixels(model.encode(video, keep, motion)[1])[:, LEAD_FRAMES:][
                        :, : pixels.shape[1]
                    ]
                    error = (
                        (shown.float() - pixels.float()).square().mean(dim=(2, 3, 4)).clamp_min(LEAST_ERROR)
                    )
                    sums[rate] += [psnr_of_error(one) for one in error.flatten().tolist()]
        return {rate: float(np.mean(values)) for rate, values in sums.items()}
