"""Every clip at every setting: planned, looked up in the journal, and what is left measured."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from infotok_cli.allocation.budgets import check_fit
from infotok_cli.codec.load_engine import check_masking
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.evaluate.anchors import check_size, find_anchor
from infotok_cli.evaluate.clips import clip_sha256, end_after
from infotok_cli.evaluate.journal import MEASURING_CODE, Journal, code_sha256, key_of
from infotok_cli.evaluate.measure import anchor_encoder
from infotok_cli.evaluate.metric_table import DEFAULT_METRICS, in_order
from infotok_cli.evaluate.results import AnchorSetting, ClipResult, Wanted
from infotok_cli.evaluate.workers import Task, measure_in_processes, measure_task
from infotok_cli.model.engine import Engine
from infotok_cli.video.reader import open_video
from infotok_cli.video.video_info import scaled_size

Progress = Callable[[ClipResult, bool], None]
"""Called with each row, and whether it came out of the journal."""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What is to be measured."""

    clips: Sequence[Path]
    settings: Sequence[Wanted]
    options: EncodeOptions
    """What all settings share: frame range, size, segment length."""
    metrics: tuple[str, ...] = DEFAULT_METRICS
    """Names of what is measured."""

    def segment_frames(self, engine: Engine) -> int:
        """Frames per segment: those asked for, or the model's own."""
        return self.options.segment_frames or engine.loaded.config.segment_frames


def check_settings(sweep: Sweep, engine: Engine) -> None:
    """Raise UsageError for a router the weights were not trained for, ModelError where they lack a fit."""
    for wanted in sweep.settings:
        if isinstance(wanted, AnchorSetting):
            continue
        chosen = wanted.applied_to(sweep.options)
        check_masking(engine, chosen)
        if chosen.budget is not None:
            check_fit(chosen.budget, chosen.router, engine.loaded.fits, str(engine.loaded.path))


def run_sweep(
    sweep: Sweep,
    engine: Engine,
    *,
    journal: Journal | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> list[ClipResult]:
    """Measure every clip at every setting that the journal does not hold yet; rows in the order planned.

    With more than one job the tasks are shared out to processes that load the model anew, each with its
    share of the processor's cores. Before anything is measured it raises InputError for a clip that cannot
    be, and what `check_settings` raises.
    """
    check_settings(sweep, engine)
    journal = journal or Journal()
    tasks = _plan(sweep, engine)
    rows: dict[int, ClipResult] = {}
    left: dict[int, Task] = {}
    for number, task in enumerate(tasks):
        row = journal.find(task.key, task.clip.name)
        if row is None:
            left[number] = task
            continue
        rows[number] = row
        if progress is not None:
            progress(row, True)
    measured = _one_by_one(left, engine) if jobs == 1 else measure_in_processes(left, engine, jobs)
    with contextlib.closing(measured):
        for number, row in measured:
            rows[number] = row
            journal.add(tasks[number].key, row)
            if progress is not None:
                progress(row, False)
    return [rows[number] for number in range(len(tasks))]


def _plan(sweep: Sweep, engine: Engine) -> list[Task]:
    length = sweep.segment_frames(engine)
    metrics = in_order(sweep.metrics)
    tasks = []
    for clip in sweep.clips:
        options = _until_a_time(clip, sweep.options)
        with open_video(clip) as video:
            size = scaled_size(video.info.width, video.info.height, options.short_side)
        for wanted in sweep.settings:
            if isinstance(wanted, AnchorSetting):
                check_size(find_anchor(wanted.anchor), size, str(clip))
                chosen = options
            else:
                chosen = wanted.applied_to(options)
            key = _key(clip, wanted, chosen, segment_frames=length, engine=engine, metrics=metrics)
            tasks.append(Task(key, clip, wanted, chosen, length, metrics))
    return tasks


def _until_a_time(clip: Path, options: EncodeOptions) -> EncodeOptions:
    """The options with a time in the place of a number of frames, which is the same for anchors."""
    if options.frames is None:
        return options
    ends = (end_after(clip, options.frames), options.end_seconds)
    end = min((end for end in ends if end is not None), default=None)
    return replace(options, frames=None, end_seconds=end)


def _key(
    clip: Path,
    wanted: Wanted,
    options: EncodeOptions,
    *,
    segment_frames: int,
    engine: Engine,
    metrics: tuple[str, ...],
) -> str:
    facts = {"clip": clip_sha256(clip), "segment_frames": segment_frames, "metrics": metrics}
    if isinstance(wanted, AnchorSetting):
        kept = ("start_seconds", "end_seconds", "short_side")
        facts |= {name: getattr(options, name) for name in kept}
        facts |= {"encoder": anchor_encoder(find_anchor(wanted.anchor)), "crf": wanted.crf}
        facts["code"] = code_sha256(*MEASURING_CODE)
        return key_of({**facts, "codec": wanted.anchor})
    facts |= {"weights": engine.loaded.sha256, "options": asdict(options), "codec": "infotok"}
    facts["code"] = code_sha256()
    runtime = engine.runtime
    facts |= {"device": runtime.device.type, "precision": runtime.precision, "backend": runtime.backend}
    return key_of(facts)


def _one_by_one(tasks: dict[int, Task], engine: Engine) -> Generator[tuple[int, ClipResult]]:
    for number, task in tasks.items():
        yield number, measure_task(task, engine)
