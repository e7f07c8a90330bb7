"""Video to .itk, from a file or a pipe and to a file or a pipe.

In groups of segments: every segment of a group is routed, tokens are allocated over the whole
group, then its segments are coded and written. Most budgets take one pass over the video; those
of the whole file take a pass before, unless the video is shorter than a group. With a pipe at either end
groups are short and every segment leaves as soon as its group is written.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import BinaryIO, Protocol

from infotok_cli.allocation.budgets import Budget, make_planner
from infotok_cli.allocation.planner import Planner
from infotok_cli.codec.endpoints import FileInput, Place, input_of, output_of
from infotok_cli.codec.forecast import Forecast, forecast, forecast_file
from infotok_cli.codec.groups import batch_size
from infotok_cli.codec.job import EncodeJob
from infotok_cli.codec.load_engine import check_masking
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.codec.passes import groups_to_write
from infotok_cli.codec.progress import EncodeProgress, Silence, Tally
from infotok_cli.codec.run_report import RunReport
from infotok_cli.codec.running_time import expected_seconds
from infotok_cli.container.writer import ItkWriter
from infotok_cli.errors import InfotokError, InputError, UsageError
from infotok_cli.metrics import bits_per_pixel, bpp16
from infotok_cli.model.engine import Engine
from infotok_cli.video.reader import VideoReader
from infotok_cli.video.video_info import VideoInfo


class VideoInput(Protocol):
    """A video to be opened, perhaps more than once."""

    @property
    def name(self) -> str: ...
    @property
    def is_stream(self) -> bool:
        """Whether it comes through a pipe, where somebody waits for what becomes of it."""

    def size_bytes(self) -> int | None: ...
    def open_video(self, *, audio: bool) -> VideoReader: ...


class TokenOutput(Protocol):
    """A place for an .itk file."""

    @property
    def name(self) -> str: ...
    @property
    def is_stream(self) -> bool: ...
    def opened(self) -> AbstractContextManager[BinaryIO]: ...


@dataclass(frozen=True, kw_only=True)
class EncodeReport(RunReport):
    """What an encode did."""

    segments: int
    positions: int
    tokens: int
    token_rate: float
    bpp: float
    """Bits of the file, without its sound, per pixel."""
    bpp16_nominal: float
    size_bytes: int
    map_bytes: int
    motion_bytes: int
    token_bytes: int
    format_version: int
    audio_bytes: int
    has_times: bool
    """Whether the file says of every frame how long it is shown."""
    router: str
    allocation: str
    refine: int
    """Steps in which tokens were improved."""
    budget: Budget | None
    predicted_psnr_db: float | None
    """What a budget of quality expects of the file, mean over frames."""
    passes: int
    """Times the video was read."""
    warnings: tuple[InfotokError, ...] = ()
    """What was asked for and not done."""

    @classmethod
    def of(
        cls,
        run: RunReport,
        *,
        job: EncodeJob,
        planner: Planner,
        writer: ItkWriter,
        tally: Tally,
        warnings: tuple[InfotokError, ...],
    ) -> EncodeReport:
        """Of an encode whose file is finished."""
        header, written, size_bytes = job.header, tally.written, writer.size_bytes
        return cls(
            **vars(run),
            segments=writer.segments,
            positions=written.positions,
            tokens=written.tokens,
            token_rate=written.tokens / written.positions,
            bpp=bits_per_pixel(size_bytes - writer.audio_bytes, writer.frames, header.height, header.width),
            bpp16_nominal=bpp16(
                written.tokens,
                written.positions,
                written.positions - writer.segments * header.lead_positions(),
            ),
            size_bytes=size_bytes,
            map_bytes=written.map_bytes,
            motion_bytes=written.motion_bytes,
            token_bytes=written.token_bytes,
            format_version=header.format_version,
            audio_bytes=writer.audio_bytes,
            has_times=header.has_times,
            router=header.router,
            allocation=header.allocation,
            refine=job.options.refine,
            budget=job.options.budget,
            predicted_psnr_db=planner.predicted_psnr_db,
            passes=tally.passes,
            warnings=warnings,
        )


def encode_file(
    source: Place,
    target: Place,
    engine: Engine,
    options: EncodeOptions,
    *,
    fps: Fraction | None = None,
    skip_bad: bool = False,
    overwrite: bool = False,
    progress: EncodeProgress | None = None,
) -> EncodeReport:
    """Encode a video into `target`: a file, which appears whole or not at all, or a binary stream.

    A `source` that is a folder is a video of its numbered pictures, `fps` of them in a second, 30 by default.
    With `skip_bad` a damaged file is encoded too: the last frame before damage stands for what is lost, as
    the report's warnings tell.

    A `source` that is a stream is read from front to back; see `PipeReader` for what can be.
    Raises InputError, UsageError, ModelError or OutputError; see those of the video reader, the
    container and the budget.
    """
    given = input_of(source, fps=fps, skip_bad=skip_bad)
    made = output_of(target, overwrite=overwrite)
    return encode_input(given, made, engine, options, progress)


def encode_input(
    given: VideoInput,
    made: TokenOutput,
    engine: Engine,
    options: EncodeOptions,
    progress: EncodeProgress | None,
) -> EncodeReport:
    """Encode what was opened by `encode_file`, or frames that are held in memory."""
    began = time.perf_counter()
    # 1. What is asked for must suit the weights and the place it comes from.
    check_masking(engine, options)
    if given.is_stream:
        options.check_single_pass("a pipe", "save it to a file")
    tally = Tally(progress or Silence())
    with given.open_video(audio=options.audio) as video, made.opened() as stream:
        # 2. What the video says of itself becomes the header; with the budget it makes the planner.
        input_bytes = given.size_bytes()
        job = EncodeJob.of(video, engine, options, is_live=given.is_stream or made.is_stream)
        header = job.header
        planner = make_planner(options, header, engine.loaded.fits, str(engine.loaded.path))
        writer = ItkWriter(stream, header, made.name, video.tags)
        total = None if given.is_stream else job.expected_frames
        tally.started(forecast(job, given.name), total, partial(_expected_seconds, given, job))
        # 3. Group by group tokens are shared out and written; closed before the video, which is read ahead.
        with closing(groups_to_write(job, planner, tally)) as groups:
            for group in groups:
                allocations = planner.plan(group.view(), group.measure)
                planner.wrote(group.write(allocations, writer, tally))
                if job.is_live:
                    writer.flush()
        # 4. The index ends the file, and its size is held against the budget.
        size_bytes = writer.finish()
        warnings = (
            *video.warnings, *_scaling(video.info, options), *_overrun(planner, size_bytes, made),
        )  # fmt: skip
    # 5. What came of it.
    run = RunReport.of_run(
        header, engine, source=given.name, target=made.name, input_bytes=input_bytes, frames=writer.frames,
        duration_seconds=_duration_seconds(writer), has_sound=True, batch=batch_size(job),
        seconds=time.perf_counter() - began,
    )  # fmt: skip
    return EncodeReport.of(run, job=job, planner=planner, writer=writer, tally=tally, warnings=warnings)


def dry_run(
    source: Place,
    engine: Engine,
    options: EncodeOptions,
    *,
    fps: Fraction | None = None,
    skip_bad: bool = False,
) -> Forecast:
    """What `encode_file` would do with the same arguments, and about how long it would take.

    Raises as `forecast_file`.
    """
    return forecast_file(
        source, engine, options, fps=fps, skip_bad=skip_bad, seconds_of=_expected_seconds
    )  # fmt: skip


def _expected_seconds(given: VideoInput, job: EncodeJob) -> float | None:
    """None for what can be read once only."""
    return expected_seconds(given, job, encode_input) if isinstance(given, FileInput) else None


def _duration_seconds(writer: ItkWriter) -> Fraction:
    """How long the frames written are shown."""
    header = writer.header
    return writer.ticks * header.time_base if header.has_times else writer.frames / header.frame_rate


def _scaling(info: VideoInfo, options: EncodeOptions) -> tuple[InfotokError, ...]:
    """What a person may not expect of the size that was asked for."""
    wanted, has = options.short_side, min(info.width, info.height)
    found: list[InfotokError] = []
    if wanted is not None and wanted > has:
        found.append(
            InputError(
                f"has {has} pixels on its shorter side and is enlarged to {wanted}",
                way_out="leave out `short_side` to keep its size, for fewer tokens",
                where=str(info.path),
            )
        )
    if wanted is not None and wanted != has and wanted % 2:
        found.append(
            UsageError(
                f"`short_side` {wanted} is odd, and many players show H.264 of even sizes only",
                way_out=f"choose {wanted + 1}",
            )
        )
    return tuple(found)


def _overrun(planner: Planner, size_bytes: int, made: TokenOutput) -> tuple[InfotokError, ...]:
    """What was asked of a finished file and could not be had.

    A broken budget is raised as UsageError, unless the file has gone through a pipe already, whole.
    """
    try:
        planner.check(size_bytes)
    except UsageError as error:
        if not made.is_stream or planner.surveys:
            raise
        return (*planner.warnings(), error)
    return planner.warnings()
