"""Rate-distortion curves as a picture; matplotlib is imported only here and only when it is drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from infotok_cli.atomic import atomic_path
from infotok_cli.errors import UsageError
from infotok_cli.evaluate.metric_table import Metric, measured
from infotok_cli.evaluate.results import ClipResult
from infotok_cli.evaluate.summary import Summary, summarize

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLOT_SUFFIXES = (".png", ".svg", ".pdf")

MARKERS = "osD^vPX*"


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


def plot_curves(results: Sequence[ClipResult], path: Path, overwrite: bool = False) -> None:
    """Draw means over clips, a panel per metric that all rows have, against bits per pixel.

    A curve is drawn through its settings in order of rate; at rate 1, measured once, all curves of the same
    weights meet. Raises UsageError as `check_plot`, OutputError if the file cannot be written.
    """
    check_plot(path)
    from matplotlib.figure import Figure

    metrics = measured(results)
    rows = math.ceil(len(metrics) / 2)
    figure = Figure(figsize=(11, 4.2 * rows), layout="constrained")
    panels = figure.subplots(rows, 2, squeeze=False).ravel()
    for panel in panels[len(metrics) :]:
        panel.set_axis_off()
    lines = plot_lines(results)
    for metric, panel in zip(metrics, panels, strict=False):
        _draw(panel, lines, metric)
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
    panel.set_xscale("log", base=2)
    panel.xaxis.set_major_formatter("{x:.3g}")
    panel.set_xlabel("bits per pixel, whole files")
    panel.set_ylabel(metric.shown)
    if metric.better == "down":
        panel.invert_yaxis()
        panel.set_ylabel(f"{metric.shown} (less is better)")
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
