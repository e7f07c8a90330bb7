"""How far one video is from another."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from infotok_cli.codec.decode_inputs import Selection, playing
from infotok_cli.codec.endpoints import FileInput
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.metrics import mean_squared_error, psnr_of_error
from infotok_cli.model.engine import Engine
from infotok_cli.video.first_frames import FirstFrames
from infotok_cli.video.reader import VideoReader, open_video
from infotok_cli.video.video_info import Frame


def pooled_psnr_db(one: Path, other: Path) -> float:
    """PSNR over all frames of two videos of one size and length, dB; infinite where they are equal.

    ValueError where one has more frames. Raises InputError as the reader does.
    """
    with open_video(one) as first, open_video(other) as second:
        return _pooled(zip(first.frames(), second.frames(), strict=True))


def encoded_psnr_db(video: VideoReader, tokens: Path, engine: Engine, options: EncodeOptions) -> float:
    """As `pooled_psnr_db`, of a video and the .itk file that was made of it with these options.

    The video is what was encoded: of the size and between the times that were asked for.
    """
    timed = video.timed_frames(options.start_seconds, options.end_seconds, options.short_side)
    source = (frame.pixels for frame in FirstFrames(timed, options.frames))
    with playing(FileInput(tokens), engine, Selection(audio=False), []) as playback:
        shown = (frame for chunk in playback.chunks if chunk.frames is not None for frame in chunk.frames)
        return _pooled(zip(source, shown, strict=True))


def _pooled(pairs: Iterable[tuple[Frame, Frame]]) -> float:
    return psnr_of_error(
        float(np.mean([mean_squared_error(one[None], other[None])[0] for one, other in pairs]))
    )
