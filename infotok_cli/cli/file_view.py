"""What `infotok inspect` and `infotok stats` show of a file, as a table, as JSON and as CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infotok_cli.cli.json_values import ratio
from infotok_cli.cli.output import printable
from infotok_cli.cli.render import frames_per_second
from infotok_cli.cli.tables import named_lines
from infotok_cli.wording import counted, size_in_words

if TYPE_CHECKING:
    from infotok_cli.itk.report import FileReport, SegmentReport, StatsReport
    from infotok_cli.sound import AudioTrack


def file_values(report: FileReport) -> dict[str, Any]:
    """What `inspect --json` shows."""
    header = report.header
    return {
        "input": report.path,
        "format_version": report.format_version,
        "width": header.width,
        "height": header.height,
        "frames": report.frames,
        "frame_rate": ratio(header.frame_rate),
        "duration_seconds": report.duration_seconds,
        "segment_frames": header.segment_frames,
        "segments": report.segments,
        "positions": report.positions,
        "tokens": report.tokens,
        "token_rate": report.token_rate,
        "target_rate": header.target_rate_ppm / 1_000_000 or None,
        "bpp": report.bpp,
        "bpp16_nominal": report.bpp16_nominal,
        "frame_times": header.has_times,
        "audio": None if header.audio is None else audio_values(header.audio),
        "lost_frames": report.lost_frames,
        "hidden_frames": report.hidden_frames,
        "size_bytes": report.size_bytes,
        "header_bytes": report.bytes.header,
        "map_bytes": report.bytes.map,
        "motion_bytes": report.bytes.motion,
        "token_bytes": report.bytes.tokens,
        "index_bytes": report.bytes.index,
        "times_bytes": report.bytes.times,
        "audio_bytes": report.bytes.audio,
        "model": {"name": header.model_name, "sha256": header.model_sha256.hex()},
        "levels": list(header.levels),
        "router": header.router,
        "allocation": header.allocation,
        "encoder": header.encoder,
        "title": report.tags.title or None,
        "date": report.tags.date or None,
    }


def audio_values(track: AudioTrack) -> dict[str, Any]:
    """What `inspect --json` says of the sound."""
    return {
        "codec": track.codec,
        "sample_rate": track.sample_rate,
        "channels": track.channels,
        "time_base": ratio(track.time_base),
    }


def json_of_file(report: FileReport, *, verified: bool = False) -> str:
    """`inspect --json`; verified: whether all tokens have been decoded."""
    return json.dumps(file_values(report) | {"verified": verified})


def inspect_table(report: FileReport, *, verified: bool = False) -> str:
    """`inspect` for people: names on the left, values on the right.

    verified: whether all tokens have been decoded, which the last line then says.
    """
    header = report.header
    length = float(header.segment_frames / header.frame_rate)
    asked = f"{header.target_rate_ppm / 1e6:g} requested" if header.target_rate_ppm else "set by a budget"
    rows = {
        "file": printable(Path(report.path).name),
        "format": f"version {report.format_version}, written by {header.encoder or 'an unknown encoder'}",
        **{name: printable(value) for name, value in vars(report.tags).items() if value},
        "video": f"{header.width} x {header.height} pixels, {counted(report.frames, 'frame')}, "
        f"{frames_per_second(header.frame_rate)}, {report.duration_seconds:.3f} s",
        "segments": f"{report.segments:,} of {header.segment_frames} frames ({length:.3g} s)",
        "tokens": f"{report.tokens:,} at {report.positions:,} positions",
        "token rate": f"{report.token_rate:.3f} ({asked})",
        "bits per pixel": f"{report.bpp:.4f}",
        "nominal BPP16": f"{report.bpp16_nominal:.3f}",
        "router": f"{header.router}, {header.allocation} allocation",
        "model": f"{header.model_name}, sha256 {header.model_sha256.hex()[:16]}...",
        "quantizer": f"levels {' x '.join(map(str, header.levels))}",
        **_size_rows(report),
        **_special_rows(report),
    }
    if verified:
        but = ", except in what was lost" if report.lost_frames else ""
        rows["verified"] = f"whole: {counted(report.segments, 'segment')}, all tokens decode{but}"
    return named_lines(rows.items())


def _size_rows(report: FileReport) -> dict[str, str]:
    """The size of the file, and how much of it each kind of content takes."""
    parts, total = report.bytes, report.size_bytes
    counts = {
        "header": parts.header,
        "keep maps": parts.map,
        "motion": parts.motion,
        "tokens": parts.tokens,
        "index": parts.index,
    }
    if report.header.has_times:
        counts["frame times"] = parts.times
    if report.header.audio is not None:
        counts["sound"] = parts.audio
    digits = len(f"{total:,}")
    shares = {f"  {name}": f"{count:>{digits},} bytes {count / total:6.1%}" for name, count in counts.items()}
    return {"size": f"{size_in_words(total)} ({total:,} bytes)"} | shares


def _special_rows(report: FileReport) -> dict[str, str]:
    """What not every file has."""
    header, rows = report.header, {}
    if header.has_times:
        rows["frame times"] = f"stored for each frame, in units of {ratio(header.time_base)} s"
    if header.audio is not None:
        track = header.audio
        rows["sound"] = f"{track.codec}, {track.sample_rate:,} Hz, {counted(track.channels, 'channel')}"
    if report.lost_frames:
        rows["lost"] = f"{counted(report.lost_frames, 'frame')}, before the file was repaired"
    if report.hidden_frames:
        rows["hidden"] = f"{counted(report.hidden_frames, 'frame')} beside a cut, stored but not shown"
    return rows


SEGMENT_COLUMNS = (
    "segment", "start_seconds", "end_seconds", "frames", "positions", "tokens", "token_rate", "map_bytes",
    "motion_bytes", "token_bytes",
)  # fmt: skip


def segment_values(row: SegmentReport) -> dict[str, Any]:
    """One row of `stats --json` and `stats --csv`, with the keys of `SEGMENT_COLUMNS`."""
    values = dataclasses.asdict(row)
    return {name: values["number" if name == "segment" else name] for name in SEGMENT_COLUMNS}


def json_of_stats(report: StatsReport, *, summary: bool = False) -> str:
    """`stats --json`: what inspect says, the token rate over the frame, rows from the top, and all segments.

    summary: leaves the segments out.
    """
    values = file_values(report.file) | {
        "rate_over_frame": [[round(rate, 4) for rate in row] for row in report.rate_over_frame.tolist()],
    }
    if not summary:
        values["per_segment"] = [segment_values(row) for row in report.segments]
    return json.dumps(values)


def csv_of_stats(report: StatsReport, *, headings: bool = True, name: str | None = None) -> str:
    """`stats --csv`: a line per segment, after a line of headings. name: a first column, the input."""
    first = [] if name is None else [name]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    if headings:
        table.writerow([*(["input"] if first else []), *SEGMENT_COLUMNS])
    table.writerows([*first, *segment_values(row).values()] for row in report.segments)
    return text.getvalue().rstrip("\n")
