"""Sound in and out, untouched: packets of an audio stream and what a container must be told about them.

Codecs are named as in the Matroska codec registry, with its CodecPrivate. FFmpeg gets a stream of such a
codec from a Matroska header written here, because PyAV copies streams only from an opened file.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer
from av.packet import Packet

from infotok_cli.errors import InputError
from infotok_cli.sound import AudioPacket, AudioTrack, units_at
from infotok_cli.video.source import MOST_UNREADABLE

CODECS = {
    "aac": "A_AAC",
    "opus": "A_OPUS",
    "mp3": "A_MPEG/L3",
    "flac": "A_FLAC",
    "ac3": "A_AC3",
    "eac3": "A_EAC3",
}
"""FFmpeg's codec names to codec IDs; PCM is in the next one."""

PCM_CODECS = {
    "pcm_u8": ("A_PCM/INT/LIT", 8),
    "pcm_s16le": ("A_PCM/INT/LIT", 16),
    "pcm_s24le": ("A_PCM/INT/LIT", 24),
    "pcm_s32le": ("A_PCM/INT/LIT", 32),
    "pcm_s16be": ("A_PCM/INT/BIG", 16),
    "pcm_s24be": ("A_PCM/INT/BIG", 24),
    "pcm_s32be": ("A_PCM/INT/BIG", 32),
    "pcm_f32le": ("A_PCM/FLOAT/IEEE", 32),
    "pcm_f64le": ("A_PCM/FLOAT/IEEE", 64),
}
"""FFmpeg's names of uncompressed sound to codec IDs and bits of a sample."""

NEEDS_PRIVATE = ("A_AAC", "A_OPUS", "A_FLAC")
OPUS_RATE = 48000
FLAC_STREAMINFO_BYTES = 34
LONGEST_PRIVATE = 2048
LONGEST_PACKET = (1 << 32) - 1


@dataclass
class _Clock:
    """Fills in what packets leave out."""

    next_time: int = 0

    def place(self, packet: Packet[AudioStream]) -> tuple[int, int]:
        time = self.next_time if packet.pts is None else packet.pts
        duration = min(max(0, packet.duration or 0), LONGEST_PACKET)
        self.next_time = time + duration
        return time, duration


class AudioSource:
    """The first audio stream of an opened container, as packets in order."""

    def __init__(self, container: InputContainer, name: str) -> None:
        """`name`: the file, for messages. InputError for sound that cannot be carried."""
        self.stream: AudioStream = container.streams.best("audio") or container.streams.audio[0]  # type: ignore[assignment]
        self.container = container
        self._name = name
        self._clock = _Clock()
        self._filter: BitStreamFilterContext | None = None
        self._packets = 0
        self._last_position = -1
        context = self.stream.codec_context
        self.codec = "unknown" if context is None else context.codec.canonical_name
        if self.codec == "aac" and not context.extradata:
            # MPEG transport streams carry AAC with a header in each packet; other containers must not.
            self._filter = BitStreamFilterContext("aac_adtstoasc", self.stream)
        self._track: AudioTrack | None = None
        if self._filter is None:
            self._track = self._describe(context.extradata or b"" if context is not None else b"")

    def filtered(self, packet: Packet[AudioStream]) -> Iterator[AudioPacket]:
        """What is to be kept of a packet of this stream, times counted as the container does."""
        if not packet.size:
            return
        if packet.is_corrupt:
            raise InputError(
                f"its sound is damaged in packet {self._packets}",
                way_out="get a whole copy, or leave it out with `audio`",
                where=self._name,
            )
        self._packets += 1
        self._last_position = packet.pos if packet.pos is not None else -1
        ready = [packet] if self._filter is None else self._filter.filter(packet)
        for each in ready:
            if self._track is None:
                data = each.get_sidedata("new_extradata")
                self._track = self._describe(bytes(data) if data else b"")
            time, duration = self._clock.place(each)
            if each.is_discard and time >= 0 and self._packets > 1:
                continue  # an edit list cuts it off
            yield AudioPacket(time, duration, bytes(each))

    def packets_past(self, told: Callable[[], None]) -> Iterator[AudioPacket]:
        """All whole packets of this stream; each time that one is damaged or missing, `told` is called."""
        failures = 0
        while failures < MOST_UNREADABLE:
            try:
                for packet in self.container.demux(self.stream):
                    if packet.is_corrupt:
                        told()
                        continue
                    failures = 0
                    yield from self.filtered(packet)
                break
            except av.FFmpegError:
                told()
                failures += 1
        try:
            self.check_end()
        except InputError:
            told()

    def check_end(self) -> None:
        """Raise InputError when an MP4 or MOV file, which lists its packets, has not given the last one."""
        entries = self.stream.index_entries
        listed = self.container.format.name.startswith("mov") and len(entries) > 0
        if listed and self._last_position < entries[-1].pos:
            raise InputError(
                f"its sound is truncated after packet {self._packets}",
                way_out="get a whole copy, or leave it out with `audio`",
                where=self._name,
            )

    @property
    def time_base(self) -> Fraction:
        return self.stream.time_base or Fraction(1, av.time_base)

    @property
    def track(self) -> AudioTrack | None:
        """None as long as the first packet, which tells, has not been seen."""
        return self._track

    def _describe(self, extradata: bytes) -> AudioTrack:
        context = self.stream.codec_context
        codec, bits = PCM_CODECS.get(self.codec, (CODECS.get(self.codec), 0))
        way_out = "leave it out with `audio`, or convert it to AAC"
        if codec is None:
            raise InputError(
                f"sound coded as {self.codec} cannot be carried", way_out=way_out, where=self._name
            )
        private = extradata if codec in NEEDS_PRIVATE else b""
        if codec == "A_FLAC":
            streaminfo = extradata[-FLAC_STREAMINFO_BYTES:]
            private = b"fLaC\x80" + len(streaminfo).to_bytes(3, "big") + streaminfo
            bits = context.format.bits if len(streaminfo) == FLAC_STREAMINFO_BYTES else 0
        fits = len(private) <= LONGEST_PRIVATE and 1 <= context.channels <= 255 and context.sample_rate > 0
        if not fits or (codec in NEEDS_PRIVATE and not extradata):
            raise InputError(
                f"its {self.codec} sound has no usable header", way_out=way_out, where=self._name
            )
        return AudioTrack(
            codec=codec,
            private=private,
            sample_rate=context.sample_rate,
            channels=context.channels,
            bits=bits,
            time_base=self.time_base,
        )


