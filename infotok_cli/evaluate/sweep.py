"""Quality against real bits: every figure from frames decoded out of an .itk file on disk."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from infotok_cli.codec.decode import decoded_segments
from infotok_cli.codec.encode import encode_file
from infotok_cli.config import AllocationName, EncodeOptions, RouterName
from infotok_cli.container.reader import ItkReader
from infotok_cli.errors import InputError
from infotok_cli.metrics import PSNR_CAP, psnr, ssim
from infotok_cli.model.engine import Engine
from infotok_cli.video.reader import open_video
from infotok_cli.video.segments import read_segments

VIDEO_SUFFIXES = frozenset({".mp4", ".mkv", ".webm", ".mov", ".avi", ".m4v", ".ts", ".y4m", ".mpg", ".gif"})


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One point of a sweep."""

    rate: float
    router: RouterName
    allocation: AllocationName


@dataclass(frozen=True, kw_only=True)
class ClipResult:
    """One clip at one setting; PSNR and SSIM are means over frames."""

    clip: str
    rate: float
    router: RouterName
    allocation: AllocationName
    frames: int
    psnr_db: float
    ssim: float
    bpp: float
    bpp16_nominal: float
    token_rate: float
    size_bytes: int
    map_bytes: int
    token_bytes: int
    tokens: int
    positions: int
    encode_speed: float
    """Multiple of real time, video reading and file writing included, model loading not."""
    decode_speed: float
    """Multiple of real time to RGB frames, without encoding them to an output video."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Means over clips at one setting."""

    setting: Setting
    clips: int
    psnr_db: float
    psnr_db_deviation: float
    """Standard deviation over clips."""
    ssim: float
    bpp: float
    bpp16_nominal: float
    token_rate: float
    map_bits_per_position: float
    token_bits_per_token: float
    encode_speed: float
    decode_speed: float


def find_clips(paths: Sequence[Path]) -> list[Path]:
    """Video files named, or found in folders named, in order; InputError when there are none."""
    clips: list[Path] = []
    for path in paths:
        if path.is_dir():
            clips += sorted(entry for entry in path.iterdir() if entry.suffix.lower() in VIDEO_SUFFIXES)
        elif path.exists():
            clips.append(path)
        else:
            raise InputError(f"{path} does not exist: name video files or a folder of them")
    if not clips:
        raise InputError(f"{', '.join(map(str, paths))} holds no video files")
    return clips


def sweep(
    clips: Sequence[Path],
    engine: Engine,
    settings: Sequence[Setting],
    options: EncodeOptions,
    progress: Callable[[ClipResult], None] | None = None,
) -> list[ClipResult]:
    """Encode, decode and measure every clip at every setting."""
    results = []
    for clip in clips:
        for setting in settings:
            result = measure_clip(clip, engine, replace(options, **asdict(setting)))
            results.append(result)
            if progress is not None:
                progress(result)
    return results


def measure_clip(clip: Path, engine: Engine, options: EncodeOptions) -> ClipResult:
    """One clip through a temporary .itk file and back, compared frame by frame with its source."""
    with tempfile.TemporaryDirectory(prefix="infotok-eval-") as folder:
        target = Path(folder) / "clip.itk"
        report = encode_file(clip, target, engine, options)
        psnrs: list[float] = []
        ssims: list[float] = []
        decoding = 0.0
        with ItkReader(target) as reader, open_video(clip) as video:
            frames = video.frames(options.start_seconds, options.end_seconds, options.short_side)
            segments = read_segments(frames, reader.header.segment_frames)
            decoded = decoded_segments(reader, engine, range(reader.total_frames))
            for source in segments:
                began = time.perf_counter()
                shown = next(decoded)
                decoding += time.perf_counter() - began
                psnrs += np.minimum(psnr(source, shown), PSNR_CAP).tolist()
                ssims += ssim(source, shown).tolist()
    return ClipResult(
        clip=clip.name,
        rate=options.rate,
        router=options.router,
        allocation=options.allocation,
        frames=report.frames,
        psnr_db=float(np.mean(psnrs)),
        ssim=float(np.mean(ssims)),
        bpp=report.bpp,
        bpp16_nominal=report.bpp16_nominal,
        token_rate=report.token_rate,
        size_bytes=report.size_bytes,
        map_bytes=report.map_bytes,
        token_bytes=report.token_bytes,
        tokens=report.tokens,
        positions=report.positions,
        encode_speed=report.speed,
        decode_speed=report.duration_seconds / decoding,
    )


def summarize(results: Sequence[ClipResult]) -> list[Summary]:
    """Means over clips, one row per setting in the order they were measured."""
    return [_summary(setting, rows) for setting, rows in _by_setting(results)]


def _by_setting(results: Sequence[ClipResult]) -> Iterator[tuple[Setting, list[ClipResult]]]:
    groups: dict[Setting, list[ClipResult]] = {}
    for result in results:
        setting = Setting(rate=result.rate, router=result.router, allocation=result.allocation)
        groups.setdefault(setting, []).append(result)
    yield from groups.items()


def _summary(setting: Setting, rows: list[ClipResult]) -> Summary:
    def mean(name: str) -> float:
        return float(np.mean([getattr(row, name) for row in rows]))

    tokens = sum(row.tokens for row in rows)
    return Summary(
        setting=setting,
        clips=len(rows),
        psnr_db=mean("psnr_db"),
        psnr_db_deviation=float(np.std([row.psnr_db for row in rows])),
        ssim=mean("ssim"),
        bpp=mean("bpp"),
        bpp16_nominal=mean("bpp16_nominal"),
        token_rate=mean("token_rate"),
        map_bits_per_position=8 * sum(row.map_bytes for row in rows) / sum(row.positions for row in rows),
        token_bits_per_token=8 * sum(row.token_bytes for row in rows) / tokens,
        encode_speed=mean("encode_speed"),
        decode_speed=mean("decode_speed"),
    )


def as_json(results: Sequence[ClipResult], engine: Engine) -> dict[str, Any]:
    """Everything measured, ready for json.dump."""
    return {
        "model": {"name": engine.loaded.config.name, "sha256": engine.loaded.sha256},
        "device": engine.runtime.device.type,
        "precision": engine.runtime.precision,
        "summary": [asdict(summary) for summary in summarize(results)],
        "clips": [asdict(result) for result in results],
    }
