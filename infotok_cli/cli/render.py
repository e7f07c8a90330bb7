"""Reports as text: one line, an aligned table, JSON or CSV. Nothing is printed here."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infotok_cli.cli.output import printable
from infotok_cli.wording import counted, size_in_words, time_in_words

if TYPE_CHECKING:
    from infotok_cli.codec.decode import DecodeReport
    from infotok_cli.codec.encode import EncodeReport
    from infotok_cli.codec.forecast import Forecast
    from infotok_cli.codec.run_report import RunReport
    from infotok_cli.errors import InfotokError
    from infotok_cli.itk.edit import EditReport
    from infotok_cli.itk.flat import FlatReport
    from infotok_cli.itk.report import FileReport, SegmentReport, StatsReport
    from infotok_cli.sound import AudioTrack


def sized(name: str, count: int | None) -> str:
    """A name and its size, if that is known."""
    return printable(name) if count is None else f"{printable(name)} ({size_in_words(count)})"


def ratio(value: Fraction) -> str:
    """A fraction with its denominator, even when that is 1: 24/1."""
    return f"{value.numerator}/{value.denominator}"


def frames_per_second(value: Fraction) -> str:
    """A frame rate for people: 24 fps, 29.97 fps (30000/1001)."""
    return f"{value} fps" if value.denominator == 1 else f"{float(value):.6g} fps ({ratio(value)})"


def encode_line(report: EncodeReport) -> str:
    """What an encode did, on one line."""
    return (
        f"{sized(report.input, report.input_bytes)} -> {sized(report.output, report.size_bytes)}: "
        f"{counted(report.tokens, 'token')}, token rate {report.token_rate:.3f}, "
        f"{report.bpp:.4f} bits per pixel, {_budget_words(report)}{pace(report)}"
    )


def _budget_words(report: EncodeReport) -> str:
    """What a budget came to, with a comma behind it; nothing without one."""
    if report.budget is None:
        return ""
    full = ", all positions kept" if report.tokens == report.positions else ""
    return f"{report.budget.in_words(report)}{full}, "


def large_input(expected: Forecast) -> str:
    """What a person should know before a large encode starts; nothing where nothing is known."""
    length = "" if expected.frames is None else f" and {counted(expected.frames, 'frame')}"
    takes = []
    if expected.seconds is not None:
        takes.append(f"about {time_in_words(expected.seconds)}")
    if expected.memory_bytes is not None:
        takes.append(f"at least about {size_in_words(expected.memory_bytes)} of memory")
    if not takes:
        return ""
    return (
        f"{printable(expected.input)} has {expected.width}x{expected.height} pixels{length}: encoding it "
        f"takes {' and '.join(takes)}, less with --short-side"
    )


def forecast_text(expected: Forecast, target: str, *, as_json: bool) -> str:
    """`encode --dry-run`: names on the left, values on the right, or one line of JSON."""
    if as_json:
        return json.dumps(json_values(expected) | {"output": target})
    length = "an unknown number of frames"
    if expected.frames is not None:
        length = f"{counted(expected.frames, 'frame')}, {expected.duration_seconds:.3f} s"
    rows = {
        "input": printable(expected.input),
        "output": f"{printable(target)}, not written in this dry run",
        "video": f"{expected.width} x {expected.height} pixels, {length}, "
        f"{frames_per_second(expected.frame_rate)}",
    }
    if expected.segments is not None:
        rows["segments"] = f"{expected.segments:,}, {expected.positions:,} positions"
        rows["tokens"] = "as many as the budget needs" if expected.tokens is None else f"{expected.tokens:,}"
    if expected.size_bytes is not None:
        typical = "" if expected.tokens is None else " for typical footage, without sound"
        rows["size"] = f"about {size_in_words(expected.size_bytes)}{typical}"
    if expected.seconds is not None:
        rows["time"] = f"about {time_in_words(expected.seconds)}, without loading the model"
    if expected.memory_bytes is not None:
        rows["memory"] = f"at least about {size_in_words(expected.memory_bytes)}"
    rows["runs on"] = f"{expected.device} in {expected.precision}, model {printable(expected.model)}"
    width = max(map(len, rows))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())


def decode_line(report: DecodeReport) -> str:
    """What a decode did, on one line."""
    return (
        f"{sized(report.input, report.input_bytes)} -> {sized(report.output, report.output_bytes)}: "
        f"{counted(report.frames, 'frame')} of {report.width}x{report.height} at "
        f"{frames_per_second(report.frame_rate)}, {pace(report)}"
    )


def encode_details(report: EncodeReport) -> str:
    """What ran in an encode, and where its bytes went: lines for --verbose."""
    rest = report.size_bytes - report.map_bytes - report.token_bytes - report.audio_bytes
    return "\n".join(
        [
            _ran(report),
            f"bytes: {report.token_bytes:,} tokens, {report.map_bytes:,} keep maps, {report.audio_bytes:,} "
            f"sound, {rest:,} else; {counted(report.segments, 'segment')}, {report.positions:,} positions",
            f"router {report.router}, {report.allocation} allocation, refined in {report.refine} steps; the "
            f"video was read {counted(report.passes, 'time')}",
            _took(report),
        ]
    )


def decode_details(report: DecodeReport) -> str:
    """What ran in a decode: lines for --verbose."""
    return "\n".join([_ran(report), _took(report)])


def _ran(report: RunReport) -> str:
    compiled = ", compiled" if report.compiled else ""
    return (
        f"model {printable(report.model)} on {report.device} in {report.precision}, {report.backend} kernels"
        f"{compiled}, {counted(report.batch_segments, 'segment')} at a time"
    )


def _took(report: RunReport) -> str:
    return f"{report.seconds:.2f} s without loading the model, {report.speed:.2f}x real time"


def pace(report: RunReport) -> str:
    """How fast a run was: frames per second."""
    if not report.seconds:
        return "in no time"
    speed = report.frames / report.seconds
    return f"{speed:,.0f} frames per second" if speed >= 99.5 else f"{speed:.3g} frames per second"


def spelled(error: InfotokError) -> str:
    """An error or a warning with the names of options in it."""
    from infotok_cli.cli.app import option_name

    return error.text(option_name)


def json_of_run(report: EncodeReport | DecodeReport) -> str:
    """All fields of an encode's or decode's report, and its speed, as one JSON object."""
    return json.dumps(json_values(report) | {"speed": report.speed})


_KEYS = {
    "path": "input",
    "output_bytes": "size_bytes",
    "backend": "kernels",
    "has_times": "frame_times",
    "lost": "warnings",
    "notes": "warnings",
    "psnr": "psnr_db",
}
"""Fields of reports whose key in JSON is another, so that all commands spell a thing the same way."""


def json_values(report: Any) -> dict[str, Any]:
    """Fields of a report, a dataclass, under the keys that they have in every command's JSON.

    Fields that share a key, such as all kinds of warnings, are one list.
    """
    values: dict[str, Any] = {}
    for field in dataclasses.fields(report):
        for key, value in _json_items(field.name, getattr(report, field.name)):
            values[key] = [*values[key], *value] if key in values else value
    return values


def _json_items(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A field as keys and values of JSON."""
    if name == "model":
        yield name, {"name": value}
    elif name == "audio_codec":
        yield "audio", None if value is None else {"codec": value}
    elif name == "inputs" and len(value) == 1:
        yield "input", value[0]
    elif isinstance(value, Fraction):
        yield _KEYS.get(name, name), ratio(value)
    elif name in ("warnings", "lost", "notes"):
        yield "warnings", [one if isinstance(one, str) else spelled(one) for one in value]
    elif dataclasses.is_dataclass(value):
        yield _KEYS.get(name, name), json_values(value)
    elif isinstance(value, (list, tuple)):
        yield (
            _KEYS.get(name, name),
            [json_values(one) if dataclasses.is_dataclass(one) else one for one in value],
        )
    else:
        yield _KEYS.get(name, name), value


