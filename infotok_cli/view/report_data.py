"""The numbers of a report's page: plain values, ready for JSON, that the page's script draws."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infotok_cli.blocks import BLOCK
from infotok_cli.config import PATCH
from infotok_cli.container.reader import ItkReader
from infotok_cli.evaluate.clips import clip_sha256
from infotok_cli.evaluate.plots import plot_lines
from infotok_cli.evaluate.results import read_results
from infotok_cli.itk.frame_times import shown_ticks
from infotok_cli.itk.report import FileReport, StatsReport, stats_of
from infotok_cli.metrics import PSNR_CAP, average_psnr
from infotok_cli.view.drawing import HEAT_COLOURS, HEAT_SHARE, heat_colours
from infotok_cli.view.scene import Where, lost_in_words, numbers_in_words, where_tokens_are

EIGHTHS = 8
"""Parts that a block is counted in; shares of the smaller blocks at the edges are whole eighths too."""


def shown_name(path: Path) -> str:
    """The file name as text that can be shown and encoded, whatever its bytes are."""
    return path.name if path.name.isprintable() else repr(path.name)


@dataclass(frozen=True)
class FileFacts:
    """What is known about one .itk file before anything is decoded."""

    path: Path
    where: Where
    stats: StatsReport


def read_facts(path: Path, reader: ItkReader, damaged: Collection[int] = ()) -> FileFacts:
    """Read all keep maps but those of the segments in `damaged`; InputError for damage elsewhere."""
    return FileFacts(path, where_tokens_are(reader, damaged), stats_of(path, reader, damaged))


def clip_values(reader: ItkReader, poster: int) -> dict[str, Any]:
    """What all files of a page share: size, times, and the colours of the heat."""
    header = reader.header
    ticks = list(shown_ticks(reader, range(reader.total_frames), []))
    return {
        "width": header.width,
        "height": header.height,
        "shownWidth": max(1, round(header.width * header.sample_aspect)),
        "frames": reader.total_frames,
        "seconds": float(reader.duration_seconds),
        "rate": float(reader.total_frames / reader.duration_seconds),
        "starts": [round(float(tick * header.time_base), 6) for tick in ticks] or None,
        "poster": poster,
        "heat": {
            "block": BLOCK[1] * PATCH[1],
            "share": HEAT_SHARE,
            "scale": HEAT_COLOURS,
            "colours": heat_colours(np.arange(16) / EIGHTHS).tolist(),
        },
    }


def file_values(facts: FileFacts, psnrs: Sequence[float] | None) -> dict[str, Any]:
    """One file; `psnrs` has a value in dB for each frame, None without a source."""
    where, stats = facts.where, facts.stats
    report = stats.file
    mean = None if psnrs is None else average_psnr(np.array(psnrs))
    steps = np.bincount(where.step_of_frame, minlength=len(where.rates))
    rows = stats.segments
    return {
        "name": shown_name(facts.path),
        "headline": headline(facts, mean),
        "short": " · ".join(_numbers(facts, mean)),
        "bpp": report.bpp,
        "psnr": mean,
        "psnrs": None if psnrs is None else [round(min(value, PSNR_CAP), 1) for value in psnrs],
        "bytes": byte_parts(report),
        "segments": [
            [
                row.number,
                round(row.start_seconds, 6),
                round(row.end_seconds, 6),
                row.positions,
                row.tokens,
                round(row.token_rate, 6),
                row.map_bytes,
                row.motion_bytes,
                row.token_bytes,
            ]
            for row in rows
        ],
        "lost": [[round(rows[n].start_seconds, 6), round(rows[n].end_seconds, 6)] for n in where.lost],
        "stepFrames": steps.tolist(),
        "rates": [round(rate, 4) for rate in where.rates.tolist()],
        "planes": heat_planes(where),
    }


def headline(facts: FileFacts, psnr_db: float | None) -> str:
    """The file in a line of numbers."""
    report = facts.stats.file
    lost = lost_in_words(facts.where, report.segments)
    return " · ".join([f"{report.duration_seconds:.1f} s", *lost, *_numbers(facts, psnr_db)])


def _numbers(facts: FileFacts, psnr_db: float | None) -> list[str]:
    quality = [] if psnr_db is None else [f"{psnr_db:.1f} dB"]
    return [*numbers_in_words(facts.stats.file.size_bytes, facts.where), *quality]


def byte_parts(report: FileReport) -> list[tuple[str, int]]:
    """Parts of the file and their bytes, which add up to its size."""
    parts = report.bytes
    return [
        ("header", parts.header),
        ("map", parts.map),
        ("motion", parts.motion),
        ("tokens", parts.tokens),
        ("sound", parts.audio),
        ("index", parts.index),
        ("times", parts.times),
    ]


def heat_planes(where: Where) -> dict[str, Any]:
    """Shares per block and time, two blocks to a byte, deflated: a page of minutes stays small.

    Latent steps that share their blocks share a plane; `frames` says how many frames each is shown for, and
    `lost` which planes are of lost segments. A value is a share in eighths, 0..8.
    """
    planes: list[NDArray[np.float64]] = []
    shown: list[int] = []
    lost: list[int] = []
    before: bool | None = None
    steps = np.bincount(where.step_of_frame, minlength=len(where.shares)).tolist()
    for step, (share, frames) in enumerate(zip(where.shares, steps, strict=True)):
        is_lost = bool(where.lost_steps[step])
        if is_lost == before and np.array_equal(planes[-1], share):
            shown[-1] += frames
            continue
        if is_lost:
            lost.append(len(planes))
        planes.append(share)
        shown.append(frames)
        before = is_lost
    eighths = np.rint(np.stack(planes) * EIGHTHS).astype(np.uint8).ravel()
    pairs = np.append(eighths, np.zeros(len(eighths) % 2, np.uint8)).reshape(-1, 2)
    packed = (pairs[:, 0] << 4 | pairs[:, 1]).astype(np.uint8).tobytes()
    return {
        "rows": planes[0].shape[0],
        "columns": planes[0].shape[1],
        "frames": shown,
        "lost": lost,
        "shares": base64.b64encode(zlib.compress(packed, 9)).decode("ascii"),
    }


def curve_values(results: Path, source: Path | None) -> dict[str, Any]:
    """Rate-distortion curves of the results of `infotok eval`; InputError where there are none.

    Of the source alone where the results have it, else means over their clips.
    """
    rows = read_results(results)
    about = ""
    if source is not None:
        same = clip_sha256(source)
        own = [row for row in rows if row.clip_sha256 == same]
        if own:
            rows, about = own, "Curves of this very clip."
    clips = len({row.clip_sha256 for row in rows})
    mean = f"Curves are means over {clips} clips of {shown_name(results)}; this clip may lie apart from them."
    one = f"Curves of the one clip of {shown_name(results)}."
    return {
        "about": about or (mean if clips > 1 else one),
        "lines": [
            {
                "name": name,
                "ours": points[0].setting is not None,
                "points": [[point.bpp, point.psnr_db] for point in points],
            }
            for name, points in plot_lines(rows).items()
        ],
    }
