"""Long videos in parts: which parts, each encoded by itself, and all joined to the file of one encode.

A part is a run of whole groups. Where what a group gets depends on no other group, its segments are those
of one encode of the whole video; the sound is laid between them when they are joined.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path

from infotok_cli.atomic import atomic_output
from infotok_cli.batch.items import Item
from infotok_cli.batch.outputs import Row, row_of
from infotok_cli.batch.remote import is_url
from infotok_cli.batch.run_file import RunSettings, make_folder
from infotok_cli.batch.wrapped_video import WrappedInput, WrappedVideo
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.container.layout import Segment
from infotok_cli.container.reader import ItkReader
from infotok_cli.container.writer import ItkWriter
from infotok_cli.errors import InfotokError
from infotok_cli.model.engine import Engine
from infotok_cli.places import output_of
from infotok_cli.sound import AudioPacket
from infotok_cli.video.audio import AudioFeed
from infotok_cli.video.reader import FileReader, open_video
from infotok_cli.video.timed_frames import TimedFrame
from infotok_cli.video.video_info import VideoInfo, scaled_size

PART_GROUPS = 8
"""Groups in a part: 4.5 minutes at 456x256 and 30 frames per second."""

HIGHEST_RATE = 240
"""Frames per second up to which a time between two frames tells them apart, whatever the clock."""


@dataclass(frozen=True, kw_only=True)
class Film:
    """A video that is encoded in parts."""

    source: str
    folder: str
    """Where its parts lie, below the output folder."""
    parts: int
    frames: int
    """Of every part but the last, which has all that are left."""

    def path(self, folder: Path, part: int) -> Path:
        """File of a part, hidden as unfinished files are."""
        return folder / self.folder / f".{part:05}.itk"


def film_of(item: Item, options: EncodeOptions, segment_frames: int) -> Film | None:
    """The item as parts; None where it is short, or where parts would not add up to what one encode makes.

    That is so for budgets that look at the whole file, with a start or an end, without a constant frame
    rate, and for what cannot be opened.
    """
    by_group = options.budget is None or options.budget.planner.by_group
    has_range = options.start_seconds is not None or options.end_seconds is not None
    if is_url(item.source) or not by_group or has_range:
        return None
    try:
        with open_video(item.source, survey=True) as video:
            info, is_constant = video.info, video.is_constant
        status = os.stat(item.source)
    except (InfotokError, OSError):
        return None
    expected = info.expected_frames(None, None)
    if expected is None or not is_constant or info.frame_rate > HIGHEST_RATE:
        return None
    frames = _part_frames(info, options, segment_frames)
    if expected < 2 * frames:
        return None
    stamp = f"{item.target}\0{status.st_size}\0{status.st_mtime_ns}\0{frames}"
    digest = hashlib.sha256(stamp.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return Film(source=item.source, folder=f".infotok-{digest}", parts=expected // frames, frames=frames)


def _part_frames(info: VideoInfo, options: EncodeOptions, segment_frames: int) -> int:
    from infotok_cli.codec.groups import file_group_size

    width, height = scaled_size(info.width, info.height, options.short_side)
    size = file_group_size(segment_frames, height, width)
    return PART_GROUPS * size * segment_frames


@dataclass(frozen=True, kw_only=True)
class _Note:
    """What is kept beside a part, once it is whole."""

    sha256: str
    first: str
    """Digest of the first frame."""
    following: str | None
    """Digest of the frame that follows the last one; None at the end of the video."""
    ms: float

    @classmethod
    def read(cls, part: Path) -> _Note | None:
        """That of a part, if it is there and whole."""
        try:
            note = cls(**json.loads(part.with_suffix(".json").read_text("utf-8")))
            with part.open("rb") as file:
                same = hashlib.file_digest(file, "sha256").hexdigest() == note.sha256
        except (OSError, ValueError, TypeError):
            return None
        return note if same else None

    def write(self, part: Path) -> None:
        with atomic_output(part.with_suffix(".json"), overwrite=True) as file:
            file.write(json.dumps(asdict(self)).encode())


class _PartVideo(WrappedVideo):
    """A video from one of its frames on, without its sound; notes which frames it gave."""

    def __init__(self, video: FileReader, first_frame: int) -> None:
        """video: of a constant frame rate, as is known already."""
        super().__init__(video)
        self.held.enter_context(video)
        self._first_frame = first_frame
        self.first: str | None = None
        self.last: TimedFrame | None = None

    @property
    def is_constant(self) -> bool:
        return True

    @property
    def sound(self) -> None:
        return None

    def timed_frames(
        self,
        start_seconds: float | None = None,
        end_seconds: float | None = None,
        short_side: int | None = None,
    ) -> Iterator[TimedFrame]:
        """Frames from the first one on; start and end are not looked at.

        What is sought is a time between two frames: a clock may be rounded, and what de-interlacing makes of
        a frame depends on the one before it, which then is decoded too.
        """
        between = Fraction(2 * self._first_frame - 1, 2) / self.info.frame_rate
        for frame in self._video.timed_frames(max(0.0, float(between)), None, short_side):
            self.first = self.first or digest_of(frame)
            self.last = frame
            yield frame

    def sound_packets(self) -> AbstractContextManager[Iterator[AudioPacket | None]]:
        return nullcontext(iter(()))


def digest_of(frame: TimedFrame) -> str:
    """A digest of a frame's time and pixels."""
    return hashlib.sha256(f"{frame.seconds} ".encode() + frame.pixels.tobytes()).hexdigest()


