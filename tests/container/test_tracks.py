"""TIME and AUDI sections: round trips, every changed byte, every truncation, of files and streams."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infotok_cli.container import layout
from infotok_cli.container.reader import ItkReader
from infotok_cli.container.stream import ItkStream
from infotok_cli.container.tracks import pack_audio, pack_times, unpack_audio, unpack_times
from infotok_cli.container.writer import ItkWriter
from infotok_cli.errors import InputError
from infotok_cli.sound import AudioPacket, AudioTrack
from make_golden import GOLDEN
from make_itk import itk_header

TRACK = AudioTrack(
    codec="A_AAC", private=b"\x11\x90", sample_rate=48000, channels=2, bits=0, time_base=Fraction(1, 48000)
)
TRACKS = GOLDEN / "tracks.itk"

packet_lists = st.lists(
    st.builds(
        AudioPacket,
        st.integers(-(1 << 60), 1 << 60),
        st.integers(0, (1 << 32) - 1),
        st.binary(max_size=40),
    ),
    max_size=8,
)


@given(
    st.integers(0, 9),
    st.integers(0, 1 << 60),
    st.lists(st.integers(1, (1 << 32) - 1), min_size=1, max_size=64),
)
def test_times_round_trip(number: int, first: int, durations: list[int]) -> None:
    payload = pack_times(number, first, durations)
    assert len(payload) <= layout.MAX_TIME_BYTES
    assert unpack_times(payload, len(durations)) == (number, first, durations)


@given(st.integers(0, 9), packet_lists)
def test_sound_round_trips(number: int, packets: list[AudioPacket]) -> None:
    assert unpack_audio(pack_audio(number, packets)) == (number, packets)


@given(st.binary(max_size=60), st.integers(1, 64))
def test_any_bytes_are_times_in_one_way_or_refused(tail: bytes, frames: int) -> None:
    payload = layout.TIME_STRUCT.pack(3, 7) + tail
    try:
        number, first, durations = unpack_times(payload, frames)
    except InputError:
        return
    assert pack_times(number, first, durations) == payload


@given(st.binary(max_size=80), st.integers(0, 5) | st.integers(0, (1 << 32) - 1))
def test_any_bytes_are_sound_in_one_way_or_refused(tail: bytes, count: int) -> None:
    payload = layout.AUDIO_STRUCT.pack(3, count) + tail
    try:
        number, packets = unpack_audio(payload)
    except InputError:
        return
    assert pack_audio(number, packets) == payload


def made(segments: Sequence[tuple[int, list[int], list[AudioPacket]]], **changes: Any) -> bytes:
    """A file of one position a segment with these frames, durations and packets."""
    header = itk_header(has_times=True, audio=TRACK, width=8, height=8, **changes)
    stream = io.BytesIO()
    writer = ItkWriter(stream, header)
    for frames, durations, packets in segments:
        writer.write_segment(
            frames=frames,
            tokens=0,
            map_payload=b"",
            token_payload=b"",
            lost=True,
            durations=durations,
            packets=packets,
        )
    writer.finish()
    return stream.getvalue()


@given(
    st.lists(
        st.integers(1, 8).flatmap(
            lambda frames: st.tuples(
                st.just(frames),
                st.lists(st.integers(1, 1 << 20), min_size=frames, max_size=frames),
                packet_lists,
            )
        ),
        min_size=1,
        max_size=5,
    )
)
@settings(deadline=None, max_examples=40)
def test_files_round_trip(
    tmp_path_factory: pytest.TempPathFactory, segments: list[tuple[int, list[int], list[AudioPacket]]]
) -> None:
    data = made(segments)
    path = tmp_path_factory.mktemp("made") / "made.itk"
    path.write_bytes(data)
    with ItkReader(path) as reader:
        reader.verify()
        counts = [entry.counts for entry in reader.index]
        got = [(c.frames, reader.read_times(n), reader.read_audio(n)) for n, c in enumerate(counts)]
        assert got == segments
        assert reader.index.total_ticks == sum(sum(durations) for _, durations, _ in segments)
        assert reader.header.audio == TRACK
    streamed = ItkStream(io.BytesIO(data), "pipe").segments()
    assert [(each.segment.frames, each.durations, each.packets) for each in streamed] == segments


def read_stream(data: bytes) -> int:
    """Segments of a stream; InputError where it is not whole."""
    return len(list(ItkStream(io.BytesIO(data), "pipe").segments()))


def test_every_changed_byte_is_found(tmp_path: Path) -> None:
    whole, path = TRACKS.read_bytes(), tmp_path / "changed.itk"
    assert read_stream(whole) == 3
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 1 << at % 8
        path.write_bytes(changed)
        with pytest.raises(InputError), ItkReader(path) as reader:
            reader.verify()
        with pytest.raises(InputError):
            read_stream(bytes(changed))


def test_every_truncation_is_found(tmp_path: Path) -> None:
    whole, path = TRACKS.read_bytes(), tmp_path / "short.itk"
    with ItkReader(TRACKS) as reader:
        # A segment counts as whole when its tokens are.
        ends = [entry.offset + entry.length for entry in reader.index]
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError) as from_file:
            ItkReader(path).close()
        with pytest.raises(InputError):
            read_stream(whole[:length])
        if length >= ends[0]:
            kept = sum(end <= length for end in ends)
            assert f"with {kept} whole segment" in str(from_file.value) or length > ends[-1]
            with ItkReader(path, recover=True) as found:
                assert len(found.index) == kept
    for data in (whole + b"\0", whole[:-20] + b"\0" * 20):
        path.write_bytes(data)
        with pytest.raises(InputError):
            ItkReader(path).close()
        with pytest.raises(InputError):
            read_stream(data)


@pytest.mark.parametrize("name", ["blocks", "odd", "one-pixel", "edited", "tracks"])
def test_streams_give_what_files_give(name: str) -> None:
    path = GOLDEN / f"{name}.itk"
    with ItkReader(path) as reader, path.open("rb") as file:
        stream = ItkStream(file, "pipe")
        assert stream.header == reader.header
        for stored, segment in zip(stream.segments(), reader.segments(), strict=True):
            assert stored.segment == segment
            assert stored.durations == reader.read_times(segment.number)
            assert stored.packets == reader.read_audio(segment.number)
        assert stream.size_bytes == reader.size_bytes


@pytest.mark.parametrize(
    "changes",
    [
        {"audio": AudioTrack(**{**vars(TRACK), "codec": ""})},
        {"audio": AudioTrack(**{**vars(TRACK), "codec": "A\n"})},
        {"audio": AudioTrack(**{**vars(TRACK), "channels": 0})},
        {"audio": AudioTrack(**{**vars(TRACK), "private": bytes(2049)})},
        {"audio": AudioTrack(**{**vars(TRACK), "time_base": Fraction(1, 1 << 40)})},
        {"audio": AudioTrack(**{**vars(TRACK), "time_base": Fraction(3601)})},
        {"audio": AudioTrack(**{**vars(TRACK), "sample_rate": (1 << 32) - 1})},
    ],
)
def test_headers_that_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        itk_header(**changes)


def test_a_length_that_lies_takes_no_memory() -> None:
    """The section claims 64 MB of sound and ends at once."""
    whole = TRACKS.read_bytes()
    at = whole.find(b"AUDI")
    lying = whole[: at + 4] + (layout.MAX_AUDIO_BYTES).to_bytes(4, "little") + whole[at + 8 : at + 40]
    with pytest.raises(InputError, match="truncated"):
        read_stream(lying)
    with pytest.raises(InputError, match="wrong type or length"):
        read_stream(whole[: at + 4] + (layout.MAX_AUDIO_BYTES + 1).to_bytes(4, "little") + whole[at + 8 :])
