"""What one encode works on."""

from __future__ import annotations

from dataclasses import dataclass

from infotok_cli import __version__
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.container.header import Header
from infotok_cli.errors import InputError
from infotok_cli.model.engine import Engine
from infotok_cli.token_codings import best_coding
from infotok_cli.video.reader import VideoReader
from infotok_cli.video.video_info import scaled_size


@dataclass(frozen=True, kw_only=True)
class EncodeJob:
    """All that stays the same while a video is encoded."""

    video: VideoReader
    engine: Engine
    options: EncodeOptions
    header: Header
    is_live: bool
    """Whether there is a pipe at either end, where somebody waits for the next bytes."""

    @classmethod
    def of(cls, video: VideoReader, engine: Engine, options: EncodeOptions, *, is_live: bool) -> EncodeJob:
        """Of an opened video; InputError for a size the format cannot hold."""
        header = _header(video, engine, options)
        return cls(video=video, engine=engine, options=options, header=header, is_live=is_live)

    @property
    def expected_frames(self) -> int | None:
        """Frames there are to encode, as far as the video tells."""
        options = self.options
        there = self.video.info.expected_frames(options.start_seconds, options.end_seconds)
        return min((count for count in (there, options.frames) if count is not None), default=None)


def _header(video: VideoReader, engine: Engine, options: EncodeOptions) -> Header:
    """Header of the file that `options` ask for; InputError for a size the format cannot hold."""
    info, config = video.info, engine.loaded.config
    width, height = scaled_size(info.width, info.height, options.short_side)
    has_times, audio = not video.is_constant, video.sound if options.audio else None
    try:
        return Header(
            width=width,
            height=height,
            frame_rate=info.frame_rate,
            time_base=info.time_base,
            segment_frames=options.segment_frames or config.segment_frames,
            levels=config.levels,
            router=options.router,
            allocation=options.allocation_kind,
            target_rate_ppm=0 if options.budget else round(options.rate * 1_000_000),
            model_name=config.name,
            model_sha256=bytes.fromhex(engine.loaded.sha256),
            token_coding=best_coding(has_net=engine.loaded.token_net is not None),
            encoder=f"infotok {__version__}",
            sample_aspect=info.sample_aspect,
            colour=info.colour,
            has_times=has_times,
            audio=audio,
        )
    except InputError as error:
        raise error.at(str(info.path), way_out="try a smaller `short_side` or `segment_frames`") from error
