"""Rate-distortion curves as a picture; matplotlib is imported only here and only when it is drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from infotok_cli.atomic import atomic_path
from infotok_cli.errors import UsageError
from infotok_cli.evaluate.bootstrap import LEVEL
from infotok_cli.evaluate.compare import curves, reference_curve
from infotok_cli.evaluate.differences import difference
from infotok_cli.evaluate.metric_table import Metric, measured
from infotok_cli.evaluate.published import PUBLISHED
from infotok_cli.evaluate.results import ClipResult
from infotok_cli.evaluate.summary import Summary, summarize

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLOT_SUFFIXES = (".png", ".svg", ".pdf")

MARKERS = "osD^vPX*"

BPP16_PER_BPP = 16

Drawing = Callable[["Axes"], None]
"""Fills a panel."""


def check_plot(path: Path) -> None:
    """Raise UsageError for a name that is not that of a picture, or when matplotlib is missing."""
    if path.suffix.lower() not in PLOT_SUFFIXES:
        raise UsageError(
            f"`plot` {path} is not a picture", way_out=f"choose a name in {', '.join(PLOT_SUFFIXES)}"
        )
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "`plot` needs matplotlib",
            way_out="install it with pip install 'infotok[plots]', or leave `plot` out",
        ) from error


def plot_curves(
    results: Sequence[ClipResult], path: Path, overwrite: bool = False, *, published: bool = False
) -> None:
    """Draw means over clips against bits per pixel, a panel per metric that all rows have.

    With several curves a panel beside it has how far they are from the first anchor, or else the first
    curve, at equal bits, the interval of `difference` shaded. A curve is drawn through its settings in order
    of rate; at rate 1, measured once, all curves of the same weights meet. `published` adds a panel of PSNR
    over BPP16 with results of others. Raises UsageError as `check_plot`, OutputError if the file cannot be
    written.
    """
    check_plot(path)
    from matplotlib.figure import Figure

    lines = plot_lines(results)
    drawings: list[Drawing] = []
    for metric in measured(results):
        drawings.append(partial(_draw, lines=lines, metric=metric))
        if len(lines) > 1:
            drawings.append(partial(_draw_differences, results=results, lines=lines, metric=metric))
    if published:
        drawings.append(partial(_draw_published, lines=lines))
    rows = math.ceil(len(drawings) / 2)
    figure = Figure(figsize=(11, 4.2 * rows), layout="constrained")
    panels = figure.subplots(rows, 2, squeeze=False).ravel()
    for panel in panels[len(drawings) :]:
        panel.set_axis_off()
    for draw, panel in zip(drawings, panels, strict=False):
        draw(panel)
    panels[0].legend(fontsize="small")
    with atomic_path(path, overwrite) as temporary:
        figure.savefig(temporary, dpi=150)


def _draw(panel: Axes, lines: dict[str, list[Summary]], metric: Metric) -> None:
    for number, (name, points) in enumerate(lines.items()):
        panel.plot(
            [point.bpp for point in points],
            [getattr(point, metric.key) for point in points],
            marker=MARKERS[number % len(MARKERS)],
            linestyle="--" if points[0].setting is None else "-",
            markersize=4,
            label=name,
        )
    _label(panel, "bits per pixel, whole files")
    panel.set_ylabel(metric.shown)
    if metric.better == "down":
        panel.invert_yaxis()
        panel.set_ylabel(f"{metric.shown} (less is better)")


def _draw_differences(
    panel: Axes, results: Sequence[ClipResult], lines: dict[str, list[Summary]], metric: Metric
) -> None:
    """Colours are those of `_draw`."""
    gathered = curves(results)
    reference = reference_curve(results)
    panel.axhline(0, color="grey", linewidth=1)
    for number, name in enumerate(lines):
        found = None if name == reference else difference(gathered[reference], gathered[name], metric.key)
        if found is None:
            continue
        style = "--" if lines[name][0].setting is None else "-"
        panel.plot(found.bpp, found.value, color=f"C{number % 10}", linestyle=style)
        if found.low is not None and found.high is not None:
            panel.fill_between(
                found.bpp, found.low, found.high, color=f"C{number % 10}", alpha=0.2, linewidth=0
            )
    _label(panel, f"bits per pixel (shaded: {LEVEL:.0%} interval over clips, paired)")
    panel.set_ylabel(f"{metric.shown}, difference from {reference}")
    if metric.better == "down":
        panel.invert_yaxis()


def _draw_published(panel: Axes, lines: dict[str, list[Summary]]) -> None:
    """PSNR over BPP16: ours by the nominal figure and by the bits of whole files, and published results."""
    ours = {name: points for name, points in lines.items() if points[0].setting is not None}
    for number, (name, points) in enumerate(ours.items()):
        colour, marker = f"C{list(lines).index(name) % 10}", MARKERS[number % len(MARKERS)]
        qualities = [point.psnr_db for point in points]
        nominal = [point.bpp16_nominal or math.nan for point in points]
        panel.plot(
            nominal, qualities, "-", marker=marker, markersize=4, color=colour, label=f"{name}, nominal"
        )
        real = [BPP16_PER_BPP * point.bpp for point in points]
        panel.plot(
            real, qualities, ":", marker=marker, markersize=4, color=colour, fillstyle="none",
            label=f"{name}, real bits",
        )  # fmt: skip
    for number, (tokenizer, clips) in enumerate(dict.fromkeys((p.tokenizer, p.clips) for p in PUBLISHED)):
        reported = [point for point in PUBLISHED if (point.tokenizer, point.clips) == (tokenizer, clips)]
        panel.plot(
            [point.bpp16 for point in reported],
            [point.psnr_db for point in reported],
            MARKERS[-1 - number],
            color="black",
            fillstyle="none",
            label=f"{tokenizer} ({clips})",
        )
    _label(panel, "BPP16: bits per pixel in sixteenths")
    panel.set_ylabel("PSNR dB")
    panel.set_title("published results are of other clips", fontsize="medium")
    panel.legend(fontsize="x-small")


def _label(panel: Axes, rates: str) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    panel.set_xscale("log")
    panel.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter("{x:.3g}")
    panel.set_xlabel(rates)
    panel.grid(alpha=0.3)


def plot_lines(results: Sequence[ClipResult]) -> dict[str, list[Summary]]:
    """Points of each curve by bits, those at rate 1 shared among the curves of a model."""
    summaries = summarize(results)
    whole = [point for point in summaries if point.setting is not None and point.setting.rate == 1]
    lines: dict[str, list[Summary]] = {}
    for point in summaries:
        lines.setdefault(point.curve, []).append(point)
    for points in lines.values():
        if all(point.setting is not None and point.setting.rate != 1 for point in points):
            points.extend([point for point in whole if _of(point) == _of(points[0])][:1])
        points.sort(key=lambda point: point.bpp)
    return lines


def _of(point: Summary) -> tuple[object, ...]:
    """What curves share that meet at rate 1."""
    return (point.weights_sha256, point.refine, point.segment_frames)
