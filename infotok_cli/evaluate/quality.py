"""All quality figures of one clip, gathered segment by segment."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from infotok_cli.evaluate.seams import SeamMeter, SeamReport
from infotok_cli.evaluate.vmaf import MIN_SIDE, VmafMeter
from infotok_cli.metrics import PSNR_CAP, ms_ssim_scales, psnr, ssim_and_ms_ssim


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Means over the frames of a clip."""

    frames: int
    width: int
    height: int
    psnr_db: float
    ssim: float
    ms_ssim: float
    ms_ssim_scales: int
    vmaf: float | None
    seams: SeamReport


class QualityMeter:
    """Takes pairs of segments in order; a context manager, because VMAF is measured by a process."""

    def __init__(self, height: int, width: int, segment_frames: int, vmaf_program: str | None = None) -> None:
        self._size = (height, width)
        self._psnr: list[float] = []
        self._ssim: list[float] = []
        self._ms_ssim: list[float] = []
        self._seams = SeamMeter(segment_frames)
        wanted = vmaf_program is not None and min(height, width) >= MIN_SIDE
        self._vmaf = VmafMeter(vmaf_program, height, width) if wanted and vmaf_program else None

    def add(self, source: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> None:
        """Compare two segments `[T, H, W, 3]`, RGB 0..255."""
        values = np.minimum(psnr(source, decoded), PSNR_CAP)
        single, multiple = ssim_and_ms_ssim(source, decoded)
        self._psnr += values.tolist()
        self._ssim += single.tolist()
        self._ms_ssim += multiple.tolist()
        self._seams.add(source, decoded, values)
        if self._vmaf is not None:
            self._vmaf.add(source, decoded)

    def result(self) -> Quality:
        """Figures of everything added; ends the measurement."""
        height, width = self._size
        return Quality(
            frames=len(self._psnr),
            width=width,
            height=height,
            psnr_db=float(np.mean(self._psnr)),
            ssim=float(np.mean(self._ssim)),
            ms_ssim=float(np.mean(self._ms_ssim)),
            ms_ssim_scales=ms_ssim_scales(height, width),
            vmaf=None if self._vmaf is None else self._vmaf.score(),
            seams=self._seams.report(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._vmaf is not None:
            self._vmaf.__exit__(kind, error, trace)
