"""The human form of `infotok stats`: a chart over time, a heat map of the frame, a table with bars."""

from __future__ import annotations

import dataclasses
import sys
import textwrap
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from infotok_cli.cli import charts
from infotok_cli.cli.output import can_show, print_out, printable, tell, terminal_height, terminal_width
from infotok_cli.cli.tables import aligned
from infotok_cli.itk.report import SegmentReport, StatsReport
from infotok_cli.wording import counted, size_in_words

_FEWEST_ROWS = 8
LONGEST_BAR = 40
HEADINGS = ("segment", "start s", "end s", "positions", "tokens", "rate", "map B", "motion B", "token B")
NARROW = ("segment", "start s", "end s", "tokens", "rate")
"""Columns of a terminal that has no room for all."""


NARROWEST_BESIDE = 64
"""Columns of a terminal from which on the heat map stands beside the chart."""

HIGHEST_BESIDE = 14
"""Lines of a heat map there."""

GAP = 3

Merged = tuple[SegmentReport, int]
"""Several neighbouring segments in one row, and the number of the last."""


def print_stats(report: StatsReport, *, summary: bool = False) -> None:
    """Print a report to fit the terminal, in colour where it has some; summary: without the table."""
    terminal = sys.stdout.isatty()
    blocks = can_show(charts.BLOCKS.fractions + charts.BLOCKS.shades)
    glyphs = charts.BLOCKS if blocks else charts.ASCII
    width = terminal_width()
    print_out(textwrap.fill(total_line(report), width) if terminal else total_line(report))
    print_out("")
    if blocks and charts.wants_colour(terminal):
        _print_in_colour(report, width)
    else:
        print_out("\n".join([*chart_text(report, width, glyphs), "", *heat_text(report, width, glyphs)]))
    if not summary:
        most = rows_on_a_screen() if terminal else None
        print_out("\n".join(["", *table_text(report, width, glyphs, most_rows=most)]))


def write_plot(report: StatsReport, path: Path, overwrite: bool) -> None:
    """Draw the report into a picture, and say so."""
    from infotok_cli.view.stats_plot import draw_stats

    blocks = charts.block_means(report.rate_over_frame)
    name = printable(Path(report.file.path).name)
    title = f"{name}: {total_line(report)}"
    draw_stats(
        report,
        blocks,
        path,
        limits=charts.scale(blocks),
        title=title,
        map_title=heat_title(report),
        overwrite=overwrite,
    )
    tell(f"{printable(str(path))}: {size_in_words(path.stat().st_size)}")


def rows_on_a_screen() -> int:
    """Rows of a table that a terminal shows at once, with its head, its end and the next prompt."""
    return max(_FEWEST_ROWS, terminal_height() - 6)


def total_line(report: StatsReport) -> str:
    """What all segments came to."""
    total, _ = _merged(report.segments)
    return (
        f"{counted(total.tokens, 'token')} at {counted(total.positions, 'position')}, "
        f"token rate {total.token_rate:.3f}, in {counted(len(report.segments), 'segment')}, "
        f"{total.end_seconds:.3f} s"
    )


def chart_text(
    report: StatsReport, width: int, glyphs: charts.Glyphs, rows: int = charts.CHART_ROWS
) -> list[str]:
    """Lines of the chart over time, at most `width` columns wide, `rows` high without title and axis."""
    segments = report.segments
    chart = charts.over_time(
        [row.end_seconds for row in segments],
        [row.token_rate for row in segments],
        [row.positions for row in segments],
        min(width, 100),
        glyphs,
        rows=rows,
    )
    return ["token rate over time", *chart]


