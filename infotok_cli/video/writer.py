"""Video files out: encoded with FFmpeg into one file, or into a stream of Matroska.

Sizes, frame counts and frame rates come back exactly. The caller chooses temporary names for files (they must
keep the suffix).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.packet import Packet
from av.video.stream import VideoStream

from infotok_cli.colour import BT709, Colour
from infotok_cli.errors import InfotokError, InputError, OutputError, UsageError
from infotok_cli.sound import AudioPacket, AudioTrack
from infotok_cli.tags import NO_TAGS, Tags
from infotok_cli.video.audio import template
from infotok_cli.video.constant import check_constant
from infotok_cli.video.encoders import Encoder, find_encoder, padded_size, writable_colour
from infotok_cli.video.ffmpeg_pipes import WriteOnly, unwritable
from infotok_cli.video.frame_writer import check_picture, check_video_name, reported
from infotok_cli.video.pixels import YuvConverter
from infotok_cli.video.scheduling import kept_scheduling
from infotok_cli.video.video_info import Frame

NO_SOUND_OF = {
    ".gif": ("A_",),
    ".mp4": ("A_PCM",),
    ".m4v": ("A_PCM",),
    ".mov": ("A_FLAC", "A_OPUS"),
    ".avi": ("A_AAC", "A_EAC3", "A_FLAC", "A_OPUS"),
}
"""Codecs that FFmpeg refuses only when it starts to write, where it no longer says what is wrong.

