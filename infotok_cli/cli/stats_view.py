"""The human form of `infotok stats`: a chart over time, a heat map of the frame, a table with bars."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence

from infotok_cli.cli import charts, render
from infotok_cli.cli.output import can_show, print_out, terminal_height, terminal_width
from infotok_cli.itk.report import SegmentReport, StatsReport
from infotok_cli.wording import counted

_FEWEST_ROWS = 8
LONGEST_BAR = 40
HEADINGS = ("segment", "start s", "end s", "positions", "tokens", "rate", "map B", "token B")

Merged = tuple[SegmentReport, int]
"""Several neighbouring segments in one row, and the number of the last."""


def print_stats(report: StatsReport, *, summary: bool = False) -> None:
    """Print a report to fit the terminal, in colour where it has some; summary: without the table."""
    terminal = sys.stdout.isatty()
    blocks = can_show(charts.BLOCKS.fractions + charts.BLOCKS.shades)
    glyphs = charts.BLOCKS if blocks else charts.ASCII
    width = terminal_width()
    print_out("\n".join([total_line(report), "", *chart_text(report, width, glyphs)]))
    _print_heat_map(report, glyphs, colour=blocks and charts.wants_colour(terminal))
    if not summary:
        most = rows_on_a_screen() if terminal else None
        print_out("\n".join(["", *table_text(report, width, glyphs, most_rows=most)]))


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


def chart_text(report: StatsReport, width: int, glyphs: charts.Glyphs) -> list[str]:
    """Lines of the chart over time, at most `width` columns wide."""
    segments = report.segments
    chart = charts.over_time(
        [row.end_seconds for row in segments],
        [row.token_rate for row in segments],
        [row.positions for row in segments],
        min(width, 100),
        glyphs,
    )
    return ["token rate over time", *chart]


def table_text(report: StatsReport, width: int, glyphs: charts.Glyphs, *, most_rows: int | None) -> list[str]:
    """Lines of the table, `width` columns wide; neighbouring segments share a row beyond `most_rows`."""
    segments = report.segments
    step = -(-len(segments) // most_rows) if most_rows else 1
    rows = [_merged(segments[at : at + step]) for at in range(0, len(segments), step)]
    lines = _table(report, rows, width, glyphs)
    if step > 1:
        lines += [f"Each row is {step} neighbouring segments; --json and --csv list every one."]
    return lines


def _table(report: StatsReport, rows: Sequence[Merged], width: int, glyphs: charts.Glyphs) -> list[str]:
    total, _ = _merged(report.segments)
    cells = [
        HEADINGS,
        *(render.segment_cells(row, last) for row, last in rows),
        ["total", "0.000", f"{total.end_seconds:.3f}", *render.count_cells(total)],
    ]
    lines = render.aligned(cells)
    room = min(LONGEST_BAR, width - len(lines[0]) - 2)
    if room >= 4:
        rates = [row.token_rate for row, _ in rows] + [total.token_rate]
        bars = ["", *(charts.bar(rate, room, glyphs) for rate in rates)]
        lines = [f"{line}  {drawn}".rstrip() for line, drawn in zip(lines, bars, strict=True)]
    return [*lines[:-1], glyphs.floor * len(render.aligned(cells)[0]), lines[-1]]


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
        token_bytes=sum(row.token_bytes for row in segments),
    )
    return whole, last.number


def _print_heat_map(report: StatsReport, glyphs: charts.Glyphs, *, colour: bool) -> None:
    blocks, columns = charts.block_means(report.rate_over_frame), terminal_width() - 2
    low, high = charts.scale(blocks)
    title = "token rate over the frame"
    if not colour:
        legend = f"{low:.2f} '{glyphs.shades}' {high:.2f}"
        frame = charts.heat_map(blocks, columns, glyphs)
        edge = f"+{'-' * len(frame[0])}+"
        print_out("\n".join(["", f"{title}, {legend}", edge, *(f"|{line}|" for line in frame), edge]))
        return
    from rich.console import Console
    from rich.text import Text

    legend_text = Text.assemble(f"{low:.2f} ", *charts.legend_in_colour(), f" {high:.2f}")
    lines = [Text.assemble(*line) for line in charts.heat_map_in_colour(blocks, columns)]
    console = Console(highlight=False)
    with console.capture() as captured:
        console.print(Text.assemble("\n", title, ", ", legend_text), *lines, sep="\n", no_wrap=True)
    print_out(captured.get().rstrip("\n"))
