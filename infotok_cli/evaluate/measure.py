"""One clip at one setting: through a file on disk and back, compared frame by frame with its source."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from infotok_cli.codec.decode_segments import decoded_segments
from infotok_cli.codec.encode import encode_file
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.container.reader import ItkReader
from infotok_cli.errors import InputError
from infotok_cli.evaluate.anchors import CONTAINER, Anchor, anchor_writer
from infotok_cli.evaluate.clips import clip_sha256
from infotok_cli.evaluate.metric_table import DEFAULT_METRICS
from infotok_cli.evaluate.quality import Quality, QualityMeter
from infotok_cli.evaluate.results import ClipResult
from infotok_cli.metrics import bits_per_pixel
from infotok_cli.model.engine import Engine
from infotok_cli.video.encoders import library_versions
from infotok_cli.video.reader import FileReader, open_video
from infotok_cli.video.segments import joined, read_segments
from infotok_cli.video.video_info import Frame, scaled_size


def measure_clip(
    clip: Path, engine: Engine, options: EncodeOptions, metrics: Sequence[str] = DEFAULT_METRICS
) -> ClipResult:
    """Encode `clip` with our model, decode it, and compare; bits are those of the whole .itk file."""
    with tempfile.TemporaryDirectory(prefix="infotok-eval-") as folder:
        target = Path(folder) / "clip.itk"
        report = encode_file(clip, target, engine, options)
        with ItkReader(target) as reader, open_video(clip) as video:
            decoded = decoded_segments(reader, engine, range(reader.total_frames))
            length = reader.header.segment_frames
            quality, seconds = _compare(video, options, decoded, length, metrics)
    return ClipResult(
        **_shared(clip, quality, length),
        codec="infotok",
        model=engine.loaded.config.name,
        weights_sha256=engine.loaded.sha256,
        rate=options.rate,
        router=options.router,
        allocation=options.allocation,
        calibrated=options.budget is not None,
        refine=options.refine,
        crf=None,
        encoder=None,
        frame_rate=float(report.frame_rate),
        bpp=report.bpp,
        bpp16_nominal=report.bpp16_nominal,
        token_rate=report.token_rate,
        size_bytes=report.size_bytes,
        map_bytes=report.map_bytes,
        motion_bytes=report.motion_bytes,
        token_bytes=report.token_bytes,
        tokens=report.tokens,
        positions=report.positions,
        encode_speed=report.speed,
        decode_speed=report.duration_seconds / seconds,
    )


def measure_anchor(
    clip: Path,
    anchor: Anchor,
    crf: int,
    options: EncodeOptions,
    *,
    segment_frames: int,
    metrics: Sequence[str] = DEFAULT_METRICS,
) -> ClipResult:
    """Encode the same frames of `clip` with an anchor, read them back, and compare.

    Of `options` only the frame range and the size count. The encoder gets the source's own colour matrix and
    4:2:0 samples, as such files have; bits are those of the whole Matroska file. Seams are
    measured where a segment length of `segment_frames` would put them.
    """
    with tempfile.TemporaryDirectory(prefix="infotok-eval-") as folder, open_video(clip) as video:
        target = Path(folder) / f"clip{CONTAINER}"
        rate = video.info.frame_rate
        size = scaled_size(video.info.width, video.info.height, options.short_side)
        began = time.perf_counter()
        with anchor_writer(anchor, crf, target, size=size, rate=rate, colour=video.info.colour) as writer:
            for picture in _frames(video, options):
                writer.write(picture[None])
        encoding = time.perf_counter() - began
        with open_video(target) as shown:
            decoded = read_segments(shown.frames(), segment_frames)
            quality, decoding = _compare(video, options, decoded, segment_frames, metrics)
        size_bytes = target.stat().st_size
    duration = float(quality.frames / rate)
    return ClipResult(
        **_shared(clip, quality, segment_frames),
        codec=anchor.name,
        model=None,
        weights_sha256=None,
        rate=None,
        router=None,
        allocation=None,
        crf=crf,
        encoder=anchor_encoder(anchor),
        frame_rate=float(rate),
        bpp=bits_per_pixel(size_bytes, quality.frames, quality.height, quality.width),
        bpp16_nominal=None,
        token_rate=None,
        size_bytes=size_bytes,
        map_bytes=None,
        motion_bytes=None,
        token_bytes=None,
        tokens=None,
        positions=None,
        encode_speed=duration / encoding,
        decode_speed=duration / decoding,
    )


def anchor_encoder(anchor: Anchor) -> str:
    """What encodes: FFmpeg's name of the encoder, its options, and the versions of the libraries."""
    settings = " ".join(f"{name}={value}" for name, value in anchor.options)
    return f"{anchor.encoder} {settings} ({library_versions()})"


def _shared(clip: Path, quality: Quality, segment_frames: int) -> dict[str, Any]:
    shared = {"clip": clip.name, "clip_sha256": clip_sha256(clip), "segment_frames": segment_frames}
    return shared | vars(quality)


def _frames(video: FileReader, options: EncodeOptions) -> Iterator[Frame]:
    return video.frames(options.start_seconds, options.end_seconds, options.short_side)


def _compare(
    video: FileReader,
    options: EncodeOptions,
    decoded: Iterator[Frame],
    segment_frames: int,
    metrics: Sequence[str],
) -> tuple[Quality, float]:
    """Quality of `decoded` frames against the source's, and the seconds it took to get them.

    decoded: in parts, none of which reaches over the end of a segment.
    """
    width, height = scaled_size(video.info.width, video.info.height, options.short_side)
    seconds = 0.0
    with QualityMeter(height, width, segment_frames, metrics) as meter:
        for source in read_segments(_frames(video, options), segment_frames):
            began = time.perf_counter()
            shown = joined(decoded, len(source))
            seconds += time.perf_counter() - began
            if shown is None or shown.shape != source.shape:
                raise InputError(
                    "was decoded to frames of another size or fewer of them, which cannot be compared",
                    way_out="leave the clip out",
                    where=str(video.info.path),
                )
            meter.add(source, shown)
        if next(decoded, None) is not None:
            raise InputError(
                "was decoded to more frames than it has, which cannot be compared",
                way_out="leave the clip out",
                where=str(video.info.path),
            )
        return meter.result(), seconds
