"""Rows of evaluation results made up for tests: 10 frames of 64x48 at 25 frames per second."""

from __future__ import annotations

import hashlib
from typing import Any

from infotok_cli.evaluate.results import ClipResult
from infotok_cli.evaluate.seams import SeamReport

PIXELS = 10 * 48 * 64


def our_row(
    clip: str,
    rate: float,
    bpp: float,
    psnr_db: float,
    *,
    router: str = "fast",
    allocation: str = "block",
    weights: str = "0" * 64,
    segment_frames: int = 60,
) -> ClipResult:
    """A row of ours; SSIM and MS-SSIM rise with PSNR."""
    return ClipResult(
        **_shared(clip, bpp, psnr_db), codec="infotok", model="small", weights_sha256=weights, rate=rate,
        router=router, allocation=allocation, crf=None, encoder=None, bpp16_nominal=rate + 1 / 16,
        token_rate=rate, map_bytes=20, token_bytes=round(200 * rate), tokens=round(100 * rate), positions=200,
        segment_frames=segment_frames,
    )  # fmt: skip


def anchor_row(clip: str, crf: int, bpp: float, psnr_db: float, name: str = "x264") -> ClipResult:
    """A row of an anchor."""
    return ClipResult(
        **_shared(clip, bpp, psnr_db), codec=name, model=None, weights_sha256=None, rate=None, router=None,
        allocation=None, crf=crf, encoder="lib", bpp16_nominal=None, token_rate=None, map_bytes=None,
        token_bytes=None, tokens=None, positions=None,
    )  # fmt: skip


def _shared(clip: str, bpp: float, psnr_db: float) -> dict[str, Any]:
    seams = SeamReport(
        start_db=psnr_db, end_db=psnr_db + 1, rest_db=psnr_db + 0.5, seam_flicker=3.0, step_flicker=2.0,
        inside_flicker=1.0, seams=2, psnr_by_place=[psnr_db] * 16,
    )  # fmt: skip
    return {
        "clip": clip, "clip_sha256": hashlib.sha256(clip.encode()).hexdigest(), "frames": 10, "width": 64,
        "height": 48, "frame_rate": 25.0, "psnr_db": psnr_db, "ssim": psnr_db / 100, "ms_ssim": psnr_db / 90,
        "ms_ssim_scales": 3, "vmaf": None, "bpp": bpp, "size_bytes": bpp * PIXELS / 8, "encode_speed": 1.0,
        "decode_speed": 1.0, "seams": seams,
    }  # fmt: skip