def table_text(report: StatsReport, width: int, glyphs: charts.Glyphs, *, most_rows: int | None) -> list[str]:
    """Lines of the table, `width` columns wide; neighbouring segments share a row beyond `most_rows`.

    Where there is such a limit, on a terminal, columns give way too.
    """
    segments = report.segments
    step = -(-len(segments) // most_rows) if most_rows else 1
    rows = [_merged(segments[at : at + step]) for at in range(0, len(segments), step)]
    lines = _table(report, rows, width, glyphs)
    if most_rows and max(map(len, lines)) > width:
        lines = _table(report, rows, width, glyphs, NARROW)
    if step > 1:
        lines += [f"Each row is {step} neighbouring segments; --json and --csv list every one."]
    return lines


def _table(
    report: StatsReport,
    rows: Sequence[Merged],
    width: int,
    glyphs: charts.Glyphs,
    columns: Sequence[str] = HEADINGS,
) -> list[str]:
    total, _ = _merged(report.segments)
    cells = [
        HEADINGS,
        *(_segment_cells(row, last) for row, last in rows),
        ["total", "0.000", f"{total.end_seconds:.3f}", *_count_cells(total)],
    ]
    lines = aligned([row[HEADINGS.index(name)] for name in columns] for row in cells)
    rule = glyphs.floor * len(lines[0])
    room = min(LONGEST_BAR, width - len(lines[0]) - 2)
    if room >= 4:
        rates = [row.token_rate for row, _ in rows] + [total.token_rate]
        bars = ["", *(charts.bar(rate, room, glyphs) for rate in rates)]
        lines = [f"{line}  {drawn}".rstrip() for line, drawn in zip(lines, bars, strict=True)]
    return [*lines[:-1], rule, lines[-1]]


def _segment_cells(row: SegmentReport, last: int | None = None) -> list[str]:
    """A row of the human table; `last` is the last segment where several were merged."""
    name = str(row.number) if last is None or last == row.number else f"{row.number}-{last}"
    return [name, f"{row.start_seconds:.3f}", f"{row.end_seconds:.3f}", *_count_cells(row)]


def _count_cells(row: SegmentReport) -> list[str]:
    """Positions, tokens, rate and bytes of a row."""
    return [
        f"{row.positions:,}",
        f"{row.tokens:,}",
        f"{row.token_rate:.3f}",
        f"{row.map_bytes:,}",
        f"{row.motion_bytes:,}",
        f"{row.token_bytes:,}",
    ]


def _merged(segments: Sequence[SegmentReport]) -> Merged:
    """One row for several neighbours."""
    first, last = segments[0], segments[-1]
    positions = sum(row.positions for row in segments)
    tokens = sum(row.tokens for row in segments)
    whole = dataclasses.replace(
        first,
        end_seconds=last.end_seconds,
        frames=sum(row.frames for row in segments),
        positions=positions,
        tokens=tokens,
        token_rate=tokens / positions,
        map_bytes=sum(row.map_bytes for row in segments),
        motion_bytes=sum(row.motion_bytes for row in segments),
        token_bytes=sum(row.token_bytes for row in segments),
    )
    return whole, last.number


def heat_title(report: StatsReport) -> str:
    """What the heat map shows."""
    of = "" if report.of_segment is None else f" of segment {report.of_segment}"
    return f"token rate over the frame{of}"


def heat_text(report: StatsReport, width: int, glyphs: charts.Glyphs) -> list[str]:
    """Lines of the heat map without colour, at most `width` columns wide."""
    blocks = charts.block_means(report.rate_over_frame)
    low, high = charts.scale(blocks)
    frame = charts.heat_map(blocks, width - 2, glyphs)
    edge = f"+{'-' * len(frame[0])}+"
    title = f"{heat_title(report)}, {low:.2f} '{glyphs.shades}' {high:.2f}"
    return [title, edge, *(f"|{line}|" for line in frame), edge]


def _print_in_colour(report: StatsReport, width: int) -> None:
    """The chart, and the heat map beside it where that fits, else below."""
    from rich.console import Console
    from rich.text import Text

    blocks = charts.block_means(report.rate_over_frame)
    low, high = charts.scale(blocks)
    legend = Text.assemble(f"{low:.2f} ", *charts.legend_in_colour(), f" {high:.2f}")
    fits = width >= NARROWEST_BESIDE
    columns, most = (min(width // 2, width - 40) - 2, HIGHEST_BESIDE) if fits else (width, width // 2)
    heat = [Text.assemble(*line) for line in charts.heat_map_in_colour(blocks, columns, most)]
    rows = max(charts.CHART_ROWS, (len(heat) - 1) // 2 * 2) if fits else charts.CHART_ROWS
    across = width - max(len(heat_title(report)), len(legend), len(heat[0])) - GAP if fits else width
    chart = [Text(line) for line in chart_text(report, across, charts.BLOCKS, rows)]
    beside = [Text(heat_title(report)), *heat, legend]
    if fits:
        gap = max(map(len, chart)) + GAP
        lines = [
            Text.assemble(left.plain.ljust(gap), right)
            for left, right in zip_longest(chart, beside, fillvalue=Text())
        ]
    else:
        lines = [*chart, Text(), *beside]
    console = Console(highlight=False, width=width)
    with console.capture() as captured:
        for line in lines:
            line.rstrip()
            console.print(line, no_wrap=True, overflow="crop")
    print_out(captured.get().rstrip("\n"))
