"""The pictures of `infotok stats` as a file: token rate over time and over the frame."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from infotok_cli.atomic import atomic_path
from infotok_cli.blocks import BLOCK
from infotok_cli.config import PATCH
from infotok_cli.evaluate.plots import check_plot
from infotok_cli.itk.report import StatsReport
from infotok_cli.view.drawing import BACKGROUND, BAR, HEAD, HEAT_COLOURS, INK, MUTED, Colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

TALLEST = 2.0
"""Height of a frame over its width, at most, in the layout."""


def draw_stats(
    report: StatsReport,
    blocks: NDArray[np.float64],
    path: Path,
    *,
    limits: tuple[float, float],
    title: str,
    map_title: str,
    overwrite: bool = False,
) -> None:
    """Draw a report into the picture `path`: rate of each step and segment over time, and over the frame.

    blocks: `[bh, bw]` the rate over the frame, by blocks. limits: rates at the ends of its colours.
    title: stands over it, map_title: over the frame. Raises UsageError as `check_plot`, OutputError if the
    file cannot be written.
    """
    check_plot(path)
    import matplotlib
    from matplotlib.figure import Figure

    header = report.file.header
    shape = header.height / (header.width * float(header.sample_aspect))
    shape = min(TALLEST, max(1 / TALLEST, shape))
    high = 3.6
    figure = Figure(
        figsize=(6.4 + high / shape, high + 0.9), layout="constrained", facecolor=_rgb(BACKGROUND)
    )
    over_time, over_frame = figure.subplots(1, 2, width_ratios=(6.4, high / shape))
    _draw_over_time(over_time, report)
    scale = figure.colorbar(
        _draw_over_frame(over_frame, report, blocks, limits), ax=over_frame, fraction=0.046, pad=0.03
    )
    over_frame.set_title(map_title, fontsize="medium")
    for panel in (over_time, over_frame, scale.ax):
        _dark(panel)
    figure.suptitle(title, color=_rgb(INK), fontsize="medium", parse_math=False)
    with atomic_path(path, overwrite) as temporary, matplotlib.rc_context({"svg.hashsalt": "infotok"}):
        figure.savefig(temporary, dpi=150, metadata=_undated(path))


def _undated(path: Path) -> dict[str, Any]:
    """The same report gives the same bytes."""
    return {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower(), {})


def _draw_over_time(panel: Axes, report: StatsReport) -> None:
    """An area for the steps, a line for the segments."""
    edges = np.concatenate(([0.0], report.step_ends))
    panel.stairs(report.step_rates, edges, fill=True, color=_rgb(BAR), label="latent step (4 frames)")
    segments = report.segments
    ends = [0.0, *(row.end_seconds for row in segments)]
    rates = [row.token_rate for row in segments]
    panel.stairs(rates, ends, baseline=None, color=_rgb(HEAD), linewidth=1.6, label="segment")
    if report.of_segment is not None:
        row = segments[report.of_segment]
        panel.axvspan(row.start_seconds, row.end_seconds, color=_rgb(INK), alpha=0.2, linewidth=0)
    panel.set_xlim(0, ends[-1])
    drawn = np.diff(edges) > 0
    panel.set_ylim(0, min(1.0, 1.25 * max(float(report.step_rates[drawn].max()), 0.1)))
    panel.set_xlabel("seconds")
    panel.set_title("token rate over time", fontsize="medium")
    panel.legend(
        loc="upper right",
        fontsize="small",
        facecolor=_rgb(BACKGROUND),
        edgecolor="none",
        labelcolor=_rgb(INK),
    )


def _draw_over_frame(
    panel: Axes, report: StatsReport, blocks: NDArray[np.float64], limits: tuple[float, float]
) -> AxesImage:
    """The heat map in the frame's shape; blocks that reach beyond the frame are cut off."""
    from matplotlib.colors import LinearSegmentedColormap

    header, (rows, columns) = report.file.header, blocks.shape
    high, wide = BLOCK[1] * PATCH[1], BLOCK[2] * PATCH[2]
    image = panel.imshow(
        blocks,
        cmap=LinearSegmentedColormap.from_list("heat", [_rgb(colour) for colour in HEAT_COLOURS]),
        interpolation="nearest",
        extent=(0, columns * wide, rows * high, 0),
        aspect=float(1 / header.sample_aspect),
        vmin=limits[0],
        vmax=limits[1],
    )
    panel.set_xlim(0, header.width)
    panel.set_ylim(header.height, 0)
    panel.set_xticks([])
    panel.set_yticks([])
    return image


def _dark(panel: Axes) -> None:
    """The colours of views."""
    panel.set_facecolor(_rgb(BACKGROUND))
    panel.tick_params(colors=_rgb(MUTED))
    for name in (panel.xaxis.label, panel.yaxis.label, panel.title):
        name.set_color(_rgb(INK))
    for edge in panel.spines.values():
        edge.set_color(_rgb(MUTED))


def _rgb(colour: Colour) -> tuple[float, float, float]:
    red, green, blue = colour
    return red / 255, green / 255, blue / 255
