"""Frame times and sound as bytes: TIME and AUDI payloads, and the header's description of a track.

Numbers in them are variable-length: 7 bits a byte, low bits first, the top bit set in every byte but the
last, which is not zero unless it is the only one; signed ones as 2n for n >= 0 and -2n - 1 below.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from infotok_cli.container import checks, layout
from infotok_cli.container.layout import Counts
from infotok_cli.errors import InputError
from infotok_cli.sound import AudioPacket, AudioTrack


def pack_times(first_frame: int, first_tick: int, durations: Sequence[int]) -> bytes:
    """TIME payload of the segment that starts with this shown frame at this tick.

    `durations`: ticks that each of its coded frames is shown.

    ValueError for a duration outside 1..2^32 - 1.
    """
    if not all(1 <= duration <= layout.MAX_DURATION for duration in durations):
        raise ValueError(f"durations {min(durations)}..{max(durations)} of frames")
    return layout.TIME_STRUCT.pack(first_frame, first_tick) + b"".join(map(_varint, _steps(durations)))


def times_bytes(durations: Sequence[int]) -> int:
    """Length of the TIME payload of these durations."""
    return layout.TIME_STRUCT.size + sum(map(_varint_bytes, _steps(durations)))


def _steps(durations: Sequence[int]) -> list[int]:
    """Each duration less the one before, zigzag; those at the end that are 0 are left out."""
    before = (0, *durations)
    steps = [_zigzag(here - last) for last, here in zip(before, durations, strict=False)]
    while len(steps) > 1 and not steps[-1]:
        steps.pop()
    return steps


def unpack_times(payload: bytes, frames: int) -> tuple[int, int, list[int]]:
    """First frame, first tick and the durations of `frames` coded frames of a TIME payload.

    Raises:
        InputError: it is not what `pack_times` gives for any.
    """
    if len(payload) < layout.TIME_STRUCT.size:
        raise InputError("too few bytes")
    first_frame, first_tick = layout.TIME_STRUCT.unpack_from(payload)
    steps, at = [], layout.TIME_STRUCT.size
    while at < len(payload):
        step, at = _read_varint(payload, at)
        steps.append(_unzigzag(step))
    if not 1 <= len(steps) <= frames or (len(steps) > 1 and not steps[-1]):
        raise InputError(f"{len(steps)} times for {frames} frames")
    durations, duration = [], 0
    for step in steps:
        duration += step
        durations.append(duration)
    if not all(1 <= duration <= layout.MAX_DURATION for duration in durations):
        raise InputError("a frame that is shown for no time at all, or too long")
    return first_frame, first_tick, durations + [duration] * (frames - len(steps))


def pack_audio(first_frame: int, packets: Iterable[AudioPacket]) -> bytes:
    """AUDI payload of the segment that starts with this shown frame.

    Packet times count from the segment's first coded frame.

    Raises:
        InputError: it would be longer than the format allows.
    """
    listed = list(packets)
    table = _packet_table(listed)
    payload = b"".join(
        (
            layout.AUDIO_STRUCT.pack(first_frame, len(listed)),
            *map(_varint, table),
            *(packet.data for packet in listed),
        )
    )
    if len(payload) > layout.MAX_AUDIO_BYTES or len(listed) > layout.MAX_PACKETS:
        raise InputError(
            f"{len(payload)} bytes of sound in {len(listed)} packets are too much for one segment",
            way_out="leave it out with `audio`",
        )
    return payload


def audio_bytes(packets: Sequence[AudioPacket]) -> int:
    """Length of the AUDI payload of these packets."""
    table = sum(map(_varint_bytes, _packet_table(packets)))
    return layout.AUDIO_STRUCT.size + table + sum(len(packet.data) for packet in packets)


def _packet_table(packets: Sequence[AudioPacket]) -> list[int]:
    """Three numbers for each packet: time after the one before, zigzag, duration, and length."""
    table, last = [], 0
    for packet in packets:
        table += [_zigzag(packet.time - last), packet.duration, len(packet.data)]
        last = packet.time
    return table


def unpack_audio(payload: bytes) -> tuple[int, list[AudioPacket]]:
    """First frame and packets of an AUDI payload.

    Raises:
        InputError: it is not what `pack_audio` gives for any.
    """
    if len(payload) < layout.AUDIO_STRUCT.size:
        raise InputError("too few bytes")
    first_frame, count = layout.AUDIO_STRUCT.unpack_from(payload)
    if count > min(layout.MAX_PACKETS, len(payload) // 3):
        raise InputError(f"{count} packets in {len(payload)} bytes")
    table, at, time = [], layout.AUDIO_STRUCT.size, 0
    for _ in range(count):
        step, at = _read_varint(payload, at)
        duration, at = _read_varint(payload, at)
        length, at = _read_varint(payload, at)
        time += _unzigzag(step)
        if abs(time) > layout.MAX_TICKS or duration > layout.MAX_DURATION:
            raise InputError(f"a packet at time {time} of {duration}")
        table.append((time, duration, length))
    if at + sum(length for *_, length in table) != len(payload):
        raise InputError("packets that do not fill the section")
    packets = []
    for time, duration, length in table:
        packets.append(AudioPacket(time, duration, payload[at : at + length]))
        at += length
    return first_frame, packets


def spread_evenly(ticks: int, counts: Counts) -> list[int]:
    """Durations of a segment's coded frames whose own were lost, where it is shown for `ticks` in all."""
    places = [ticks * place // counts.shown for place in range(counts.shown + 1)]
    shown = [min(layout.MAX_DURATION, max(1, after - before)) for before, after in pairwise(places)]
    return [1] * counts.trim_start + shown + [1] * counts.trim_end


def check_track(track: AudioTrack) -> None:
    """Raise InputError, naming the value, for a track that the header cannot describe."""
    checks.text("audio codec", track.codec, 1, layout.MAX_CODEC_BYTES)
    checks.between("bytes private to the audio codec", len(track.private), 0, layout.MAX_PRIVATE_BYTES)
    checks.between("audio sample rate", track.sample_rate, 1, layout.MAX_SAMPLE_RATE)
    checks.between("audio channels", track.channels, 1, 255)
    checks.between("audio bits", track.bits, 0, 255)
    checks.fraction("audio time base", track.time_base, layout.TIME_UNITS)


def pack_track(track: AudioTrack) -> bytes:
    """The end of a HEAD payload that describes the sound track."""
    codec = track.codec.encode()
    return b"".join(
        (
            layout.TRACK_STRUCT.pack(
                track.sample_rate,
                track.channels,
                track.bits,
                *track.time_base.as_integer_ratio(),
                len(codec),
                len(track.private),
            ),
            codec,
            track.private,
        )
    )


def unpack_track(payload: bytes, at: int) -> tuple[AudioTrack, int]:
    """The description of the sound track at `at` of a HEAD payload, and where it ends; raises InputError."""
    if at + layout.TRACK_STRUCT.size > len(payload):
        raise InputError("its description of the sound track is too short")
    names = [name for name, _ in layout.TRACK_FIELDS]
    value = dict(zip(names, layout.TRACK_STRUCT.unpack_from(payload, at), strict=True))
    start = at + layout.TRACK_STRUCT.size
    middle = start + value["codec_bytes"]
    end = middle + value["private_bytes"]
    if end > len(payload):
        raise InputError(f"{end - len(payload)} bytes too few")
    base = checks.lowest_terms("audio time base", value["audio_base_num"], value["audio_base_den"])
    track = AudioTrack(
        codec=checks.decoded("audio codec", payload[start:middle]),
        private=payload[middle:end],
        sample_rate=value["sample_rate"],
        channels=value["channels"],
        bits=value["bits"],
        time_base=base,
    )
    return track, end


def _zigzag(value: int) -> int:
    return 2 * value if value >= 0 else -2 * value - 1


def _unzigzag(value: int) -> int:
    return value // 2 if value % 2 == 0 else -(value // 2) - 1


def _varint(value: int) -> bytes:
    coded = bytearray()
    while value > 0x7F:
        coded.append(value & 0x7F | 0x80)
        value >>= 7
    coded.append(value)
    return bytes(coded)


def _varint_bytes(value: int) -> int:
    """Length of its code."""
    return max(1, -(-value.bit_length() // 7))


def _read_varint(payload: bytes, at: int) -> tuple[int, int]:
    """Number at `at` and where the next one starts; InputError unless it is the shortest code of it."""
    value = shift = 0
    while at < len(payload) and shift < layout.MAX_VARINT_BYTES * 7:
        byte = payload[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            if not byte and shift > 7:
                break
            return value, at
    raise InputError("an invalid variable-length integer")
