"""Opening videos with FFmpeg: what is none is refused by what it is, and one stream is chosen."""

from __future__ import annotations

import stat
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from infotok_cli.errors import InputError
from infotok_cli.kinds import HEAD_BYTES, ITK, is_animated_webp, kind_of
from infotok_cli.video.ffmpeg_pipes import ReadOnly

TEXT_FORMATS = frozenset({"tty", "bin", "xbin", "adf", "idf"})
"""FFmpeg demuxers that draw any text file as a picture of a terminal."""


def _head(path: Path) -> bytes:
    """The first bytes of a file that may hold a video; InputError for what cannot."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise InputError("is a folder, not a video", way_out="name one file", where=str(path))
        if not stat.S_ISREG(mode):
            raise InputError(
                "is not a regular file", way_out="save the video to a file first", where=str(path)
            )
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except FileNotFoundError as error:
        raise InputError("does not exist", way_out="check the name", where=str(path)) from error
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror or error})", way_out="check its permissions", where=str(path)
        ) from error
    if not head:
        raise InputError("is empty (0 bytes)", way_out="get a whole copy", where=str(path))
    if kind_of(head) == ITK:
        raise InputError(
            "is an .itk file already, not a video",
            way_out=f"'infotok decode {path}' makes a video of it",
            where=str(path),
        )
    if is_animated_webp(head):
        raise InputError(
            "is an animated WebP, which FFmpeg cannot read",
            way_out="take it apart with libwebp's anim_dump, and encode the folder of pictures",
            where=str(path),
        )
    return head


def open_file(path: Path) -> InputContainer:
    """The container of a file; InputError where it cannot be one that FFmpeg reads."""
    head = _head(path)
    try:
        # With an explicit protocol a name with a colon is not taken for an address, nor one with
        # a percent sign for a pattern of image files.
        container = av.open(
            f"file:{path.absolute()}", mode="r", options={"pattern_type": "none"}, metadata_errors="replace"
        )
    except (av.FFmpegError, ValueError) as error:
        if head[4:8] == b"ftyp":
            raise InputError(
                "is truncated or damaged (no index)", way_out="get a whole copy", where=str(path)
            ) from error
        raise InputError(
            "is not a video", way_out="give a file that FFmpeg can read", where=str(path)
        ) from error
    return _not_text(container, path)


def open_pipe(path: Path, pipe: ReadOnly) -> InputContainer:
    """The container that comes through a pipe, which errors call `path`; InputError."""
    try:
        container = av.open(pipe, mode="r", metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        pipe.raise_interruption()
        raise InputError(
            "is not a video that can be read from a pipe",
            way_out="give Matroska, MPEG-TS, fragmented MP4 or Y4M, or save it to a file first",
            where=str(path),
        ) from error
    pipe.raise_interruption()
    return _not_text(container, path)


def _not_text(container: InputContainer, path: Path) -> InputContainer:
    if container.format.name in TEXT_FORMATS:
        container.close()
        raise InputError(
            "is not a video but text", way_out="give a file that FFmpeg can read", where=str(path)
        )
    return container


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """The stream to read: the best one that is not a cover picture; InputError where there is none."""
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    best = container.streams.best("video")
    if not streams:
        kinds = sorted({stream.type for stream in container.streams if stream.type != "video"})
        what = f"has only {' and '.join(kinds)}, no video" if kinds else "has no video in it"
        raise InputError(what, way_out="give a file with a video stream", where=str(path))
    chosen = next((stream for stream in streams if stream is best), streams[0])
    if chosen.codec_context is None:
        raise InputError(
            "its video codec is not known to FFmpeg", way_out="convert it to H.264 first", where=str(path)
        )
    return chosen
