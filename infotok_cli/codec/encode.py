"""Video file to .itk file.

One pass over the video, in groups of segments: every segment of a group is analyzed, tokens are
allocated over the whole group, then its segments are compressed and written. A group is as many
segments as a fixed number of positions allows (about 40 seconds at 256 rows), so memory does not grow
with length, and a still second pays for a busy one nearby.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infotok_cli import __version__
from infotok_cli.blocks import token_grid
from infotok_cli.codec.keep_maps import pack_keep
from infotok_cli.config import EncodeOptions
from infotok_cli.container.atomic import atomic_output
from infotok_cli.container.header import Header
from infotok_cli.container.writer import ItkWriter
from infotok_cli.entropy.token_ids import pack_ids
from infotok_cli.errors import InputError
from infotok_cli.metrics import bits_per_pixel, bpp16
from infotok_cli.model.allocation import Allocation, allocate_blocks, allocate_positions, even_map
from infotok_cli.model.engine import Engine
from infotok_cli.model.tokenizer import Analysis
from infotok_cli.video.clip import Frame, VideoInfo, scaled_size
from infotok_cli.video.reader import open_video
from infotok_cli.video.segments import read_segments

GROUP_POSITIONS = 1 << 19
"""Token-grid positions whose analyses are held at once: about 280 MB with 256 channels in bfloat16."""

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


@dataclass(frozen=True)
class _Pending:
    """An analyzed segment that waits for its allocation."""

    frames: int
    analysis: Analysis
    error: NDArray[np.float32]


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

    Raises InputError, UsageError or OutputError; see those of the video reader and the container.
    """
    began = time.perf_counter()
    with open_video(source) as video, atomic_output(target, overwrite) as stream:
        header = make_header(video.info, engine, options)
        frames = video.frames(options.start_seconds, options.end_seconds, options.short_side)
        writer = ItkWriter(stream, header)
        map_bytes = token_bytes = tokens = positions = analyzed = 0

        def tell() -> None:
            if progress is not None:
                progress((analyzed + writer.frames) // 2, tokens)

        def analyze() -> Iterator[_Pending]:
            nonlocal analyzed
            for pending in _analyzed(read_segments(frames, header.segment_frames), engine, options):
                analyzed += pending.frames
                tell()
                yield pending

        for group in _groups(analyze(), max(1, GROUP_POSITIONS // header.positions())):
            allocations = _allocate(group, options)
            group.reverse()
            for allocation in allocations:
                # Taken out, so that a group is gone before the next one is whole.
                pending = group.pop()
                keep_payload = pack_keep(allocation)
                ids = engine.compress(pending.analysis, allocation.keep)
                token_payload = pack_ids(ids, header.levels)
                writer.write_segment(
                    frames=pending.frames,
                    tokens=allocation.tokens,
                    map_payload=keep_payload,
                    token_payload=token_payload,
                )
                map_bytes += len(keep_payload)
                token_bytes += len(token_payload)
                tokens += allocation.tokens
                positions += allocation.keep.size
                tell()
        size_bytes = writer.finish()
    return EncodeReport(
        input=str(source),
        output=str(target),
        width=header.width,
        height=header.height,
        frames=writer.frames,
        frame_rate=header.frame_rate,
        duration_seconds=float(writer.frames / header.frame_rate),
        segments=writer.segments,
        positions=positions,
        tokens=tokens,
        token_rate=tokens / positions,
        bpp=bits_per_pixel(size_bytes, writer.frames, header.height, header.width),
        bpp16_nominal=bpp16(tokens, positions),
        input_bytes=source.stat().st_size,
        size_bytes=size_bytes,
        map_bytes=map_bytes,
        token_bytes=token_bytes,
        router=header.router,
        allocation=header.allocation,
        model=header.model_name,
        device=engine.runtime.device.type,
        precision=engine.runtime.precision,
        backend=engine.runtime.backend,
        seconds=time.perf_counter() - began,
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
            target_rate_ppm=round(options.rate * 1_000_000),
            model_name=engine.loaded.config.name,
            model_sha256=bytes.fromhex(engine.loaded.sha256),
            encoder=f"infotok {__version__}",
            sample_aspect=info.sample_aspect,
            colour_primaries=info.colour.primaries,
            colour_transfer=info.colour.transfer,
            colour_matrix=info.colour.matrix,
            colour_range={0: 1, 1: 2}.get(info.colour.full_range, 0),
        )
    except InputError as error:
        raise InputError(f"{info.path}: {error}; a smaller --short-side may help") from error


def _analyzed(segments: Iterable[Frame], engine: Engine, options: EncodeOptions) -> Iterator[_Pending]:
    for frames in segments:
        analysis = engine.analyze(frames)
        if options.router == "fixed" or options.rate == 1:
            error = even_map(token_grid(*frames.shape[:3]), options.allocation)
        elif options.router == "exact":
            error = engine.exact_error(frames, analysis)
        else:
            error = engine.predicted_error(analysis)
        yield _Pending(len(frames), analysis, error)


def _groups(segments: Iterable[_Pending], size: int) -> Iterator[list[_Pending]]:
    group: list[_Pending] = []
    for segment in segments:
        group.append(segment)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _allocate(group: list[_Pending], options: EncodeOptions) -> list[Allocation]:
    errors = [pending.error for pending in group]
    if options.allocation == "block":
        return allocate_blocks(errors, options.rate)
    return allocate_positions(errors, options.rate)
