"""Small test videos made with PyAV: moving shapes on noise, in any size, rate, codec or container."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

Frames = NDArray[np.uint8]


def moving_shapes(frames: int, height: int, width: int, seed: int = 0) -> Frames:
    """Frames `[T, H, W, 3]`: a smooth ground, a moving square and a little noise.

    The mean brightness rises by 8 from frame to frame, so that a decoded frame shows its number.
    """
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    video = np.empty((frames, height, width, 3), np.float64)
    for t in range(frames):
        video[t, ..., 0] = 40 + 30 * np.sin(columns / 9 + t / 5)
        video[t, ..., 1] = 40 + 30 * np.cos(rows / 7)
        video[t, ..., 2] = 40
        side = max(1, min(height, width) // 4)
        top, left = (t * 2) % max(1, height - side + 1), (t * 3) % max(1, width - side + 1)
        video[t, top : top + side, left : left + side] += (40, 10, 60)
        video[t] += 8 * (t % 16)
    video += random.normal(0, 2, video.shape)
    return np.clip(video, 0, 255).astype(np.uint8)


def make_video(
    path: Path,
    pictures: Frames,
    *,
    rate: Fraction | int = 30,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    group: int = 12,
    rotation: int | None = None,
    mirrored: bool = False,
    aspect: Fraction | None = None,
    ticks: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    audio_seconds: float = 0,
) -> Path:
    """Encode pictures `[T, H, W, 3]`; `ticks` sets their times in units of `time_base` (1 / rate)."""
    rate = Fraction(rate)
    time_base = time_base or 1 / rate
    _, height, width, _ = pictures.shape
    with av.open(str(path), mode="w", options=container_options or {}) as container:
        stream = cast(VideoStream, container.add_stream(codec, rate=rate, options=options or {}))
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.codec_context.time_base = time_base
        stream.codec_context.gop_size = group
        stream.codec_context.thread_count = 1
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if rotation is not None or mirrored:
            stream.set_display_rotation(rotation or 0, hflip=mirrored)
        sound = container.add_stream("aac", rate=48000) if audio_seconds else None
        for index, picture in enumerate(pictures):
            frame = VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixel_format)
            frame.pts = index if ticks is None else ticks[index]
            frame.time_base = time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            _add_silence(container, sound, audio_seconds)
    return path


def make_planes(path: Path, planes: Frames, pixel_format: str, tags: dict[str, Any] | None = None) -> Path:
    """Lossless video of one frame with exactly these planes `[3, H, W]` (or `[H, W]` for gray)."""
    frame = VideoFrame.from_ndarray(planes, format=pixel_format)
    with av.open(str(path), mode="w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, pixel_format
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
            setattr(frame, name, value)
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def make_image(path: Path, picture: NDArray[np.uint8], codec: str, pixel_format: str) -> Path:
    """Still image of `[H, W, 3]` (RGB) or `[H, W, 4]` (RGBA)."""
    kind = "rgba" if picture.shape[2] == 4 else "rgb24"
    frame = VideoFrame.from_ndarray(picture, format=kind).reformat(format=pixel_format)
    context = av.CodecContext.create(codec, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = frame.width, frame.height, pixel_format
    context.time_base = Fraction(1)
    context.thread_count = 1
    frame.pts = 0
    path.write_bytes(b"".join(bytes(p) for p in [*context.encode(frame), *context.encode(None)]))
    return path


def make_sound(path: Path, seconds: float = 0.5) -> Path:
    """File with silence and no video."""
    with av.open(str(path), mode="w") as container:
        _add_silence(container, container.add_stream("aac", rate=48000), seconds)
    return path


def _add_silence(container: OutputContainer, stream: AudioStream, seconds: float) -> None:
    for index in range(int(seconds * 48000 / 1024)):
        frame = AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        frame.sample_rate = 48000
        frame.pts = index * 1024
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
