"""What an encode or a decode did, or would do, in words. Nothing is printed here."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from infotok_cli.cli import tables
from infotok_cli.cli.json_values import json_line, ratio
from infotok_cli.cli.output import printable
from infotok_cli.wording import counted, size_in_words, time_in_words

if TYPE_CHECKING:
    from infotok_cli.codec.decode import DecodeReport
    from infotok_cli.codec.encode import EncodeReport
    from infotok_cli.codec.forecast import Forecast
    from infotok_cli.codec.run_report import RunReport


def sized(name: str, count: int | None) -> str:
    """A name and its size, if that is known."""
    return printable(name) if count is None else f"{printable(name)} ({size_in_words(count)})"


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
        return json_line(expected, output=target)
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
    return tables.named_lines(rows.items())


def decode_line(report: DecodeReport) -> str:
    """What a decode did, on one line."""
    return (
        f"{sized(report.input, report.input_bytes)} -> {sized(report.output, report.output_bytes)}: "
        f"{counted(report.frames, 'frame')} of {report.width}x{report.height} at "
        f"{frames_per_second(report.frame_rate)}, {pace(report)}"
    )


def encode_details(report: EncodeReport) -> str:
    """What ran in an encode, and where its bytes went: lines for --verbose."""
    maps = report.map_bytes + report.motion_bytes
    rest = report.size_bytes - maps - report.token_bytes - report.audio_bytes
    return "\n".join(
        [
            _ran(report),
            f"bytes: {report.token_bytes:,} tokens, {report.map_bytes:,} keep maps, {report.motion_bytes:,} "
            f"motion, {report.audio_bytes:,} sound, {rest:,} else; {counted(report.segments, 'segment')}, "
            f"{report.positions:,} positions",
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


def json_of_run(report: EncodeReport | DecodeReport) -> str:
    """All fields of an encode's or decode's report, and its speed, as one JSON object."""
    return json_line(report, speed=report.speed)
