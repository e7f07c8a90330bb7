"""What all writers of frames offer and refuse, and what their outputs are called."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import av
import numpy as np

from infotok_cli.errors import InfotokError, OutputError, UsageError
from infotok_cli.sound import AudioPacket
from infotok_cli.video.ffmpeg_pipes import unwritable
from infotok_cli.video.video_info import VIDEO_SUFFIXES, Frame


class FrameWriter(Protocol):
    """What all writers offer; a context manager that finishes on success and gives up on an error."""

    @property
    def warnings(self) -> tuple[InfotokError, ...]:
        """What a person should know of the output."""

    def write(self, frames: Frame, ticks: Sequence[int] | None = None) -> None: ...
    def write_audio(self, packets: Sequence[AudioPacket]) -> None: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def check_video_name(path: Path, others: str = "") -> None:
    """Raise UsageError unless the suffix is of a video that is written; `others` names more of them."""
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        raise UsageError(
            f"cannot write a {path.suffix or 'nameless'} file",
            way_out=f"choose {', '.join(VIDEO_SUFFIXES)}{others}",
            where=str(path),
        )


def is_png_folder(path: str | Path) -> bool:
    """Whether an output name means a folder of pictures: it ends in a slash, has no suffix or is a folder."""
    return str(path).endswith(("/", os.sep)) or not Path(path).suffix or Path(path).is_dir()


def check_picture(picture: Frame, shape: tuple[int, int, int]) -> None:
    """Raise ValueError for a picture that is not uint8 of this shape."""
    if picture.shape != shape or picture.dtype != np.uint8:
        raise ValueError(f"frame is {picture.dtype} {picture.shape}, but the video is uint8 {shape}")


@contextlib.contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turn failures of the disk or the encoder into an OutputError that names the output."""
    try:
        yield
    except OSError as error:
        raise unwritable(str(path), error) from error
    except OverflowError as error:
        raise OutputError("cannot be written: times are out of range", where=str(path)) from error
    except av.FFmpegError as error:
        raise OutputError(
            f"the encoder failed ({error.strerror or error})",
            way_out="choose another `codec`",
            where=str(path),
        ) from error
