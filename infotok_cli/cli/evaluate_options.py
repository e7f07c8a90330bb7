"""Options of `infotok eval`: what is measured, and the files that are written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infotok_cli.atomic import atomic_output
from infotok_cli.cli import options
from infotok_cli.cli.file_checks import check_file_output
from infotok_cli.errors import OutputError, UsageError
from infotok_cli.evaluate.metric_table import DEFAULT_METRICS, METRIC_NAMES, in_order, shares
from infotok_cli.routers import ALLOCATIONS, ROUTERS

if TYPE_CHECKING:
    from infotok_cli.codec.options import EncodeOptions
    from infotok_cli.evaluate.results import ClipResult
    from infotok_cli.evaluate.sweep import Sweep
    from infotok_cli.model.engine import Engine

COMPARE_PANEL = "What is measured"


@dataclass(frozen=True, kw_only=True)
class MeasureOptions:
    """Settings of ours and of other codecs, and what is measured of each."""

    rates: Annotated[
        str,
        typer.Option(
            metavar="R,R,...", help="Token rates, separated by commas.", rich_help_panel=COMPARE_PANEL
        ),
    ] = "1,0.75,0.5,0.25"
    routers: Annotated[
        str,
        typer.Option(
            metavar="NAME,...", help=f"Routers: {', '.join(ROUTERS)}.", rich_help_panel=COMPARE_PANEL
        ),
    ] = "fast"
    allocations: Annotated[
        str,
        typer.Option(
            metavar="NAME,...", help=f"Allocations: {', '.join(ALLOCATIONS)}.", rich_help_panel=COMPARE_PANEL
        ),
    ] = "block"
    calibrated: Annotated[
        bool,
        typer.Option(
            "--calibrated",
            help="Take rates as averages over typical footage, as 'infotok encode --calibrated-rate' does.",
            rich_help_panel=COMPARE_PANEL,
        ),
    ] = False
    anchors: Annotated[
        str,
        typer.Option(
            metavar="NAME,...",
            help="Conventional codecs to compare with: x264, x265, svt-av1 (all: these three), "
            "x264-psnr, x265-psnr.",
            show_default="none",
            rich_help_panel=COMPARE_PANEL,
        ),
    ] = ""
    crfs: Annotated[
        str,
        typer.Option(
            metavar="N,N,...",
            help="CRFs of every anchor, separated by commas.",
            show_default="a grid of nine for each",
            rich_help_panel=COMPARE_PANEL,
        ),
    ] = ""
    anchors_keyint: Annotated[
        str,
        typer.Option(
            "--anchors-keyint",
            metavar="N",
            help="Also measure every anchor with a keyframe at least every N frames; 'segment' means once a "
            "segment, as ours.",
            show_default="each encoder's own only",
            rich_help_panel=COMPARE_PANEL,
        ),
    ] = ""
    metrics: Annotated[
        str,
        typer.Option(
            metavar="NAME,...",
            help=f"Metrics: {', '.join(METRIC_NAMES)} ({shares(METRIC_NAMES.values(), 'name')}). All but the "
            "first three need the extra 'perceptual'. PSNR is always measured.",
            rich_help_panel=COMPARE_PANEL,
        ),
    ] = ",".join(DEFAULT_METRICS)

    def sweep(self, clips: Sequence[Path], shared: EncodeOptions) -> Sweep:
        """All of it over these clips, with what all settings share; raises UsageError and InputError."""
        from infotok_cli.cli.evaluate_settings import parse_anchors, parse_keyint, parse_settings
        from infotok_cli.evaluate.clips import find_clips
        from infotok_cli.evaluate.quality import check_metrics
        from infotok_cli.evaluate.sweep import Sweep

        settings = parse_settings(self.rates, self.routers, self.allocations, calibrated=self.calibrated)
        anchors = parse_anchors(self.anchors, self.crfs)
        if self.anchors_keyint:
            parse_keyint(self.anchors_keyint, self.anchors)
        metrics = in_order(self.metrics.split(","))
        check_metrics(metrics)
        return Sweep(clips=find_clips(clips), settings=[*settings, *anchors], options=shared, metrics=metrics)

    def also_keyed(self, sweep: Sweep, engine: Engine) -> Sweep:
        """The sweep with its anchors once more as `anchors_keyint` says, if it does."""
        from infotok_cli.cli.evaluate_settings import also_with_keyframes, parse_keyint

        if not self.anchors_keyint:
            return sweep
        frames = parse_keyint(self.anchors_keyint, self.anchors) or sweep.segment_frames(engine)
        return replace(sweep, settings=also_with_keyframes(sweep.settings, frames))


@dataclass(frozen=True, kw_only=True)
class TargetOptions:
    """The files a run writes."""

    output: Annotated[
        Path | None,
        options.output_option(
            "OUT.json",
            "Write all results to this .json file, and each measurement as it is made to a .jsonl file "
            "beside it.",
        ),
    ] = None
    csv: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            metavar="OUT.csv",
            help="Write a CSV row per clip and setting.",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None
    compare_csv: Annotated[
        Path | None,
        typer.Option(
            "--compare-csv",
            metavar="OUT.csv",
            help="Write a CSV row per pair of curves and metric: differences and their confidence intervals.",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            metavar="OUT.png",
            help="Draw rate-distortion curves into this .png, .svg or .pdf (needs the extra 'plots').",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = None
    published: Annotated[
        bool,
        typer.Option(
            "--published",
            help="Also plot what others have published about their tokenizers, on other clips.",
            rich_help_panel=options.OUTPUT_PANEL,
        ),
    ] = False

    @property
    def journal(self) -> Path | None:
        """The file that grows as measurements are made."""
        return self.output and self.output.with_suffix(".jsonl")

    def check(self, *, overwrite: bool, resume: bool) -> None:
        """Raise UsageError or OutputError now for what could not be written at the end."""
        from infotok_cli.evaluate.plots import check_plot

        if resume and self.journal is None:
            raise UsageError(
                "--resume needs --output", way_out="name the results file of the run that was interrupted"
            )
        if self.journal is not None and self.journal == self.output:
            raise UsageError(
                f"--output {self.output} is where measurements are listed", way_out="choose a .json file"
            )
        if self.published and self.plot is None:
            raise UsageError("--published needs --plot", way_out="name a picture, or leave it out")
        if self.plot is not None:
            check_plot(self.plot)
        resumes = resume and self.journal is not None and self.journal.exists()
        if self.output is not None:
            check_file_output(self.output, overwrite or resumes)
        for path in (self.csv, self.compare_csv, self.plot):
            if path is None:
                continue
            if resume and not overwrite and path.exists():
                raise OutputError(
                    f"exists already, and --resume replaces only {self.output}",
                    way_out="give -y as well to overwrite it, or choose another name",
                    where=str(path),
                )
            check_file_output(path, overwrite)
        if self.journal is not None and self.journal.exists() and not (overwrite or resume):
            raise OutputError(
                "exists already, from an earlier run",
                way_out="resume that run with --resume, or start over with -y",
                where=str(self.journal),
            )

    def write(self, rows: Sequence[ClipResult], document: dict[str, object]) -> None:
        """Write them all, over what `check` found there; document: the results file's JSON object."""
        from infotok_cli.evaluate.compare import compare
        from infotok_cli.evaluate.comparison_csv import comparisons_as_csv
        from infotok_cli.evaluate.plots import plot_curves
        from infotok_cli.evaluate.results import as_csv

        if self.output is not None:
            with atomic_output(self.output, overwrite=True) as stream:
                stream.write(to_text(document).encode())
        if self.csv is not None:
            with atomic_output(self.csv, overwrite=True) as stream:
                stream.write(as_csv(rows).encode())
        if self.compare_csv is not None:
            with atomic_output(self.compare_csv, overwrite=True) as stream:
                stream.write(comparisons_as_csv(compare(rows)).encode())
        if self.plot is not None:
            plot_curves(rows, self.plot, overwrite=True, published=self.published)


def to_text(document: dict[str, object], *, is_line: bool = False) -> str:
    """JSON text of a run's results: indented, as a file has it, or all on one line."""
    return json.dumps(document, indent=None if is_line else 1)