_MOST_LINES = 20


def shortened(lines: Sequence[str]) -> list[str]:
    """The first lines, and how many more there are."""
    more = len(lines) - _MOST_LINES
    return [*lines[:_MOST_LINES], *([f"and {more:,} more"] if more > 0 else [])]


_NAMED_INPUTS = 4
"""Files that a line about a join names all of."""


def edit_line(report: EditReport) -> str:
    """What a cut, a join or a repair wrote, on one line."""
    inputs = [printable(name) for name in report.inputs]
    if len(inputs) > _NAMED_INPUTS:
        inputs[1:] = [f"{len(inputs) - 1} more"]
    extra = [
        f", {counted(count, what)}"
        for count, what in (
            (report.lost_frames, "lost frame"),
            (report.hidden_frames, "hidden frame"),
        )
        if count
    ]
    return (
        f"{' + '.join(inputs)} -> {sized(report.output, report.size_bytes)}: "
        f"{counted(report.frames, 'frame')} in {counted(report.segments, 'segment')}{''.join(extra)}"
    )


def json_of_edit(report: EditReport) -> str:
    """All fields of a cut's, join's or repair's report as one JSON object."""
    return json.dumps(json_values(report))


def json_of_flat(report: FlatReport) -> str:
    """All fields of an export's or import's report as one JSON object."""
    return json.dumps(json_values(report) | {"warnings": flat_warnings(report)})


def flat_warnings(report: FlatReport) -> list[str]:
    """What an export or import left out, a line each."""
    left_out = " and ".join(report.left_out)
    return [f"{report.input}: flat ids leave out its {left_out}"] if left_out else []


def flat_line(report: FlatReport) -> str:
    """What an export or import wrote, on one line."""
    return (
        f"{printable(report.input)} -> {sized(report.output, report.size_bytes)}: "
        f"{counted(report.ids, 'flat id')} ({counted(report.tokens, 'token')}) "
        f"in {counted(report.segments, 'segment')}"
    )


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
    width = max(map(len, rows))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())


def _size_rows(report: FileReport) -> dict[str, str]:
    """The size of the file, and how much of it each kind of content takes."""
    parts, total = report.bytes, report.size_bytes
    counts = {"header": parts.header, "keep maps": parts.map, "tokens": parts.tokens, "index": parts.index}
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
    "token_bytes",
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


def aligned(rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows of cells as lines, every column right-aligned."""
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in table]


def segment_cells(row: SegmentReport, last: int | None = None) -> list[str]:
    """A row of the human table; `last` is the last segment where several were merged."""
    name = str(row.number) if last is None or last == row.number else f"{row.number}-{last}"
    return [name, f"{row.start_seconds:.3f}", f"{row.end_seconds:.3f}", *count_cells(row)]


def count_cells(row: SegmentReport) -> list[str]:
    """Positions, tokens, rate and bytes of a row."""
    return [
        f"{row.positions:,}",
        f"{row.tokens:,}",
        f"{row.token_rate:.3f}",
        f"{row.map_bytes:,}",
        f"{row.token_bytes:,}",
    ]