MP4 wants to know which loudspeaker a channel is for, which PCM does not tell. Few players find AAC in AVI.
"""

MOV_SUFFIXES = (".mp4", ".m4v", ".mov")

USUAL_CODECS = {".webm": "vp9", ".gif": "gif"}
"""Of files that H.264 is not the usual codec of."""

LIVE_MATROSKA = {"live": "1", "flush_packets": "1", "cluster_time_limit": "500", "fflags": "+bitexact"}
"""A stream is written so that it can be shown while it goes on, and holds no random numbers."""


class VideoWriter:
    """Encodes frames, and copies sound, into one file, or into a stream of Matroska.

    The frame rate is constant, unless times are counted in a `tick` of the caller's.

    `codec` is a short name of `ENCODERS` or an FFmpeg encoder; None takes h264, or vp9 for .webm.
    `crf` is the encoder's quality number (lower is better); None takes a near-transparent one.
    Even sizes become 4:2:0. Odd ones keep their exact size, as 4:4:4 in H.264 and HEVC.
    A matrix that is RGB, unspecified or not convertible is replaced by BT.709 or BT.601 by height,
    a range that is unspecified by limited, and the replacement is what the file is tagged with.

    Raises UsageError for a codec, suffix, size or rate that do not go together, OutputError if the
    file cannot be written.
    """

    def __init__(
        self,
        path: str | Path | BinaryIO,
        width: int,
        height: int,
        frame_rate: Fraction,
        *,
        codec: str | None = None,
        crf: int | None = None,
        colour: Colour = BT709,
        sample_aspect: Fraction = Fraction(1),
        encoder_options: Sequence[tuple[str, str]] = (),
        shown_as: str | Path | None = None,
        tick: Fraction | None = None,
        audio: AudioTrack | None = None,
        pixel_format: str | None = None,
        tags: Tags = NO_TAGS,
    ) -> None:
        """`encoder_options` go to FFmpeg's encoder over the usual ones; errors name the file `shown_as`.

        tick: seconds per unit of the times that `write` gets; None for a constant frame rate.
        audio: what the packets of `write_audio` are.
        pixel_format: of the file; with yuv420p odd sizes get another row or column, a copy of the last one.
        tags: title and date of the video.
        """
        sink = self._sink = None if isinstance(path, (str, Path)) else WriteOnly(path)
        self._path = Path(shown_as or ("output" if sink is not None else str(path)))
        self._suffix = ".mkv" if sink is not None else self._path.suffix.lower()
        self._shape = (height, width, 3)
        self._rate = Fraction(frame_rate)
        self._given_tick, self._tick = tick, tick or 1 / self._rate
        if self._suffix == ".avi":
            self._tick = 1 / self._rate
        self._count = self._last = self._longest = 0
        if sink is None:
            check_video_name(self._path)
        encoder = self._encoder = find_encoder(codec or USUAL_CODECS.get(self._suffix, "h264"))
        chosen = pixel_format
        pixel_format = encoder.pixel_format_for(width, height, chosen)
        self._size = padded_size(width, height, encoder, pixel_format)
        self.warnings = self._odd_size(pixel_format, chosen)
        self._colour = writable_colour(colour, height, pixel_format)
        self._converter = YuvConverter(pixel_format, self._colour)
        with reported(self._path):
            if sink is not None:
                self._container = av.open(sink, mode="w", format="matroska", options=LIVE_MATROSKA)
                encoder_options = (*encoder.live_options, *encoder_options)
            else:
                self._container = av.open(f"file:{Path(str(path)).absolute()}", mode="w")
        self._container.metadata.update(_metadata(tags))
        try:
            self._stream = self._add_stream(encoder, crf, pixel_format, sample_aspect, encoder_options)
            self._audio = None if audio is None else self._add_audio(audio)
            self._start(encoder)
            self._raise_interruption()
        except BaseException:
            self.abort()
            raise

    def _odd_size(self, pixel_format: str, chosen: str | None) -> tuple[InfotokError, ...]:
        """What a person should know of how an odd size is written."""
        height, width, _ = self._shape
        name = str(self._path)
        if self._size != (width, height):
            padded = f"{self._size[0]}x{self._size[1]}"
            return (
                UsageError(
                    f"{width}x{height} pixels are padded to {padded}, as {pixel_format} needs", where=name
                ),
            )
        if (width % 2 or height % 2) and pixel_format == "yuv444p" and chosen is None:
            return (
                UsageError(
                    f"{width}x{height} pixels, an odd size, are written as 4:4:4, which browsers do not play",
                    way_out="`pixel_format` yuv420p pads them to even",
                    where=name,
                ),
            )
        return ()

    def _add_stream(
        self,
        encoder: Encoder,
        crf: int | None,
        pixel_format: str,
        sample_aspect: Fraction,
        encoder_options: Sequence[tuple[str, str]],
    ) -> VideoStream:
        options = {**dict(encoder.options), **dict(encoder_options)}
        if self._suffix == ".avi":
            options.setdefault("bf", "0")  # frames of AVI lie in the order they are shown
        quality = encoder.default_crf if crf is None else crf
        if quality is not None and encoder.default_crf is not None:
            options["crf"] = str(quality)
        elif crf is not None:
            raise UsageError(f"codec {encoder.name} has no quality setting", way_out="leave it out")
        for variable, value in encoder.environment:
            os.environ.setdefault(variable, value)
        width, height = self._size
        try:
            stream = cast(
                VideoStream, self._container.add_stream(encoder.name, rate=self._rate, options=options)
            )
        except ValueError as error:
            raise UsageError(
                f"a {self._suffix} file cannot hold {encoder.name}",
                way_out="choose .mkv or another codec",
                where=str(self._path),
            ) from error
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = width, height, pixel_format
        context.time_base = self._tick
        context.sample_aspect_ratio = sample_aspect
        context.color_primaries = self._colour.primaries
        context.color_trc = self._colour.transfer
        context.colorspace = self._colour.matrix
        context.color_range = self._colour.range
        if encoder.codec_tag and self._suffix != ".mkv":
            context.codec_tag = encoder.codec_tag
        return stream

    def _add_audio(self, track: AudioTrack) -> AudioStream:
        refusal = UsageError(
            f"a {self._suffix} file cannot hold sound of codec {track.codec}",
            way_out="choose .mkv, or leave the sound out with `audio`",
            where=str(self._path),
        )
        if any(track.codec.startswith(codec) for codec in NO_SOUND_OF.get(self._suffix, ())):
            raise refusal
        try:
            with template(track) as model:
                stream = self._container.add_stream_from_template(model.streams.audio[0])
        except ValueError as error:
            raise refusal from error
        stream.time_base = track.time_base
        self._audio_base = track.time_base
        return stream

    def _start(self, encoder: Encoder) -> None:
        height, width, _ = self._shape
        try:
            with kept_scheduling():
                self._container.start_encoding()
        except OSError as error:
            raise unwritable(str(self._path), error) from error
        except (av.FFmpegError, ValueError) as error:
            raise UsageError(
                f"codec {encoder.name} cannot write {width}x{height} pixels at {self._rate} "
                "frames per second",
                way_out="choose h264",
            ) from error

    def write(self, frames: Frame, ticks: Sequence[int] | None = None) -> None:
        """Append frames `[T, H, W, 3]`, RGB 0..255, shown at `ticks` or, without, one after the other.

        Raises OutputError if the disk refuses them.
        """
        for place, picture in enumerate(frames):
            check_picture(picture, self._shape)
            frame = self._converter(_padded(picture, self._size))
            frame.pts = self._count if ticks is None else self._shown_at(ticks[place])
            self._longest, self._last = max(self._longest, frame.pts - self._last), frame.pts
            frame.time_base = self._tick
            self._count += 1
            with self._muxing():
                self._container.mux(self._stream.encode(frame))

    def _shown_at(self, tick: int) -> int:
        """The time of the next frame in the file's units; AVI counts frames."""
        if self._suffix != ".avi" or self._given_tick is None:
            return tick
        seconds = tick * self._given_tick
        check_constant(self._count, seconds, self._rate, self._given_tick, kind="AVI", name=str(self._path))
        return self._count

    def write_audio(self, packets: Sequence[AudioPacket]) -> None:
        """Append packets, whose times count from the first frame on; raises OutputError."""
        assert self._audio is not None
        for packet in packets:
            copied = Packet(packet.data)
            copied.stream = self._audio
            copied.time_base = self._audio_base
            copied.is_keyframe = True
            with self._muxing():
                copied.pts = copied.dts = packet.time
                copied.duration = packet.duration
                self._container.mux(copied)

    def close(self) -> None:
        """Finish the file; raises OutputError if that fails or if no frame was written."""
        if not self._count:
            self.abort()
            raise OutputError("has no frames to hold", way_out="write some first", where=str(self._path))
        with self._muxing():
            packets = self._stream.encode(None)
            if self._count <= self._encoder.undated_frames:
                for packet in packets:
                    packet.dts = packet.pts
            self._container.mux(packets)
            self._container.close()

    @contextlib.contextmanager
    def _muxing(self) -> Iterator[None]:
        """Report failures, and raise what a signal raised while the stream was written to."""
        try:
            with reported(self._path):
                yield
        except OutputError as error:
            if not isinstance(error.__cause__, av.PatchWelcomeError) or self._suffix not in MOV_SUFFIXES:
                raise
            raise UsageError(
                f"a frame is shown for {float(self._longest * self._tick):.0f} s, longer than a "
                f"{self._suffix} file can say",
                way_out="choose .mkv",
                where=str(self._path),
            ) from error
        self._raise_interruption()

    def _raise_interruption(self) -> None:
        if self._sink is not None:
            self._sink.raise_interruption()

    def abort(self) -> None:
        """Close the file without finishing it; what it holds so far is left to the caller."""
        with contextlib.suppress(av.FFmpegError, OSError, ValueError):
            self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
            return
        if self._sink is not None and self._count and isinstance(error, InputError):
            # A stream keeps what it got: frames from before the damage that the encoder holds belong to it.
            with contextlib.suppress(OutputError):
                self.close()
        if self._sink is not None and not isinstance(error, Exception):
            self._sink.is_mute = True  # whoever ends the command does not wait for a reader
        self.abort()


def _metadata(tags: Tags) -> dict[str, str]:
    """The tags as FFmpeg's containers take them; a moment in time also as when the video was made."""
    found = {name: value for name, value in vars(tags).items() if value}
    with contextlib.suppress(ValueError):
        if "T" in tags.date and datetime.fromisoformat(tags.date):
            found["creation_time"] = tags.date
    return found


def _padded(picture: Frame, size: tuple[int, int]) -> Frame:
    """Picture `[H, W, 3]` of `size` (width, height), its last row and column repeated."""
    height, width, _ = picture.shape
    if (width, height) == size:
        return picture
    return np.pad(picture, ((0, size[1] - height), (0, size[0] - width), (0, 0)), mode="edge")
