"""All quality figures of one clip, gathered segment by segment."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from infotok_cli.evaluate.metric_table import DEFAULT_METRICS, METRIC_NAMES
from infotok_cli.evaluate.sampled import SampledMeter, measure_of
from infotok_cli.evaluate.seams import SeamMeter, SeamReport
from infotok_cli.evaluate.vmaf import MODELS, VmafMeter, check_models, find_ffmpeg
from infotok_cli.metrics import PSNR_CAP, ms_ssim_scales, psnr, ssim, ssim_and_ms_ssim


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Means over the frames of a clip; None for a metric not asked for, or a picture too small for it."""

    frames: int
    width: int
    height: int
    psnr_db: float
    ssim: float | None
    ms_ssim: float | None
    ms_ssim_scales: int
    lpips_vgg: float | None
    lpips_alex: float | None
    dists: float | None
    ssimulacra2: float | None
    vmaf: float | None
    vmaf_v1: float | None
    seams: SeamReport


def check_metrics(names: Sequence[str]) -> None:
    """Raise UsageError for metrics whose package is missing, ModelError for weights that were not fetched."""
    for name in names:
        if METRIC_NAMES[name].every > 1:
            measure_of(name)
    models = [name for name in names if name in MODELS]
    if models:
        check_models(find_ffmpeg(), models)


class QualityMeter:
    """Takes pairs of segments in order; a context manager, because VMAF is measured by a process."""

    def __init__(
        self, height: int, width: int, segment_frames: int, metrics: Sequence[str] = DEFAULT_METRICS
    ) -> None:
        """metrics: names of METRIC_NAMES. Raises as `check_metrics`."""
        self._size = (height, width)
        self._psnr: list[float] = []
        self._ssim: list[float] = []
        self._ms_ssim: list[float] = []
        self._seams = SeamMeter(segment_frames)
        wanted = [name for name in metrics if min(height, width) >= METRIC_NAMES[name].smallest_side]
        self._wanted = frozenset(wanted)
        self._sampled = {name: SampledMeter(name) for name in wanted if METRIC_NAMES[name].every > 1}
        self._stack = ExitStack()
        models = [name for name in wanted if name in MODELS]
        self._vmaf = None
        if models:
            self._vmaf = self._stack.enter_context(VmafMeter(find_ffmpeg(), height, width, models))

    def add(self, source: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> None:
        """Compare two segments `[T, H, W, 3]`, RGB 0..255."""
        values = np.minimum(psnr(source, decoded), PSNR_CAP)
        self._psnr += values.tolist()
        if "ms-ssim" in self._wanted:
            single, multiple = ssim_and_ms_ssim(source, decoded)
            self._ssim += single.tolist()
            self._ms_ssim += multiple.tolist()
        elif "ssim" in self._wanted:
            self._ssim += ssim(source, decoded).tolist()
        self._seams.add(source, decoded, values)
        for meter in self._sampled.values():
            meter.add(source, decoded)
        if self._vmaf is not None:
            self._vmaf.add(source, decoded)

    @property
    def psnr_by_frame(self) -> list[float]:
        """PSNR of every frame added, in dB, at most 100."""
        return list(self._psnr)

    def result(self) -> Quality:
        """Figures of everything added; ends the measurement."""
        height, width = self._size
        scores = {name: meter.score() for name, meter in self._sampled.items()}
        scores |= self._vmaf.scores() if self._vmaf else {}
        return Quality(
            frames=len(self._psnr),
            width=width,
            height=height,
            psnr_db=float(np.mean(self._psnr)),
            ssim=float(np.mean(self._ssim)) if "ssim" in self._wanted else None,
            ms_ssim=float(np.mean(self._ms_ssim)) if "ms-ssim" in self._wanted else None,
            ms_ssim_scales=ms_ssim_scales(height, width),
            lpips_vgg=scores.get("lpips-vgg"),
            lpips_alex=scores.get("lpips-alex"),
            dists=scores.get("dists"),
            ssimulacra2=scores.get("ssimulacra2"),
            vmaf=scores.get("vmaf"),
            vmaf_v1=scores.get("vmaf-v1"),
            seams=self._seams.report(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
