"""What an output says of itself: whether it is whole and of this run, and its row of statistics."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from infotok_cli.batch.run_file import RunSettings
from infotok_cli.container.header import Header
from infotok_cli.errors import InputError
from infotok_cli.itk.report import FileReport, report_file


@dataclass(frozen=True, kw_only=True)
class Row:
    """One file of a batch, as the table of statistics holds it; None is unknown."""

    id: str
    source: str
    output: str | None = None
    """Path below the output folder."""
    status: str
    """encoded, skipped or failed."""
    sha256: str | None = None
    """Of the output, in hexadecimal."""
    size_bytes: int | None = None
    frames: int | None = None
    seconds: float | None = None
    """Of video."""
    fps: float | None = None
    width: int | None = None
    height: int | None = None
    grid: tuple[int, int, int] | None = None
    """Token grid (t, h, w) of a full segment."""
    segments: int | None = None
    positions: int | None = None
    tokens: int | None = None
    token_bits: int | None = None
    map_bits: int | None = None
    motion_bits: int | None = None
    time_bits: int | None = None
    audio_bits: int | None = None
    other_bits: int | None = None
    """Header and index."""
    psnr_db: float | None = None
    """Of all samples of all frames together; infinite where nothing was lost."""
    ms: float | None = None
    """Wall-clock time of the encode."""
    error: str | None = None


def row_of(path: Path, run: RunSettings, *, id: str, source: str, output: str, status: str) -> Row | None:
    """What the output at `path` holds; None unless it is whole and of this run."""
    report = _report(path, run)
    if report is None:
        return None
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    header, split = report.header, report.bytes
    return Row(
        id=id, source=source, output=output, status=status, sha256=digest, size_bytes=report.size_bytes,
        frames=report.frames, seconds=float(report.duration_seconds), fps=float(header.frame_rate),
        width=header.width, height=header.height, grid=header.grid(), segments=report.segments,
        positions=report.positions, tokens=report.tokens, token_bits=8 * split.tokens, map_bits=8 * split.map,
        motion_bits=8 * split.motion, time_bits=8 * split.times, audio_bits=8 * split.audio,
        other_bits=8 * (split.header + split.index),
    )  # fmt: skip


def _report(path: Path, run: RunSettings) -> FileReport | None:
    if not path.is_file():
        return None
    try:
        report = report_file(path)
    except InputError:
        return None
    return report if _is_of_run(report.header, run) and not report.lost_frames else None


def _is_of_run(header: Header, run: RunSettings) -> bool:
    """Whether a file of the run can have this header; what it does not tell is in the run's file."""
    options = run.options
    return (
        header.model_sha256.hex() == run.model_sha256
        and header.router == options.router
        and header.allocation == options.allocation_kind
        and header.target_rate_ppm == (0 if options.budget else round(options.rate * 1_000_000))
        and options.segment_frames in (None, header.segment_frames)
        and options.short_side in (None, min(header.width, header.height))
    )
