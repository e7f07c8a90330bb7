"""Small test videos with sound, in any codec and container: a tone that is never the same twice."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from make_video import moving_shapes

SAMPLE_RATE = 48000


def sweep(seconds: float) -> NDArray[np.int16]:
    """Samples `[n]`: a tone that rises for as long as it lasts."""
    at = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (np.sin(2 * np.pi * (300 + 200 * at) * at) * 20000).astype(np.int16)


def make_media(
    path: Path,
    *,
    frames: int = 24,
    size: tuple[int, int] = (40, 48),
    rate: Fraction | int = 30,
    sound: str | None = "aac",
    sound_seconds: float | None = None,
    sound_delay: Fraction = Fraction(0),
    video_delay: Fraction = Fraction(0),
    ticks: list[int] | None = None,
    time_base: Fraction | None = None,
    video_codec: str | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Frames of `size` (height, width) and a tone; `sound` is FFmpeg's encoder, None for silence.

    `ticks` are the times of frames in units of `time_base`; delays come on top of all times.
    """
    rate, time_base = Fraction(rate), time_base or 1 / Fraction(rate)
    seconds = float(frames / rate) if sound_seconds is None else sound_seconds
    with av.open(str(path), mode="w", options=container_options or {}) as container:
        codec = video_codec or ("libvpx-vp9" if path.suffix == ".webm" else "libx264")
        video = cast(VideoStream, container.add_stream(codec, rate=rate))
        video.height, video.width = size
        video.pix_fmt = "yuv420p"
        video.codec_context.time_base = time_base
        video.codec_context.thread_count = 1
        packets: list[tuple[Fraction, int, Packet]] = []
        tone = None
        if sound is not None:
            tone = cast(
                AudioStream, container.add_stream(sound, rate=SAMPLE_RATE, options={"strict": "experimental"})
            )
            tone.codec_context.layout = "stereo"
        container.start_encoding()
        for index, picture in enumerate(moving_shapes(frames, *size)):
            frame = VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            frame.pts = (index if ticks is None else ticks[index]) + int(video_delay / time_base)
            frame.time_base = time_base
            packets += [_at(packet, 0) for packet in video.encode(frame)]
        packets += [_at(packet, 0) for packet in video.encode(None)]
        if tone is not None:
            packets += [_at(packet, 1) for packet in _tone_packets(tone, seconds, sound_delay)]
        for _, _, packet in sorted(packets, key=lambda entry: entry[:2]):
            container.mux(packet)
    return path


def without_default_duration(path: Path) -> Path:
    """The Matroska file, which no longer says how long frames last, as browsers record them."""
    data = path.read_bytes()
    at = data.index(b"\x23\xe3\x83")  # DefaultDuration, followed by its length
    rest = 2 + (data[at + 3] & 0x7F)
    void = b"\xec" + bytes([0x80 | rest]) + bytes(rest)
    path.write_bytes(data[:at] + void + data[at + len(void) :])
    return path


def without_early_sound(path: Path, share: float) -> Path:
    """The MPEG-TS file, which still declares its sound but has none in this share of it."""
    data = path.read_bytes()
    packets = [data[at : at + 188] for at in range(0, len(data), 188)]
    kept = [
        packet
        for number, packet in enumerate(packets)
        if number >= share * len(packets) or int.from_bytes(packet[1:3], "big") & 0x1FFF != 0x101
    ]
    path.write_bytes(b"".join(kept))
    return path


def _at(packet: Packet, kind: int) -> tuple[Fraction, int, Packet]:
    assert packet.dts is not None
    assert packet.time_base is not None
    return packet.dts * packet.time_base, kind, packet


def _tone_packets(stream: AudioStream, seconds: float, delay: Fraction) -> list[Packet]:
    context = stream.codec_context
    samples = sweep(seconds)
    wanted = context.frame_size or 1024
    resampler = av.AudioResampler(format=context.format.name, layout="stereo", rate=SAMPLE_RATE)
    packets = []
    for start in range(0, len(samples), wanted):
        part = samples[start : start + wanted]
        both = np.repeat(part[:, None], 2, axis=1).reshape(1, -1)
        frame = AudioFrame.from_ndarray(both, format="s16", layout="stereo")
        frame.sample_rate, frame.pts = SAMPLE_RATE, start + round(delay * SAMPLE_RATE)
        frame.time_base = Fraction(1, SAMPLE_RATE)
        for ready in resampler.resample(frame):
            packets += context.encode(ready)
    packets += context.encode(None)
    for packet in packets:
        packet.stream = stream
    return packets


@dataclass(frozen=True)
class Media:
    """What a file holds, its times in seconds from its first frame on."""

    video: list[Fraction]
    """When each frame is shown."""
    sound: list[tuple[Fraction, bytes]]
    """When each packet is heard, and its bytes."""
    codec: str | None

    @property
    def sound_bytes(self) -> bytes:
        return b"".join(data for _, data in self.sound)


def read_media(path: Path) -> Media:
    """Read a file with PyAV, past all code of the project; AAC comes without headers of its own."""
    with av.open(str(path)) as container:
        tone = container.streams.audio[0] if container.streams.audio else None
        strip = None
        if tone is not None and tone.codec_context.name == "aac" and not tone.codec_context.extradata:
            strip = av.bitstream.BitStreamFilterContext("aac_adtstoasc", tone)
        video, sound = [], []
        for packet in container.demux():
            if not packet.size or packet.pts is None:
                continue
            if packet.stream is tone:
                for bare in [packet] if strip is None else strip.filter(packet):
                    assert bare.pts is not None
                    assert bare.time_base is not None
                    sound.append((bare.pts * bare.time_base, bytes(bare)))
            elif packet.stream.type == "video" and packet.time_base is not None:
                video.append(packet.pts * packet.time_base)
        video.sort()
        return Media(
            video=[time - video[0] for time in video],
            sound=[(time - video[0], data) for time, data in sound],
            codec=None if tone is None else tone.codec_context.codec.canonical_name,
        )
