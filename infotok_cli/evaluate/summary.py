"""Means over clips, a row per curve and setting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from infotok_cli.evaluate.results import ClipResult, Setting, curve_key, curve_names
from infotok_cli.evaluate.spread import Spread, spread_over_clips


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Means over clips at one setting; None where a row has no such figure."""

    curve: str
    weights_sha256: str | None
    setting: Setting | None
    """None for an anchor."""
    refine: int
    segment_frames: int | None
    """None for an anchor."""
    crf: int | None
    clips: int
    psnr_db: float
    psnr_db_deviation: float
    """Standard deviation over clips."""
    ssim: float | None
    ms_ssim: float | None
    lpips_vgg: float | None
    lpips_alex: float | None
    dists: float | None
    ssimulacra2: float | None
    vmaf: float | None
    vmaf_v1: float | None
    bpp: float
    kbit_per_second: float
    bpp16_nominal: float | None
    token_rate: float | None
    map_bits_per_position: float | None
    token_bits_per_token: float | None
    encode_speed: float
    decode_speed: float
    start_db: float | None
    """PSNR of segment starts less that of the rest."""
    end_db: float | None
    """PSNR of segment ends less that of the rest."""
    seam_flicker: float | None
    step_flicker: float | None
    inside_flicker: float | None
    spread: dict[str, Spread]
    """Of bits per pixel and of each metric, by field of a row."""


def setting_of(row: ClipResult) -> Setting | None:
    """The setting of a row of ours, None for an anchor's."""
    if row.codec != "infotok":
        return None
    return Setting(
        rate=row.rate,  # type: ignore[arg-type]
        router=row.router,  # type: ignore[arg-type]
        allocation=row.allocation,  # type: ignore[arg-type]
        calibrated=row.calibrated,
    )


def summarize(results: Sequence[ClipResult]) -> list[Summary]:
    """Means over clips, one row per curve and setting in the order they were measured."""
    names = curve_names(results)
    groups: dict[tuple[Any, ...], list[ClipResult]] = {}
    for row in results:
        groups.setdefault(row.wanted, []).append(row)
    return [_summary(names[curve_key(rows[0])], rows) for rows in groups.values()]


def _summary(curve: str, rows: list[ClipResult]) -> Summary:
    def mean(read: Callable[[ClipResult], float | None]) -> float | None:
        values = [value for value in map(read, rows) if value is not None]
        return float(np.mean(values)) if values else None

    def sure(name: str) -> float:
        return float(np.mean([getattr(row, name) for row in rows]))

    def share(bits: str, units: str) -> float | None:
        total = sum(getattr(row, units) or 0 for row in rows)
        return 8 * sum(getattr(row, bits) or 0 for row in rows) / total if total else None

    return Summary(
        curve=curve,
        weights_sha256=rows[0].weights_sha256,
        setting=setting_of(rows[0]),
        refine=rows[0].refine,
        segment_frames=curve_key(rows[0]).segment_frames,
        crf=rows[0].crf,
        clips=len(rows),
        psnr_db=sure("psnr_db"),
        psnr_db_deviation=float(np.std([row.psnr_db for row in rows])),
        ssim=mean(lambda row: row.ssim),
        ms_ssim=mean(lambda row: row.ms_ssim),
        lpips_vgg=mean(lambda row: row.lpips_vgg),
        lpips_alex=mean(lambda row: row.lpips_alex),
        dists=mean(lambda row: row.dists),
        ssimulacra2=mean(lambda row: row.ssimulacra2),
        vmaf=mean(lambda row: row.vmaf),
        vmaf_v1=mean(lambda row: row.vmaf_v1),
        bpp=sure("bpp"),
        kbit_per_second=float(np.mean([8e-3 * row.size_bytes * row.frame_rate / row.frames for row in rows])),
        bpp16_nominal=mean(lambda row: row.bpp16_nominal),
        token_rate=mean(lambda row: row.token_rate),
        map_bits_per_position=share("map_bytes", "positions"),
        token_bits_per_token=share("token_bytes", "tokens"),
        encode_speed=sure("encode_speed"),
        decode_speed=sure("decode_speed"),
        start_db=mean(lambda row: _less(row.seams.start_db, row.seams.rest_db)),
        end_db=mean(lambda row: _less(row.seams.end_db, row.seams.rest_db)),
        seam_flicker=mean(lambda row: row.seams.seam_flicker),
        step_flicker=mean(lambda row: row.seams.step_flicker),
        inside_flicker=mean(lambda row: row.seams.inside_flicker),
        spread=spread_over_clips(rows),
    )


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other
