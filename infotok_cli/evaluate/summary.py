"""Means over clips, a row per curve and setting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from infotok_cli.evaluate.metric_table import METRICS
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
    metrics: dict[str, Any] = {key: _mean(getattr(row, key) for row in rows) for key in METRICS}
    seams = [row.seams for row in rows]
    return Summary(
        curve=curve,
        weights_sha256=rows[0].weights_sha256,
        setting=setting_of(rows[0]),
        refine=rows[0].refine,
        segment_frames=curve_key(rows[0]).segment_frames,
        crf=rows[0].crf,
        clips=len(rows),
        **metrics,
        psnr_db_deviation=float(np.std([row.psnr_db for row in rows])),
        bpp=float(np.mean([row.bpp for row in rows])),
        kbit_per_second=float(np.mean([8e-3 * row.size_bytes * row.frame_rate / row.frames for row in rows])),
        bpp16_nominal=_mean(row.bpp16_nominal for row in rows),
        token_rate=_mean(row.token_rate for row in rows),
        map_bits_per_position=_bits_each((row.map_bytes, row.positions) for row in rows),
        token_bits_per_token=_bits_each((row.token_bytes, row.tokens) for row in rows),
        encode_speed=float(np.mean([row.encode_speed for row in rows])),
        decode_speed=float(np.mean([row.decode_speed for row in rows])),
        start_db=_mean(_less(seam.start_db, seam.rest_db) for seam in seams),
        end_db=_mean(_less(seam.end_db, seam.rest_db) for seam in seams),
        seam_flicker=_mean(seam.seam_flicker for seam in seams),
        step_flicker=_mean(seam.step_flicker for seam in seams),
        inside_flicker=_mean(seam.inside_flicker for seam in seams),
        spread=spread_over_clips(rows),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    """Mean of those that are there."""
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None


def _bits_each(counted: Iterable[tuple[int | None, int | None]]) -> float | None:
    """Bits of all bytes per thing counted, of (bytes, things) of each row."""
    sizes, things = zip(*counted, strict=True)
    total = sum(thing or 0 for thing in things)
    return 8 * sum(size or 0 for size in sizes) / total if total else None


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other
