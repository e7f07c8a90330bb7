"""Quick measure of a model in training: PSNR of held-out crops at several rates, without files."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from infotok_cli.model.engine import Runtime
from infotok_cli.model.pixels import to_signal
from infotok_cli.model.tokenizer import Tokenizer
from infotok_cli.train.frame_cache import CropShape, centre_crop
from infotok_cli.train.masking import keep_at_rate

HELD_RATES = (1.0, 0.75, 0.5, 0.25)


class HeldOut:
    """Centre crops of held-out tiles."""

    def __init__(self, tiles: list[NDArray[np.uint8]], shape: CropShape, runtime: Runtime) -> None:
        self.crops = torch.from_numpy(np.stack([centre_crop(tile, shape) for tile in tiles]))
        self.runtime = runtime

    def _batches(self) -> list[torch.Tensor]:
        return [to_signal(part.to(self.runtime.device)) for part in torch.split(self.crops, 8)]

    @torch.no_grad()
    def psnr(self, model: Tokenizer) -> dict[float, float]:
        """Mean over frames of PSNR in dB by token rate; blocks chosen by the head, or prefixes."""
        sums: dict[float, list[float]] = {rate: [] for rate in HELD_RATES}
        for video in self._batches():
            with self.runtime.autocast():
                log_error = model.predict(video)
                for rate in HELD_RATES:
                    keep = keep_at_rate(log_error, rate, model.config.masking)
                    shown = ((model.encode(video, keep)[1].clamp(-1, 1) + 1) * 127.5).round()
                    error = (shown - (video + 1) * 127.5).square().mean(dim=(2, 3, 4)).clamp_min(1e-3)
                    sums[rate] += (10 * (255**2 / error).log10()).flatten().tolist()
        return {rate: float(np.mean(values)) for rate, values in sums.items()}
