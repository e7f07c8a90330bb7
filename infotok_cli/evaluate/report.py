"""Everything a run of the evaluation found out, as one JSON object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from infotok_cli import __version__
from infotok_cli.evaluate import bootstrap
from infotok_cli.evaluate.compare import compare, match
from infotok_cli.evaluate.metric_table import METRIC_NAMES, in_order
from infotok_cli.evaluate.results import SCHEMA, SCHEMA_VERSION, ClipResult
from infotok_cli.evaluate.summary import summarize
from infotok_cli.evaluate.sweep import Sweep
from infotok_cli.model.engine import Engine
from infotok_cli.video.encoders import library_versions


def as_json(results: Sequence[ClipResult], sweep: Sweep, engine: Engine) -> dict[str, Any]:
    """The object that `infotok eval` writes and prints as JSON; docs/EVAL.md names its parts."""
    return {
        "schema": SCHEMA,
        "version": SCHEMA_VERSION,
        "infotok": __version__,
        "libraries": library_versions(),
        "model": {"name": engine.loaded.config.name, "sha256": engine.loaded.sha256},
        "device": engine.runtime.device.type,
        "precision": engine.runtime.precision,
        "backend": engine.runtime.backend,
        "metrics": [asdict(METRIC_NAMES[name]) for name in in_order(sweep.metrics)],
        "options": _options(sweep, engine),
        "bootstrap": bootstrap.settings(),
        "summary": [asdict(row) for row in summarize(results)],
        "matched": [asdict(row) for row in match(results)],
        "comparisons": [asdict(row) for row in compare(results)],
        "clips": [asdict(row) for row in results],
    }


def _options(sweep: Sweep, engine: Engine) -> dict[str, Any]:
    """What all settings share, and the settings; what each of them sets itself is not shared."""
    shared = asdict(sweep.options)
    for name in ("rate", "router", "allocation", "budget"):
        del shared[name]
    shared["segment_frames"] = sweep.segment_frames(engine)
    return {**shared, "settings": [asdict(setting) for setting in sweep.settings]}


def merged(measured: Sequence[ClipResult], earlier: Sequence[ClipResult]) -> list[ClipResult]:
    """Rows of this run and of earlier ones of the same clips, frames and size.

    Of the same clip at the same setting the first row stays. Rows of other clips are left out: means over
    different clips do not compare.
    """
    rows = {(row.clip_key, row.wanted): row for row in measured}
    clips = {row.clip_key for row in measured}
    for row in earlier:
        if row.clip_key in clips:
            rows.setdefault((row.clip_key, row.wanted), row)
    return list(rows.values())