class AudioFeed:
    """Hands out the packets of a source segment by segment, with times from a chosen moment on."""

    def __init__(self, packets: Iterator[AudioPacket | None], time_base: Fraction, origin: Fraction) -> None:
        """`packets` have the container's times; `origin` is its time, in seconds, that becomes 0.

        A None among them ends the search for the packets of a segment, not that for the next ones.
        """
        self._packets = packets
        self._time_base = time_base
        self._origin = units_at(origin, time_base)
        self._held: AudioPacket | None = None
        self._done = False

    def skip_until(self, start: Fraction) -> None:
        """Leave out what is heard before `start`, in seconds from the origin."""
        for _ in self._take(units_at(start, self._time_base)):
            pass

    def segment(self, start: Fraction, end: Fraction | None) -> list[AudioPacket]:
        """Packets not handed out yet whose middle lies before `end`, in seconds from the origin.

        Their times count from `start`. With no `end` all that are left.
        """
        first = units_at(start, self._time_base)
        last = None if end is None else units_at(end, self._time_base)
        return [AudioPacket(packet.time - first, packet.duration, packet.data) for packet in self._take(last)]

    def _take(self, end: int | None) -> Iterator[AudioPacket]:
        while not self._done:
            if self._held is None:
                try:
                    packet = next(self._packets)
                except StopIteration:
                    self._done = True
                    return
                if packet is None:
                    return
                self._held = AudioPacket(packet.time - self._origin, packet.duration, packet.data)
            if end is not None and not self._held.is_before(end):
                return
            found, self._held = self._held, None
            yield found


def template(track: AudioTrack) -> InputContainer:
    """An opened container, without packets, whose only stream is of the track's kind.

    ValueError when FFmpeg does not know the codec.
    """
    audio = _element(0xB5, struct.pack(">d", track.sample_rate)) + _element(0x9F, _number(track.channels))
    if track.bits:
        audio += _element(0x6264, _number(track.bits))
    entry = _element(0xD7, b"\x01") + _element(0x73C5, b"\x01") + _element(0x83, b"\x02")
    entry += _element(0x86, track.codec.encode()) + _element(0xE1, audio)
    if track.private:
        entry += _element(0x63A2, track.private)
    if track.codec == "A_OPUS" and len(track.private) >= 12:
        skip = int.from_bytes(track.private[10:12], "little") * 10**9 // OPUS_RATE
        entry += _element(0x56AA, _number(skip)) + _element(0x56BB, _number(80_000_000))
    head = _element(0x4282, b"matroska") + _element(0x4287, b"\x04") + _element(0x4285, b"\x02")
    info = _element(0x2AD7B1, _number(1_000_000)) + _element(0x4D80, b"-") + _element(0x5741, b"-")
    tracks = _element(0x1654AE6B, _element(0xAE, entry))
    cluster = _element(0x1F43B675, _element(0xE7, b"\x00"))  # FFmpeg reads tracks up to the first one
    data = _element(0x1A45DFA3, head) + _element(0x18538067, _element(0x1549A966, info) + tracks + cluster)
    try:
        opened = av.open(io.BytesIO(data), mode="r", format="matroska")
    except av.FFmpegError as error:
        raise ValueError(f"sound of codec {track.codec} is not known") from error
    stream = opened.streams.audio[0] if opened.streams.audio else None
    if stream is None or stream.codec_context is None:
        opened.close()
        raise ValueError(f"sound of codec {track.codec} is not known")
    return opened


def _element(number: int, content: bytes) -> bytes:
    """An EBML element (RFC 8794): its ID, the length of its content in 8 bytes, and the content."""
    identity = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return identity + b"\x01" + len(content).to_bytes(7, "big") + content


def _number(value: int) -> bytes:
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")
