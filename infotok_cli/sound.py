"""A sound track as it passes through untouched: what it is, and its packets. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, kw_only=True)
class AudioTrack:
    """What a player must know of a sound track besides its packets."""

    codec: str
    """Codec ID of the Matroska codec registry, for instance A_AAC."""
    private: bytes
    """CodecPrivate of the same registry, 0..2048 bytes."""
    sample_rate: int
    """Samples per second, 1..2^28."""
    channels: int
    """1..255."""
    bits: int
    """Bits of a sample for PCM and FLAC, 0 where the codec has no such thing."""
    time_base: Fraction
    """Seconds per unit of packet times, at most 3600; both parts below 2^31."""


@dataclass(frozen=True)
class AudioPacket:
    """One packet of a sound track."""

    time: int
    """When it is heard, in units of the track, from a moment on that is said where packets are given."""
    duration: int
    """In the same units, 0..2^32 - 1; 0 when the source did not say."""
    data: bytes

    def is_before(self, end: int) -> bool:
        """Whether its middle lies before `end`, a time in units of the track."""
        return 2 * self.time + self.duration < 2 * end


def units_at(seconds: Fraction, time_base: Fraction) -> int:
    """A time in units of a track, rounded to the nearest, halves up."""
    units = seconds / time_base
    return (2 * units.numerator + units.denominator) // (2 * units.denominator)
