"""The videos of a report: source and decoded as H.264 that browsers play, a poster of each, and PSNR."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image

from infotok_cli.codec.ahead import ahead
from infotok_cli.codec.decode_segments import decoded_segments
from infotok_cli.colour import BT709
from infotok_cli.container.reader import ItkReader
from infotok_cli.itk.frame_times import shown_ticks
from infotok_cli.itk.keep_maps import noted_damage
from infotok_cli.metrics import psnr
from infotok_cli.model.engine import Engine
from infotok_cli.video.video_info import Frame
from infotok_cli.video.writer import VideoWriter
from infotok_cli.view.report_source import source_frames

CRF = 18
KEY_FRAME_EVERY = "12"
"""A click on the plot waits for at most this many frames to be decoded."""

POSTER_QUALITY = 60
POSTER_SIDE = 320
"""Pixels of the longer side at most: posters are seen only where a video cannot be."""


@dataclass
class Film:
    """One video of the page."""

    path: Path
    poster: str = ""
    """A frame as the address of a JPEG, small."""
    psnrs: list[float] = field(default_factory=list)
    """Of each frame against the source, in dB; empty without one. Measured before H.264."""
    lost: list[str] = field(default_factory=list)
    """What could not be decoded, a line for each."""


def write_decoded(
    reader: ItkReader,
    engine: Engine,
    folder: Path,
    name: str,
    *,
    source: Path | None,
    with_source: bool,
    poster: int,
    skip_bad: bool,
    written: Callable[[], None],
) -> tuple[Film, Film | None]:
    """Decode all of a file into `folder`/`name`.mp4, measured against `source` if there is one.

    with_source: whether to write the source beside it too. poster: the frame to keep as a picture.
    skip_bad: whether damage is named in the film's `lost`, and good frames stand for bad ones, instead of
    InputError. `written` is called after each frame.
    Raises InputError for a source that is not the file's video, OutputError for a full disk.
    """
    total = reader.total_frames
    wanted = range(total)
    film = Film(folder / f"{name}.mp4", lost=noted_damage(reader))
    lost = film.lost if skip_bad else None
    original = Film(folder / "source.mp4") if with_source and source is not None else None
    sources: Iterator[Frame] | None = (
        None if source is None else source_frames(source, reader.header, range(total))
    )
    ticks = list(shown_ticks(reader, wanted, lost)) or list(wanted)
    with ExitStack() as stack:
        parts = stack.enter_context(ahead(decoded_segments(reader, engine, wanted, lost)))
        decoded = chain.from_iterable(parts)
        writer = stack.enter_context(_writer(film.path, reader))
        second = stack.enter_context(_writer(original.path, reader)) if original else None
        for number, frame in enumerate(decoded):
            if number == poster:
                film.poster = _poster(frame)
            writer.write(_even(frame)[None], [ticks[number]])
            if sources is not None:
                beside = next(sources)
                film.psnrs.append(float(psnr(beside[None], frame[None])[0]))
                if original is not None and second is not None:
                    second.write(_even(beside)[None], [ticks[number]])
                    original.poster = _poster(beside) if number == poster else original.poster
            written()
    return film, original


def _writer(path: Path, reader: ItkReader) -> VideoWriter:
    header = reader.header
    return VideoWriter(
        path,
        header.width + header.width % 2,
        header.height + header.height % 2,
        header.frame_rate,
        codec="h264",
        crf=CRF,
        colour=BT709,
        encoder_options=(("g", KEY_FRAME_EVERY),),
        tick=header.time_base if header.has_times else None,
    )


def _even(frame: Frame) -> Frame:
    """With its last row or column twice where a side is odd.

    Browsers play H.264 in 4:2:0 only, which has even sides; the page leaves the added pixels out.
    """
    height, width, _ = frame.shape
    if height % 2 or width % 2:
        return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return frame


def _poster(frame: Frame) -> str:
    data = io.BytesIO()
    image = Image.fromarray(frame)
    image.thumbnail((POSTER_SIDE, POSTER_SIDE))
    image.save(data, "JPEG", quality=POSTER_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode('ascii')}"
