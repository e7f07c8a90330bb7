"""Video file to .itk file.

In groups of segments: every segment of a group is analyzed, tokens are allocated over the whole
group, then its segments are compressed and written. Most budgets take one pass over the video; those
of the whole file take a pass before, unless the video is a single group.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

from infotok_cli import __version__
from infotok_cli.codec.budget import TargetPsnrPlanner, make_planner
from infotok_cli.codec.elastic import check_masking
from infotok_cli.codec.groups import Pending, group_size, group_view, read_groups
from infotok_cli.codec.planning import NOTHING, Planner, Written
from infotok_cli.codec.tokens import pack_tokens
from infotok_cli.config import Budget, EncodeOptions
from infotok_cli.container.atomic import atomic_output
from infotok_cli.container.header import Header
from infotok_cli.container.writer import ItkWriter
from infotok_cli.errors import InputError
from infotok_cli.metrics import bits_per_pixel, bpp16
from infotok_cli.model.allocation import Allocation
from infotok_cli.model.engine import Engine
from infotok_cli.video.clip import VideoInfo, scaled_size
from infotok_cli.video.reader import VideoReader, open_video
from infotok_cli.video.segments import read_segments

Progress = Callable[[int, int], None]
"""Called with the frames done and the tokens written; a frame analyzed but not yet written counts half."""


@dataclass(frozen=True, kw_only=True)
class EncodeReport:
    """What an encode did."""

    input: str
    output: str
    width: int
    height: int
    frames: int
    frame_rate: Fraction
    duration_seconds: float
    segments: int
    positions: int
    tokens: int
    token_rate: float
    bpp: float
    bpp16_nominal: float
    input_bytes: int
    size_bytes: int
    map_bytes: int
    token_bytes: int
    router: str
    allocation: str
    budget: Budget | None
    predicted_psnr_db: float | None
    """What --target-psnr expects of the file, mean over frames."""
    passes: int
    """Times the video was read."""
    model: str
    device: str
    precision: str
    backend: str
    """Kernels that ran: reference or triton."""
    seconds: float
    """Wall-clock time of the encode, without loading the model."""

    @property
    def speed(self) -> float:
        """Multiple of real time."""
        return self.duration_seconds / self.seconds if self.seconds else 0.0


def encode_file(
    source: Path,
    target: Path,
    engine: Engine,
    options: EncodeOptions,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> EncodeReport:
    """Encode the video at `source` into `target`, which appears whole or not at all.

    Raises InputError, UsageError, ModelError or OutputError; see those of the video reader, the
    container and the budget.
    """
    began = time.perf_counter()
    check_masking(engine, options)
    with open_video(source) as video, atomic_output(target, overwrite) as stream:
        header = make_header(video.info, engine, options)
        planner = make_planner(options, header, engine.loaded)
        writer = ItkWriter(stream, header)
        meter = _Meter(writer, progress)
        groups = _groups(
            source, video, engine=engine, options=options, header=header, planner=planner, meter=meter
        )
        # Closed before the video is: a thread reads ahead of them.
        with closing(groups):
            for group in groups:
                coder = _GroupCoder(group, engine, header)
                allocations = planner.plan(group_view(group), coder.measure)
                planner.wrote(coder.write(allocations, writer, meter))
        size_bytes = writer.finish()
        planner.check(size_bytes)
    totals = meter.total
    return EncodeReport(
        input=str(source),
        output=str(target),
        width=header.width,
        height=header.height,
        frames=writer.frames,
        frame_rate=header.frame_rate,
        duration_seconds=float(writer.frames / header.frame_rate),
        segments=writer.segments,
        positions=totals.positions,
        tokens=totals.tokens,
        token_rate=totals.tokens / totals.positions,
        bpp=bits_per_pixel(size_bytes, writer.frames, header.height, header.width),
        bpp16_nominal=bpp16(totals.tokens, totals.positions),
        input_bytes=source.stat().st_size,
        size_bytes=size_bytes,
        map_bytes=totals.map_bytes,
        token_bytes=totals.token_bytes,
        router=header.router,
        allocation=header.allocation,
        budget=options.budget,
        predicted_psnr_db=planner.predicted_psnr_db if isinstance(planner, TargetPsnrPlanner) else None,
        passes=meter.passes,
        model=header.model_name,
        device=engine.runtime.device.type,
        precision=engine.runtime.precision,
        backend=engine.runtime.backend,
        seconds=time.perf_counter() - began,
    )


class _Meter:
    """Counts what is done and tells the progress callback."""

    def __init__(self, writer: ItkWriter, progress: Progress | None) -> None:
        self.passes = 1
        self.total = NOTHING
        self._analyzed = self._told = 0
        self._writer = writer
        self._progress = progress

    def analyzed(self, frames: int) -> None:
        self._analyzed += frames
        self._tell()

    def wrote(self, segment: Written) -> None:
        self.total += segment
        self._tell()

    def _tell(self) -> None:
        if self._progress is not None:
            done = (self._analyzed + self._writer.frames) // (self.passes + 1)
            # A second pass is only known to be needed when the first group is full.
            self._told = max(self._told, done)
            self._progress(self._told, self.total.tokens)


def _groups(
    source: Path,
    video: VideoReader,
    *,
    engine: Engine,
    options: EncodeOptions,
    header: Header,
    planner: Planner,
    meter: _Meter,
) -> Generator[list[Pending], None, None]:
    """Groups to be written, after a pass over all of them if `planner` asks for one.

    A video shorter than a group is read once: the planner has seen it whole.
    """

    def read(opened: VideoReader) -> Generator[list[Pending], None, None]:
        frames = opened.frames(options.start_seconds, options.end_seconds, options.short_side)
        segments = read_segments(frames, header.segment_frames)
        return read_groups(segments, header.positions(), engine, options, meter.analyzed)

    with closing(read(video)) as groups:
        if not planner.surveys:
            yield from groups
            return
        first = next(groups, [])
        if len(first) < group_size(header.positions()):
            planner.survey(group_view(first))
            yield first
            return
        meter.passes = 2
        for group in chain([first], groups):
            planner.survey(group_view(group))
            group.clear()
    with open_video(source) as again, closing(read(again)) as groups:
        yield from groups


class _GroupCoder:
    """Turns a group into payloads, for trial and for good."""

    def __init__(self, group: list[Pending], engine: Engine, header: Header) -> None:
        self.group, self.engine, self.header = group, engine, header
        self._tried: list[tuple[list[Allocation], list[tuple[bytes, bytes]]]] = []

    def measure(self, allocations: list[Allocation]) -> Written:
        """What the group would take; the payloads are kept, in case these allocations are chosen."""
        coded = [self._code(pending, chosen) for pending, chosen in zip(self.group, allocations, strict=True)]
        self._tried.append((allocations, coded))
        parts = [_written(chosen, *payloads) for chosen, payloads in zip(allocations, coded, strict=True)]
        return sum(parts[1:], start=parts[0])

    def write(self, allocations: list[Allocation], writer: ItkWriter, meter: _Meter) -> Written:
        """Write the segments, emptying the group."""
        tried = next((coded for chosen, coded in self._tried if chosen is allocations), None)
        total = NOTHING
        self.group.reverse()
        for index, allocation in enumerate(allocations):
            # Taken out, so that a group is gone before the next one is whole.
            pending = self.group.pop()
            keep_payload, token_payload = tried[index] if tried else self._code(pending, allocation)
            writer.write_segment(
                frames=pending.frames,
                tokens=allocation.tokens,
                map_payload=keep_payload,
                token_payload=token_payload,
            )
            segment = _written(allocation, keep_payload, token_payload)
            total += segment
            meter.wrote(segment)
        return total

    def _code(self, pending: Pending, allocation: Allocation) -> tuple[bytes, bytes]:
        ids = self.engine.compress(pending.analysis, allocation.keep)
        return pack_tokens(allocation.keep, ids, self.header, self.engine.loaded.token_net)


def _written(allocation: Allocation, keep_payload: bytes, token_payload: bytes) -> Written:
    return Written(
        segments=1,
        positions=allocation.keep.size,
        tokens=allocation.tokens,
        map_bytes=len(keep_payload),
        token_bytes=len(token_payload),
    )


def make_header(info: VideoInfo, engine: Engine, options: EncodeOptions) -> Header:
    """Header of the file that `options` ask for; InputError for a size the format cannot hold."""
    width, height = scaled_size(info.width, info.height, options.short_side)
    try:
        return Header(
            width=width,
            height=height,
            frame_rate=info.frame_rate,
            time_base=info.time_base,
            segment_frames=options.segment_frames or engine.loaded.config.segment_frames,
            levels=engine.loaded.config.levels,
            router=options.router,
            allocation=options.allocation,
            target_rate_ppm=0 if options.budget else round(options.rate * 1_000_000),
            model_name=engine.loaded.config.name,
            model_sha256=bytes.fromhex(engine.loaded.sha256),
            token_coding=0 if engine.loaded.token_net is None else 1,
            encoder=f"infotok {__version__}",
            sample_aspect=info.sample_aspect,
            colour_primaries=info.colour.primaries,
            colour_transfer=info.colour.transfer,
            colour_matrix=info.colour.matrix,
            colour_range={0: 1, 1: 2}.get(info.colour.full_range, 0),
        )
    except InputError as error:
        raise InputError(f"{info.path}: {error}; a smaller --short-side may help") from error
