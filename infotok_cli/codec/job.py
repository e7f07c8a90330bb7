"""What one encode works on."""

from __future__ import annotations

from dataclasses import dataclass

from infotok_cli.codec.options import EncodeOptions
from infotok_cli.container.header import Header
from infotok_cli.model.engine import Engine
from infotok_cli.video.reader import VideoReader


@dataclass(frozen=True, kw_only=True)
class EncodeJob:
    """All that stays the same while a video is encoded."""

    video: VideoReader
    engine: Engine
    options: EncodeOptions
    header: Header
    is_live: bool
    """Whether there is a pipe at either end, where somebody waits for the next bytes."""
