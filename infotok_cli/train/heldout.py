"""Quick measure of a model in training: PSNR of held-out crops at several rates, without files."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from infotok_cli.model.tokenizer import Tokenizer
from infotok_cli.train.data import CropShape
from infotok_cli.train.masking import blocks_by_error
from infotok_kernels import error_map

HELD_RATES = (1.0, 0.75, 0.5, 0.25)


class HeldOut:
    """Centre crops of tiles that training never draws from."""

    def __init__(self, tiles: list[NDArray[np.uint8]], shape: CropShape, device: torch.device) -> None:
        crops = []
        for tile in tiles:
            frames, height, width, _ = tile.shape
            if frames < shape.frames or min(height, width) < shape.side:
                continue
            y, x = (height - shape.side) // 2, (width - shape.side) // 2
            crops.append(tile[: shape.frames, y : y + shape.side, x : x + shape.side])
        self.crops = torch.from_numpy(np.stack(crops)) if crops else torch.empty(0)
        self.device = device

    def _batches(self) -> list[torch.Tensor]:
        return (
            [part.to(self.device).float() / 127.5 - 1 for part in torch.split(self.crops, 8)]
            if len(self.crops)
            else []
        )

    @torch.no_grad()
    def psnr(self, model: Tokenizer) -> dict[float, float]:
        """Mean over frames of PSNR in dB by token rate, blocks chosen by the head; NaN without crops."""
        sums: dict[float, list[float]] = {rate: [] for rate in HELD_RATES}
        for video in self._batches():
            with torch.autocast(video.device.type, torch.bfloat16):
                analysis = model.analyze(video)
                for rate in HELD_RATES:
                    keep = torch.stack([blocks_by_error(errors, rate) for errors in analysis.log_error])
                    codes, _ = model.compress(analysis, keep)
                    shown = ((model.reconstruct(codes, keep).clamp(-1, 1) + 1) * 127.5).round()
                    error = (shown - (video + 1) * 127.5).square().mean(dim=(2, 3, 4)).clamp_min(1e-3)
                    sums[rate] += (10 * (255**2 / error).log10()).flatten().tolist()
        return {rate: float(np.mean(values)) if values else float("nan") for rate, values in sums.items()}

    @torch.no_grad()
    def mean_error(self, model: Tokenizer) -> float:
        """Calibration E[err]: mean absolute error at full rate, [-1, 1] scale."""
        errors = []
        for video in self._batches():
            with torch.autocast(video.device.type, torch.bfloat16):
                analysis = model.analyze(video)
                keep = torch.ones(analysis.log_error.shape, dtype=torch.bool, device=self.device)
                codes, _ = model.compress(analysis, keep)
                errors.append(error_map(video, model.reconstruct(codes, keep)).mean())
        return float(torch.stack(errors).mean()) if errors else float("nan")
