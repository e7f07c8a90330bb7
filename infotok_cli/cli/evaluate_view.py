"""What `infotok eval` shows: a progress bar and tables."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from infotok_cli.cli.output import tell
from infotok_cli.evaluate.bootstrap import LEVEL, Interval
from infotok_cli.evaluate.compare import Comparison, Matched, compare, match, reference_curve
from infotok_cli.evaluate.metric_table import METRICS, Metric, shares
from infotok_cli.evaluate.results import ClipResult
from infotok_cli.evaluate.summary import Summary, summarize
from infotok_cli.wording import counted

WIDE_COLUMNS = 120

INTERVAL = f"{LEVEL:.0%}"
"""Heading of intervals."""
ARROWS = {"up": "↑", "down": "↓"}


class Watch:
    """Progress bar over measurements on stderr, where that is a terminal."""

    def __init__(self, total: int) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        )
        self._task = self._progress.add_task("measuring", total=total)
        self._kept = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
        if self._kept and kind is None:
            were = "was" if self._kept == 1 else "were"
            tell(f"{counted(self._kept, 'measurement')} {were} there already")

    def advance(self, row: ClipResult, kept: bool) -> None:
        point = f"crf {row.crf}" if row.crf is not None else f"{row.router} {row.rate:g}"
        self._kept += kept
        self._progress.update(
            self._task, advance=1, description=f"{row.clip} {row.codec} {point}: {row.psnr_db:.2f} dB"
        )


def show(rows: Sequence[ClipResult]) -> None:
    """Print means over clips, segment seams and, where there are several curves, comparisons."""
    summaries = summarize(rows)
    # Without a terminal nobody folds long lines but we ourselves.
    console = Console() if sys.stdout.isatty() else Console(width=WIDE_COLUMNS)
    console.print(summary_table(summaries))
    if len({summary.clips for summary in summaries}) > 1:
        console.print("These are means over unlike numbers of clips, which do not compare (column clips).")
    sampled = [metric for metric in _shown(summaries) if metric.every > 1]
    if sampled:
        console.print(f"\nSampled ({shares(sampled, 'shown')}); arrows point where it gets better")
        console.print(sampled_table(summaries, sampled))
    if any(summary.seam_flicker is not None or summary.start_db is not None for summary in summaries):
        console.print("\nSegments: frames at their starts and ends against the rest, flicker across cuts")
        console.print(seam_table(summaries))
    matched = match(rows)
    if matched:
        console.print("\nAnchors at our bits, PSNR dB (of clips: the anchor has such sizes)")
        console.print(matched_table(matched))
    pairs = compare(rows)
    if pairs:
        reference = reference_curve(rows)
        console.print(f"\nBits for the same quality, against {reference} (BD-rate, mean over clips)")
        console.print(comparison_table(pairs, reference))
        if all(row.bd_rate_interval is None for row in pairs):
            console.print("There are no intervals: one clip says nothing of how clips differ.")


def summary_table(summaries: Sequence[Summary]) -> Table:
    """A row per curve and setting; ±: of PSNR over clips; map: bits of the keep map per position."""
    psnr, *metrics = [metric for metric in _shown(summaries) if metric.every == 1]
    unlike = len({row.clips for row in summaries}) > 1
    names = [
        "at",
        *(["clips"] if unlike else []),
        "kept",
        psnr.shown,
        "±",
        *(metric.shown for metric in metrics),
    ]
    table = _table(["curve"], [*names, "bpp", "BPP16", "map", "encode", "decode"])
    for row in summaries:
        table.add_row(
            row.curve,
            f"crf {row.crf}" if row.setting is None else f"{row.setting.rate:g}",
            *([str(row.clips)] if unlike else []),
            _number(row.token_rate, "{:.4f}"),
            _value(row, psnr),
            f"{row.psnr_db_deviation:.2f}",
            *(_value(row, metric) for metric in metrics),
            f"{row.bpp:.4f}",
            _number(row.bpp16_nominal, "{:.3f}"),
            _number(row.map_bits_per_position, "{:.3f}"),
            f"{row.encode_speed:.1f}x",
            f"{row.decode_speed:.1f}x",
        )
    return table


def sampled_table(summaries: Sequence[Summary], metrics: Sequence[Metric]) -> Table:
    """A row per curve and setting: metrics that look at a share of the frames."""
    table = _table(["curve"], ["at", *(f"{metric.shown} {ARROWS[metric.better]}" for metric in metrics)])
    for row in summaries:
        at = f"crf {row.crf}" if row.setting is None else f"{row.setting.rate:g}"
        table.add_row(row.curve, at, *(_value(row, metric) for metric in metrics))
    return table


def seam_table(summaries: Sequence[Summary]) -> Table:
    """A row per curve and setting: what cuts between segments cost."""
    table = _table(["curve"], ["at", "start dB", "end dB", "flicker at cuts", "at steps", "inside"])
    for row in summaries:
        table.add_row(
            row.curve,
            f"crf {row.crf}" if row.setting is None else f"{row.setting.rate:g}",
            _number(row.start_db, "{:+.2f}"),
            _number(row.end_db, "{:+.2f}"),
            _number(row.seam_flicker, "{:.2f}"),
            _number(row.step_flicker, "{:.2f}"),
            _number(row.inside_flicker, "{:.2f}"),
        )
    return table


def matched_table(matched: Sequence[Matched]) -> Table:
    """A row per setting of ours and anchor."""
    table = _table(["curve"], ["rate", "bpp", "PSNR dB", "anchor", "PSNR dB", "of clips"])
    for row in matched:
        table.add_row(
            row.curve,
            f"{row.setting.rate:g}",
            f"{row.bpp:.4f}",
            f"{row.psnr_db:.2f}",
            row.against,
            f"{row.against_psnr_db:.2f}",
            f"{row.clips}/{row.of_clips}",
        )
    return table


def comparison_table(pairs: Sequence[Comparison], reference: str) -> Table:
    """A row per curve and metric, against one of the curves; behind a difference its interval."""
    columns = ["bits", INTERVAL, "±", "quality", INTERVAL, "tokens", INTERVAL, "clips", "overlap"]
    table = _table(["curve", "metric"], columns)
    for row in pairs:
        if row.reference == reference:
            table.add_row(
                row.test,
                row.metric,
                f"{row.bd_rate_percent:+.1f} %",
                _interval(row.bd_rate_interval, "{:+.1f}"),
                f"{row.bd_rate_deviation:.1f}",
                _number(row.bd_quality, "{:+.3g}"),
                _interval(row.bd_quality_interval, "{:+.3g}"),
                _number(row.bd_token_percent, "{:+.1f} %"),
                _interval(row.bd_token_interval, "{:+.1f}"),
                f"{row.clips}/{row.of_clips}",
                f"{row.overlap:.0%}",
            )
    return table


def _interval(interval: Interval | None, form: str) -> str:
    return "–" if interval is None else f"{form.format(interval.low)} to {form.format(interval.high)}"


def _table(words: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, collapse_padding=True)
    for name in words:
        table.add_column(name, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _shown(summaries: Sequence[Summary]) -> list[Metric]:
    """Metrics that any row has."""
    return [
        metric
        for metric in METRICS.values()
        if any(getattr(row, metric.key) is not None for row in summaries)
    ]


def _value(row: Summary, metric: Metric) -> str:
    return _number(getattr(row, metric.key), f"{{:.{metric.decimals}f}}")


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)