def encode_part(film: Film, part: int, folder: Path, options: EncodeOptions, engine: Engine) -> None:
    """Encode one part, unless it is there already; raises as `encode_input` does."""
    from infotok_cli.codec.encode import encode_input

    path = film.path(folder, part)
    if _Note.read(path) is not None:
        return
    began = time.perf_counter()
    make_folder(path.parent)
    is_last = part == film.parts - 1
    wanted = replace(options, frames=None if is_last else film.frames, audio=False)
    with _PartVideo(open_video(film.source), part * film.frames) as video:
        encode_input(WrappedInput(film.source, video), output_of(path, overwrite=True), engine, wanted, None)
        following = None if is_last or video.last is None else digest_of(video.last)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    milliseconds = 1000 * (time.perf_counter() - began)
    _Note(sha256=digest, first=video.first or "", following=following, ms=milliseconds).write(path)


def joined_row(item: Item, film: Film, folder: Path, run: RunSettings) -> Row | None:
    """Join the parts to the item's output, unless somebody else just has; None where they cannot be."""
    target = folder / item.target
    milliseconds = None
    with contextlib.suppress(InfotokError, OSError):  # the parts go when somebody else has joined them
        milliseconds = join_parts(film, folder, target, run.options)
    row = row_of(target, run, id=item.id, source=item.source, output=item.target, status="encoded")
    return None if row is None else replace(row, ms=milliseconds)


def join_parts(film: Film, folder: Path, target: Path, options: EncodeOptions) -> float | None:
    """Join the parts to `target`, and remove them; the milliseconds that all of it took.

    None where a part is missing, or does not begin with the frame that follows the one before, as when a
    seek gave other frames than reading on: the video is then to be encoded whole.
    """
    paths = [film.path(folder, part) for part in range(film.parts)]
    notes = [note for note in map(_Note.read, paths) if note is not None]
    if len(notes) < film.parts or any(one.following != other.first for one, other in pairwise(notes)):
        return None
    began = time.perf_counter()
    make_folder(target.parent)
    with open_video(film.source, audio=options.audio) as video:
        _write_joined(paths, target, video, options)
    drop_parts(film, folder)
    return sum(note.ms for note in notes) + 1000 * (time.perf_counter() - began)


def drop_parts(film: Film, folder: Path) -> None:
    """Remove what there is of the parts."""
    shutil.rmtree(folder / film.folder, ignore_errors=True)


def _write_joined(paths: Sequence[Path], target: Path, video: FileReader, options: EncodeOptions) -> None:
    with ItkReader(paths[0]) as reader:
        header = replace(reader.header, audio=video.sound if options.audio else None)
    output = output_of(target, overwrite=True)
    with contextlib.ExitStack() as held:
        feed = None
        if header.audio is not None:
            packets = held.enter_context(video.sound_packets())
            feed = AudioFeed(packets, header.audio.time_base, video.origin_seconds)
        writer = ItkWriter(held.enter_context(output.opened()), header, output.name)
        for segment, is_last in _segments(paths):
            heard: Sequence[AudioPacket] = ()
            if feed is not None:
                end = None if is_last else (writer.frames + segment.frames) / header.frame_rate
                heard = feed.segment(writer.frames / header.frame_rate, end)
            writer.write(segment, (), heard)
        writer.finish()


def _segments(paths: Sequence[Path]) -> Iterator[tuple[Segment, bool]]:
    """Segments of all files in order, each with whether it is the last."""

    def each() -> Iterator[Segment]:
        for path in paths:
            with ItkReader(path) as reader:
                yield from reader.segments()

    for segment, following in pairwise(chain(each(), [None])):
        assert segment is not None
        yield segment, following is None
