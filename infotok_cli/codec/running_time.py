"""How long an encode will take on this machine, by encoding some of its first frames for trial."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from infotok_cli.allocation.budgets import Budget
from infotok_cli.blocks import LEAD_STEPS
from infotok_cli.codec.endpoints import FileInput, StreamOutput
from infotok_cli.codec.forecast import total_positions
from infotok_cli.codec.groups import group_size
from infotok_cli.codec.job import EncodeJob
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.codec.trials import is_trial, takes_trials
from infotok_cli.config import MIN_RATE
from infotok_cli.errors import InputError, UsageError
from infotok_cli.model.engine import Engine
from infotok_cli.video.first_frames import FirstFrames
from infotok_cli.video.reader import VideoReader
from infotok_cli.video.video_info import scaled_size

Encode = Callable[[FileInput, StreamOutput, Engine, EncodeOptions, None], object]

_TRIALS = (2048, 8192, 32_768, 131_072)
"""Positions that are encoded for trial, one number after the other; the first only wakes the machine up."""

_ENOUGH_SECONDS = 0.5
"""A trial that took so long is the last one."""

_SMALLEST_SIDE = 16


@dataclass(frozen=True)
class _Start(FileInput):
    """A file that is opened without a look at all its packets, as only its start is encoded."""

    def open_video(self, *, audio: bool) -> VideoReader:
        return self.glimpse()


@dataclass(frozen=True)
class _Sample:
    """The first frames of a video, made smaller where four of them would be too many positions."""

    frames: int
    options: EncodeOptions
    positions: int

    @classmethod
    def of(cls, job: EncodeJob, wanted: int, frames: int) -> _Sample:
        """About `wanted` positions of a job that has so many frames."""
        info, four = job.video.info, job.header.positions(4)
        steps = wanted // (four // (1 + LEAD_STEPS)) - LEAD_STEPS
        count, side = min(frames, max(4, steps * 4)), job.options.short_side
        if four > wanted:
            shorter = min(job.header.width, job.header.height)
            side = max(_SMALLEST_SIDE, math.floor(shorter * math.sqrt(wanted / four)))
        width, height = scaled_size(info.width, info.height, side)
        options = replace(
            job.options, frames=count, short_side=side, start_seconds=None, end_seconds=None, audio=False
        )
        return cls(count, options, total_positions(replace(job.header, width=width, height=height), count))


def expected_seconds(given: FileInput, job: EncodeJob, encode: Encode) -> float | None:
    """Seconds that `job`, an encode of `given`, is expected to take.

    encode: what encodes a sample, `codec.encode.encode_input`.
    None where its length is not known, or the first frames are damaged and `job` begins after them. Raises
    InputError where they are damaged and `job` begins with them.
    """
    frames = job.expected_frames
    if not frames:
        return None
    try:
        return _seconds_by_trials(given, job, encode, frames)
    except InputError:
        if not job.options.start_seconds:
            raise
        return None


def _seconds_by_trials(given: FileInput, job: EncodeJob, encode: Encode, frames: int) -> float:
    """`expected_seconds` of a job of this many frames."""
    positions = total_positions(job.header, frames)
    start = _Start(given.path, given.fps, given.skip_bad)
    for number, wanted in enumerate(_TRIALS):
        sample = _Sample.of(job, wanted, frames)
        options = replace(sample.options, **_spending(job.options, positions, frames / job.header.frame_rate))
        took = _encoding_seconds(start, job.engine, options, encode)
        if number and (took >= _ENOUGH_SECONDS or sample.frames == frames):
            break
    if takes_trials(options):
        plain = min(took, _encoding_seconds(start, job.engine, replace(options, budget=None), encode))
        took = plain + (took - plain) * _tried_share(job, frames)
    is_smaller = sample.options.short_side != job.options.short_side
    reading = min(took, _reading_seconds(start, sample.options)) if is_smaller else 0.0
    expected = reading * frames / sample.frames + (took - reading) * positions / sample.positions
    return expected * (2 if _is_read_twice(job, frames) else 1)


def _spending(options: EncodeOptions, positions: int, seconds: Fraction) -> dict[str, Any]:
    """The rate and the budget of a sample that spends as much of a second as the whole does."""
    budget = options.budget
    if budget is None or not budget.planner.surveys:
        return {}
    size = budget.planner.expected_bytes(budget.value, float(seconds))
    if size is not None:
        return {"budget": Budget("bitrate", 8 * size / float(seconds))}
    tokens = budget.planner.expected_tokens(budget.value, positions, float(seconds)) or 0
    return {"budget": None, "rate": min(1.0, max(MIN_RATE, tokens / positions))}


def _encoding_seconds(start: FileInput, engine: Engine, options: EncodeOptions, encode: Encode) -> float:
    """What an encode into memory takes; without a budget that so short a video cannot meet."""
    began = time.perf_counter()
    try:
        encode(start, StreamOutput(io.BytesIO()), engine, options, None)
    except UsageError:
        if options.budget is None:
            raise
        return _encoding_seconds(start, engine, replace(options, budget=None), encode)
    return time.perf_counter() - began


def _reading_seconds(start: FileInput, options: EncodeOptions) -> float:
    """What reading the frames of a sample takes, which does not depend on the size they are made."""
    began = time.perf_counter()
    with start.open_video(audio=False) as video:
        frames = video.timed_frames(short_side=options.short_side)
        for _ in FirstFrames(frames, options.frames):
            pass
    return time.perf_counter() - began


def _tried_share(job: EncodeJob, frames: int) -> float:
    """Share of the segments that are decoded to see their quality, as all segments of a sample are."""
    segments = min(group_size(job), -(-frames // job.header.segment_frames))
    return sum(is_trial(number, segments) for number in range(segments)) / segments


def _is_read_twice(job: EncodeJob, frames: int) -> bool:
    """As `groups_to_write` decides it."""
    budget = job.options.budget
    surveys = budget is not None and budget.planner.surveys
    return surveys and -(-frames // job.header.segment_frames) >= group_size(job)
