"""Payloads of the TIME and AUDI sections: how long frames are shown, and the packets of a sound track.

Numbers in them are variable-length: 7 bits a byte, low bits first, the top bit set in every byte but the
last, which is not zero unless it is the only one; signed ones as 2n for n >= 0 and -2n - 1 below.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from infotok_cli.container import layout
from infotok_cli.errors import InputError
from infotok_cli.sound import AudioPacket, AudioTrack


def pack_times(number: int, first_tick: int, durations: Sequence[int]) -> bytes:
    """TIME payload: when segment `number` starts and how long its coded frames are shown, in ticks.

    ValueError for a duration outside 1..2^32 - 1.
    """
    if not all(1 <= duration <= layout.MAX_DURATION for duration in durations):
        raise ValueError(f"durations {min(durations)}..{max(durations)} of frames")
    return layout.TIME_STRUCT.pack(number, first_tick) + b"".join(map(_varint, _steps(durations)))


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
    """Number, first tick and the durations of `frames` coded frames; InputError for what is no code."""
    number, first_tick = layout.TIME_STRUCT.unpack_from(payload)
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
        raise InputError("a frame is shown for no time at all, or too long")
    return number, first_tick, durations + [duration] * (frames - len(steps))


def pack_audio(number: int, packets: Iterable[AudioPacket]) -> bytes:
    """AUDI payload; packet times count from the first coded frame of the segment.

    InputError when it would be longer than the format allows.
    """
    listed = list(packets)
    table = _packet_table(listed)
    payload = b"".join(
        (
            layout.AUDIO_STRUCT.pack(number, len(listed)),
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
    """Number and packets of an AUDI payload; InputError for what is no code."""
    number, count = layout.AUDIO_STRUCT.unpack_from(payload)
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
        raise InputError("packets do not fill the section")
    packets = []
    for time, duration, length in table:
        packets.append(AudioPacket(time, duration, payload[at : at + length]))
        at += length
    return number, packets


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
    raise InputError("a number in it is no code")
