"""Video files in: facts about a file, and its frames one by one as RGB arrays.

Everything FFmpeg decodes is read: any pixel format, any size, still images as videos of one frame.
Damage is never passed over: a file that ends early or does not decode cleanly raises InputError.
"""

from __future__ import annotations

from array import array
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import av
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Discard
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from infotok_cli.errors import InfotokError, InputError
from infotok_cli.sound import AudioPacket, AudioTrack
from infotok_cli.tags import Tags
from infotok_cli.video.audio import AudioSource
from infotok_cli.video.damage import Damage, SoundDamage
from infotok_cli.video.left_out import left_out, tags_of
from infotok_cli.video.source import Source
from infotok_cli.video.timed_frames import (
    Presentation,
    RunningStreams,
    TimedFrame,
    TimeRange,
    tells_rate,
)
from infotok_cli.video.video_info import Frame, Pace, VideoInfo


class VideoReader(Protocol):
    """What a video file and a video that comes through a pipe have in common; a context manager."""

    @property
    def info(self) -> VideoInfo: ...

    @property
    def is_constant(self) -> bool:
        """Whether frame n is known to be shown at n / frame_rate, to within its clock and 1 ms."""

    @property
    def sound(self) -> AudioTrack | None:
        """The sound that was asked for; None where there is not a single packet of it."""

    @property
    def origin_seconds(self) -> Fraction:
        """When the first frame is shown, by the container's clock, which that of the sound is too."""

    @property
    def tags(self) -> Tags:
        """Its title and date."""

    @property
    def warnings(self) -> tuple[InfotokError, ...]:
        """What a person should know of it."""

    def timed_frames(
        self,
        start_seconds: float | None = None,
        end_seconds: float | None = None,
        short_side: int | None = None,
    ) -> Iterator[TimedFrame]: ...

    def sound_packets(self) -> AbstractContextManager[Iterator[AudioPacket | None]]:
        """All packets of `sound`, with the container's times; None among them stands for silence."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_video(
    path: str | Path, *, survey: bool = False, audio: bool = False, skip_bad: bool = False
) -> FileReader:
    """Open a video or image file; use as a context manager.

    `survey` reads the times of all frames, which `is_constant` rests on; `audio` learns the sound.
    With `skip_bad` frames go on past damage, for which the last frame before it stands, and a warning says
    where; otherwise that is raised.
    Raises InputError, naming the file, if it is missing, a folder, empty, unreadable, not a video,
    without frames, damaged at its start, or if its `audio` cannot be carried.
    """
    return FileReader(Path(path), survey=survey, audio=audio, skip_bad=skip_bad)


class FileReader:
    """One video file: `info` holds its facts, `timed_frames` streams its pictures, as often as asked.

    The file is opened once, to learn of it and for its frames: each run of them goes back to the start. Where
    FFmpeg cannot go back, as in a single picture, and for a run beside another one, it is opened again.
    So it is for the sound: a file may hold it far from the pictures, more than could wait in memory, and
    going to a key frame of the pictures may miss the sound that is heard with it.
    """

    def __init__(
        self, path: Path, *, survey: bool = False, audio: bool = False, skip_bad: bool = False
    ) -> None:
        """See `open_video`."""
        self._path = path
        self._skip_bad = skip_bad
        self._running = RunningStreams()
        self._damage: Damage | None = None
        self._sound_damage: SoundDamage | None = None
        self._idle: Source | None = None
        """The opened file, while no run of frames reads it."""
        with self._lent(Source(path)) as source:
            self._left_out = left_out(source.container, str(path), audio=audio)
            self.tags = tags_of(source.container)
            probe = _Probe(source, audio=audio, skip_bad=skip_bad)
            first = next(self._decoded(source, probe.pictures, None), None)
            shown = Presentation.of(source, first)
            if not tells_rate(source):
                shown = shown.at_rate(probe.pace(shown).rate())
            self.is_constant = survey and (not source.has_clock or probe.is_constant(shown))
            self.sound = probe.track()
            if self.sound is None:
                self._sound_damage = probe.sound_damage
        self._shown = shown
        self.info: VideoInfo = shown.info
        self.origin_seconds = shown.origin_seconds

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def warnings(self) -> tuple[InfotokError, ...]:
        """What is left out, and what was damaged as far as it has been read."""
        total = self.info.duration_seconds_from_container
        damage = None if self._damage is None else self._damage.warning(total)
        of_sound = None if self._sound_damage is None else self._sound_damage.warning(self.origin_seconds)
        return (*self._left_out, *(told for told in (damage, of_sound) if told is not None))

    def close(self) -> None:
        """Close the file and end every stream of frames that is still running."""
        self._running.close()
        if self._idle is not None:
            self._idle.close()

    def frames(
        self,
        start_seconds: float | None = None,
        end_seconds: float | None = None,
        short_side: int | None = None,
    ) -> Iterator[Frame]:
        """Frames `[H, W, 3]`, RGB 0..255, as shown; see `timed_frames`."""
        return (timed.pixels for timed in self.timed_frames(start_seconds, end_seconds, short_side))

    def timed_frames(
        self,
        start_seconds: float | None = None,
        end_seconds: float | None = None,
        short_side: int | None = None,
    ) -> Iterator[TimedFrame]:
        """Frames with start <= time < end, in seconds after the first frame of the file.

        Times are compared to within a tenth of a frame, at most 0.6 ms, so that a rounded time names its
        frame. `short_side` resizes (area down, bicubic up), keeping the shape.
        Raises, while it runs: InputError if the file is damaged, ends early or changes size;
        UsageError if no frame lies between start and end.
        """
        wanted = TimeRange(start_seconds or 0.0, end_seconds)
        return self._running.added(self._stream(wanted, short_side))

    def _stream(self, wanted: TimeRange, short_side: int | None) -> Generator[TimedFrame]:
        with self._source_at(wanted.start_seconds) as (source, packets):
            damage = self._damage = Damage(self.info.frame_rate, str(self._path))
            decoded = self._decoded(source, packets, damage)
            frames = self._shown.timed(decoded, wanted, short_side, has_clock=source.has_clock)
            yield from damage.bridged(frames, fill=self.is_constant and source.has_clock)

    def _decoded(
        self, source: Source, packets: Iterator[Packet[VideoStream]], damage: Damage | None
    ) -> Iterator[VideoFrame]:
        """Decoded frames, past damage if it is to be skipped; what is met then goes to `damage`."""
        if not self._skip_bad:
            return source.decode(packets)
        return source.decode_past(packets, lambda error: None if damage is None else damage.add(error))

    @contextmanager
    def _source_at(self, start_seconds: float) -> Iterator[tuple[Source, Iterator[Packet[VideoStream]]]]:
        """Opened file and its packets from a key frame at or before the start, or from the beginning."""
        with self._lent(self._idle or Source(self._path)) as source:
            packets = self._packets_at(source, start_seconds)
            if packets is not None:
                yield source, packets
                return
        with self._lent(Source(self._path)) as source:
            yield source, source.packets()

    def _packets_at(self, source: Source, start_seconds: float) -> Iterator[Packet[VideoStream]] | None:
        """Packets of `source` for frames from `start_seconds` on; None where it must be opened again."""
        start = Fraction(start_seconds) - self._shown.tolerance_seconds
        packets = None
        if start > 0:
            first_tick = self._shown.first_tick
            packets = source.packets_before(first_tick + start / self.info.time_base, first_tick)
        return packets or source.packets_again()

    @contextmanager
    def _lent(self, source: Source) -> Iterator[Source]:
        """`source` for one run; where that succeeds, the next one may have it."""
        if source is self._idle:
            self._idle = None
        try:
            yield source
        except GeneratorExit:
            self._give_back(source)
            raise
        except BaseException:
            source.close()
            raise
        self._give_back(source)

    def _give_back(self, source: Source) -> None:
        if self._idle is not None:
            self._idle.close()
        source.rest()
        self._idle = source

    @contextmanager
    def sound_packets(self) -> Iterator[Iterator[AudioPacket | None]]:
        """All packets of the sound, with the container's times, read independently of the frames.

        Raises InputError, also while they are read, where the sound is damaged, unless that is to be skipped.
        """
        with Source(self._path) as source:
            for stream in source.container.streams:
                stream.discard = Discard.default if stream.type == "audio" else Discard.all
            sound = AudioSource(source.container, str(self._path))
            if self._skip_bad:
                damage = self._sound_damage = SoundDamage(sound.time_base, str(self._path))
                yield damage.noted(sound.packets_past(damage.add))
            else:
                yield _packets_of(sound, str(self._path))


class _Probe:
    """The packets of a video as they are read for the first time, and what their times tell."""

    def __init__(self, source: Source, *, audio: bool, skip_bad: bool) -> None:
        """With `audio` the first packets of sound are looked at where they are needed to know it.

        skip_bad: damaged ones are passed over.
        """
        self._source = source
        self._skip_bad = skip_bad
        self.sound_damage: SoundDamage | None = None
        """Set where packets were passed over."""
        self._sound: AudioSource | None = None
        if audio and source.container.streams.audio:
            self._sound = AudioSource(source.container, str(source.path))
        self._ticks = array("q")
        self._failure: av.FFmpegError | None = None
        self.pictures = self._read()

    def _read(self) -> Iterator[Packet[VideoStream]]:
        """Packets of pictures; the times of frames that are shown are noted on the way."""
        others = [] if self._sound is None or self._sound.track is not None else [self._sound.stream]
        for packet in self._source.packets_with(*others):
            if packet.stream is self._source.stream:
                if packet.pts is not None and not packet.is_discard:
                    self._ticks.append(packet.pts)
                yield packet
            elif self._sound is not None and self._sound.track is None:
                self._look_at(packet, self._sound)

    def _look_at(self, packet: Packet[AudioStream], sound: AudioSource) -> None:
        """Learn from a packet what the sound is, as the first whole one tells."""
        if self._skip_bad and packet.is_corrupt:
            self._pass_over(sound)
            return
        try:
            for _ in sound.filtered(packet):
                pass
        except av.FFmpegError as error:
            if not self._skip_bad:
                raise _damaged_sound(str(self._source.path)) from error
            self._pass_over(sound)

    def _pass_over(self, sound: AudioSource) -> None:
        if self.sound_damage is None:
            self.sound_damage = SoundDamage(sound.time_base, str(self._source.path))
        self.sound_damage.add()

    def _times(self, shown: Presentation) -> Iterator[int]:
        """When frames are shown, in ticks after the first one, in the order of their packets."""
        place = 0
        try:
            while place < len(self._ticks) or next(self.pictures, None) is not None:
                for tick in self._ticks[place:]:
                    place += 1
                    if tick >= shown.first_tick:
                        yield tick - shown.first_tick
        except av.FFmpegError as error:
            self._failure = error  # reported where frames are decoded

    def pace(self, shown: Presentation) -> Pace:
        """The pace of all frames, compared with the container's rate."""
        pace = Pace(shown.info.frame_rate, shown.info.time_base)
        for ticks in self._times(shown):
            pace.add(ticks)
        return pace

    def is_constant(self, shown: Presentation) -> bool:
        """Whether the frame rate is kept; reads on only as long as it is."""
        pace = Pace(shown.info.frame_rate, shown.info.time_base)
        for ticks in self._times(shown):
            pace.add(ticks)
            if not pace.is_kept:
                return False
        return pace.is_constant

    def track(self) -> AudioTrack | None:
        """What the sound is, reading on until its first packet where only that tells."""
        if self._sound is None:
            return None
        with _sound_errors(str(self._source.path)):
            while self._sound.track is None and next(self.pictures, None) is not None:
                pass
            if self._sound.track is None and self._failure is not None:
                raise self._failure
            if self._sound.track is None:
                self._sound.check_end()
        return self._sound.track


def _packets_of(sound: AudioSource, name: str) -> Iterator[AudioPacket]:
    with _sound_errors(name):
        for packet in sound.container.demux(sound.stream):
            yield from sound.filtered(packet)
        sound.check_end()


@contextmanager
def _sound_errors(name: str) -> Iterator[None]:
    """Report what FFmpeg cannot read as damaged sound of file `name`."""
    try:
        yield
    except av.FFmpegError as error:
        raise _damaged_sound(name) from error


def _damaged_sound(name: str) -> InputError:
    return InputError(
        "its sound is damaged", way_out="get a whole copy, or leave it out with `audio`", where=name
    )
