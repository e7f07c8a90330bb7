"""Video to .itk, from a file or a pipe and to a file or a pipe.

In groups of segments: every segment of a group is analyzed, tokens are allocated over the whole
group, then its segments are compressed and written. Most budgets take one pass over the video; those
of the whole file take a pass before, unless the video is a single group. With a pipe at either end groups
are short and every segment leaves as soon as its group is written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import BinaryIO

from infotok_cli import __version__
from infotok_cli.allocation.allocate import Allocation
from infotok_cli.allocation.budgets import Budget, make_planner
from infotok_cli.allocation.planner import NOTHING, Written
from infotok_cli.atomic import atomic_output
from infotok_cli.codec.batches import batches, started_early
from infotok_cli.codec.groups import Pending, group_size, group_view
from infotok_cli.codec.load_engine import check_masking
from infotok_cli.codec.options import EncodeOptions, check_source
from infotok_cli.codec.passes import Passes, audio_track
from infotok_cli.container.header import Header
from infotok_cli.container.writer import ItkWriter
from infotok_cli.errors import InputError, UsageError
from infotok_cli.itk.tokens import pack_tokens
from infotok_cli.metrics import bits_per_pixel, bpp16
from infotok_cli.model.engine import Engine, Ids
from infotok_cli.sound import AudioTrack
from infotok_cli.video.pipe import PipeReader
from infotok_cli.video.reader import VideoReader, open_video
from infotok_cli.video.video_info import VideoInfo, scaled_size

STANDARD_INPUT = "standard input"
STANDARD_OUTPUT = "standard output"

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
    """Bits of the file, without its sound, per pixel."""
    bpp16_nominal: float
    input_bytes: int | None
    """None for a pipe."""
    size_bytes: int
    map_bytes: int
    token_bytes: int
    format_version: int
    audio_codec: str | None
    """Matroska codec ID of the sound that was copied; None without sound."""
    audio_bytes: int
    has_times: bool
    """Whether the file says of every frame how long it is shown."""
    router: str
    allocation: str
    refine: int
    """Steps in which tokens were improved."""
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
    batch_segments: int
    """Segments that went through the network at once, where there were so many of one shape."""
    compiled: bool
    """Whether torch.compile took the transformer blocks."""
    seconds: float
    """Wall-clock time of the encode, without loading the model."""
    warnings: tuple[str, ...] = ()
    """What was asked for and not done, a line for each."""

    @property
    def speed(self) -> float:
        """Multiple of real time."""
        return self.duration_seconds / self.seconds if self.seconds else 0.0


def encode_file(
    source: Path | BinaryIO,
    target: Path | BinaryIO,
    engine: Engine,
    options: EncodeOptions,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> EncodeReport:
    """Encode a video into `target`: a file, which appears whole or not at all, or a binary stream.

    A `source` that is a stream is read from front to back; see `PipeReader` for what can be.
    Raises InputError, UsageError, ModelError or OutputError; see those of the video reader, the
    container and the budget.
    """
    began = time.perf_counter()
    check_masking(engine, options)
    check_source(isinstance(source, Path), options)
    with _opened(source, options) as video, _written(target, overwrite) as stream:
        input_bytes = _size_of(source)
        is_stream = not (isinstance(source, Path) and isinstance(target, Path))
        header = make_header(
            video.info,
            engine,
            options,
            has_times=not video.has_constant_rate(),
            audio=audio_track(video) if options.audio else None,
        )
        planner = make_planner(options, header, engine.loaded.fits, str(engine.loaded.path))
        writer = ItkWriter(stream, header, str(target) if isinstance(target, Path) else STANDARD_OUTPUT)
        meter = _Meter(writer, progress)
        passes = Passes(
            source,
            video,
            engine=engine,
            options=options,
            header=header,
            size=group_size(
                header,
                is_stream=is_stream,
                holds_pixels=options.refine > 0,
                alone=planner.alone,
            ),
            analyzed=meter.analyzed,
        )
        meter.passes = lambda: passes.count
        coder_of = partial(
            _GroupCoder, engine=engine, header=header, batch=passes.batch, refine=options.refine
        )
        # Closed before the video is: a thread reads ahead of them.
        with closing(passes.groups(planner, lambda group: coder_of(group).measure)) as groups:
            for group in groups:
                coder = coder_of(group)
                allocations = planner.plan(group_view(group, header), coder.measure)
                planner.wrote(coder.write(allocations, writer, meter))
                if is_stream:
                    writer.flush()
        size_bytes = writer.finish()
        warnings = (*video.warnings, *map(str, planner.warnings()))
        try:
            planner.check(size_bytes)
        except UsageError as error:
            if isinstance(target, Path) or planner.surveys:
                raise
            # What came is in the pipe already, and whole.
            warnings = (*warnings, str(error))
    totals = meter.total
    return EncodeReport(
        input=str(source) if isinstance(source, Path) else STANDARD_INPUT,
        output=str(target) if isinstance(target, Path) else STANDARD_OUTPUT,
        width=header.width,
        height=header.height,
        frames=writer.frames,
        frame_rate=header.frame_rate,
        duration_seconds=float(
            writer.ticks * header.time_base if header.has_times else writer.frames / header.frame_rate
        ),
        segments=writer.segments,
        positions=totals.positions,
        tokens=totals.tokens,
        token_rate=totals.tokens / totals.positions,
        bpp=bits_per_pixel(size_bytes - writer.audio_bytes, writer.frames, header.height, header.width),
        bpp16_nominal=bpp16(totals.tokens, totals.positions),
        input_bytes=input_bytes,
        size_bytes=size_bytes,
        map_bytes=totals.map_bytes,
        token_bytes=totals.token_bytes,
        format_version=header.format_version,
        audio_codec=None if header.audio is None else header.audio.codec,
        audio_bytes=writer.audio_bytes,
        has_times=header.has_times,
        router=header.router,
        allocation=header.allocation,
        refine=options.refine,
        budget=options.budget,
        predicted_psnr_db=planner.predicted_psnr_db,
        passes=passes.count,
        model=header.model_name,
        device=engine.runtime.device.type,
        precision=engine.runtime.precision,
        backend=engine.runtime.backend,
        batch_segments=min(passes.batch, engine.batch(header.positions())),
        compiled=engine.runtime.compiled,
        seconds=time.perf_counter() - began,
        warnings=warnings,
    )


def _opened(source: Path | BinaryIO, options: EncodeOptions) -> VideoReader:
    if isinstance(source, Path):
        return open_video(source)
    return PipeReader(source, STANDARD_INPUT, audio=options.audio)


def _written(target: Path | BinaryIO, overwrite: bool) -> AbstractContextManager[BinaryIO]:
    return atomic_output(target, overwrite) if isinstance(target, Path) else nullcontext(target)


def _size_of(source: Path | BinaryIO) -> int | None:
    """Bytes of a file, which may be gone when the encode is done; None for a pipe. Raises InputError."""
    if not isinstance(source, Path):
        return None
    try:
        return source.stat().st_size
    except OSError as error:
        raise InputError(
            f"is gone again ({error.strerror})", way_out="put it back", where=str(source)
        ) from error


class _Meter:
    """Counts what is done and tells the progress callback."""

    def __init__(self, writer: ItkWriter, progress: Progress | None) -> None:
        self.passes: Callable[[], int] = lambda: 1
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
            done = (self._analyzed + self._writer.frames) // (self.passes() + 1)
            # A second pass is only known to be needed when the first group is full.
            self._told = max(self._told, done)
            self._progress(self._told, self.total.tokens)


_Payloads = tuple[bytes, bytes]
"""Keep map and tokens of a segment, coded."""


class _GroupCoder:
    """Turns a group into payloads, for trial and for good."""

    def __init__(self, group: list[Pending], engine: Engine, header: Header, batch: int, refine: int) -> None:
        self.group, self.engine, self.header = group, engine, header
        self.batch, self.refine = batch, refine
        self._tried: list[tuple[list[Allocation], list[_Payloads]]] = []

    def measure(self, allocations: list[Allocation]) -> Written:
        """What the group would take; the payloads are kept, in case these allocations are chosen."""
        coded = [payloads for _, _, payloads in self._coded(zip(self.group, allocations, strict=True))]
        self._tried.append((allocations, coded))
        parts = [_counted(chosen, *payloads) for chosen, payloads in zip(allocations, coded, strict=True)]
        return sum(parts[1:], start=parts[0])

    def write(self, allocations: list[Allocation], writer: ItkWriter, meter: _Meter) -> Written:
        """Write the segments, emptying the group."""
        tried = next((coded for chosen, coded in self._tried if chosen is allocations), None)
        total = NOTHING
        self.group.reverse()
        # Taken out, so that a group is gone before the next one is whole.
        pairs = ((self.group.pop(), allocation) for allocation in allocations)
        coded: Iterable[tuple[Pending, Allocation, _Payloads]] = (
            ((*pair, payloads) for pair, payloads in zip(pairs, tried, strict=True))
            if tried
            else self._coded(pairs)
        )
        for pending, allocation, (keep_payload, token_payload) in coded:
            writer.write_segment(
                frames=pending.frames,
                tokens=allocation.tokens,
                map_payload=keep_payload,
                token_payload=token_payload,
                durations=pending.durations,
                packets=pending.packets,
            )
            segment = _counted(allocation, keep_payload, token_payload)
            total += segment
            meter.wrote(segment)
        return total

    def _coded(
        self, pairs: Iterable[tuple[Pending, Allocation]]
    ) -> Iterator[tuple[Pending, Allocation, _Payloads]]:
        """Segments with their payloads; a CUDA device compresses a batch while the one before is packed."""
        together = batches(pairs, self.batch, lambda pair: (pair[0].frames, pair[1].keep.shape))
        early = self.engine.runtime.device.type == "cuda"
        for (pending, allocation), guessed in started_early(together, self._start, early=early):
            ids = guessed
            if pending.pixels is not None:
                ids = self.engine.refine(pending.pixels, ids, allocation.keep, self.refine)
            payloads = pack_tokens(allocation.keep, ids, self.header, self.engine.loaded.token_net)
            yield pending, allocation, payloads

    def _start(self, pairs: list[tuple[Pending, Allocation]]) -> Callable[[], list[Ids]]:
        return self.engine.start_compress([(pending.analysis, chosen.keep) for pending, chosen in pairs])


def _counted(allocation: Allocation, keep_payload: bytes, token_payload: bytes) -> Written:
    return Written(
        segments=1,
        positions=allocation.keep.size,
        tokens=allocation.tokens,
        map_bytes=len(keep_payload),
        token_bytes=len(token_payload),
    )


def make_header(
    info: VideoInfo,
    engine: Engine,
    options: EncodeOptions,
    *,
    has_times: bool = False,
    audio: AudioTrack | None = None,
) -> Header:
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
            allocation=options.allocation_kind,
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
            format_version=2 if has_times or audio is not None else 1,
            has_times=has_times,
            audio=audio,
        )
    except InputError as error:
        raise InputError(f"{error}; a smaller `short_side` may help", where=str(info.path)) from error
