from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infotok_cli.colour import Colour
from infotok_cli.container import layout
from infotok_cli.container.header import Header, unpack_header
from infotok_cli.container.layout import Segment
from infotok_cli.container.reader import ItkReader
from infotok_cli.container.writer import ItkWriter
from infotok_cli.errors import InputError, OutputError

I32 = st.integers(1, (1 << 31) - 1)


def fractions(limits: tuple[Fraction, Fraction]) -> st.SearchStrategy[Fraction]:
    """Fractions of 32-bit numbers between these limits, and the limits."""
    low, high = limits
    return st.sampled_from(limits) | st.builds(Fraction, I32, I32).filter(lambda value: low <= value <= high)


U8 = st.integers(0, 255)
PRINTABLE = st.text(st.characters(codec="utf-8").filter(str.isprintable))

HEADERS = st.builds(
    Header,
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    frame_rate=fractions(layout.FRAME_RATES),
    time_base=fractions(layout.TIME_UNITS),
    sample_aspect=fractions(layout.SAMPLE_ASPECTS),
    segment_frames=st.integers(1, 16).map(lambda steps: 4 * steps),
    levels=st.lists(st.integers(2, 255), min_size=1, max_size=2).map(tuple),
    router=st.sampled_from(["fast", "exact", "fixed", "elastic"]),
    allocation=st.sampled_from(["block", "position"]),
    target_rate_ppm=st.integers(0, 1_000_000),
    model_name=PRINTABLE.filter(lambda text: 1 <= len(text.encode()) <= 64),
    model_sha256=st.binary(min_size=32, max_size=32),
    encoder=PRINTABLE.filter(lambda text: len(text.encode()) <= 255),
    colour=st.builds(Colour, primaries=U8, transfer=U8, matrix=U8, range=st.integers(0, 2)),
)


@given(HEADERS)
@settings(max_examples=100, deadline=None)
def test_header_round_trip(header: Header) -> None:
    assert unpack_header(header.pack()) == header


@given(HEADERS, st.data())
@settings(max_examples=40, deadline=None)
def test_file_round_trip(header: Header, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 5))
    segments = []
    for number in range(count):
        frames = header.segment_frames
        if number == count - 1:
            frames = data.draw(st.integers(1, frames))
        tokens = data.draw(st.integers(0, min(20, header.positions(frames))))
        token_payload = data.draw(st.binary(min_size=2 * tokens, max_size=2 * tokens))
        coded_map, coded_motion = data.draw(st.binary(max_size=18)), data.draw(st.binary(max_size=18))
        segments.append(Segment(number, frames, tokens, coded_map, token_payload, coded_motion))
    stream = io.BytesIO()
    writer = ItkWriter(stream, header)
    for segment in segments:
        write(writer, segment)
    writer.finish()
    with tempfile.NamedTemporaryFile(suffix=".itk") as file:
        file.write(stream.getvalue())
        file.flush()
        with ItkReader(file.name) as reader:
            reader.verify()
            assert reader.header == header
            assert list(reader.segments()) == segments
            assert reader.read_segment(count - 1) == segments[-1]
            assert reader.total_frames == sum(segment.frames for segment in segments)
            assert reader.size_bytes == len(stream.getvalue()) == writer.size_bytes


def write(writer: ItkWriter, segment: Segment) -> None:
    writer.write_segment(
        frames=segment.frames,
        tokens=segment.tokens,
        map_payload=segment.map_payload,
        motion_payload=segment.motion_payload,
        token_payload=segment.token_payload,
    )


def test_index_and_times(small_file: Path) -> None:
    with ItkReader(small_file) as reader:
        assert [entry.counts.frames for entry in reader.index] == [8, 8, 3]
        assert [entry.counts.tokens for entry in reader.index] == [3, 5, 1]
        counts = [entry.counts for entry in reader.index]
        assert [(c.map_bytes, c.motion_bytes, c.token_bytes) for c in counts] == [
            (4, 7, 6), (0, 0, 10), (1, 2, 2),
        ]  # fmt: skip
        assert reader.time_range_seconds(2) == pytest.approx((16 * 1001 / 30000, 19 * 1001 / 30000))
        with pytest.raises(IndexError):
            reader.read_segment(3)
        with pytest.raises(IndexError):
            reader.read_segment(-1)


class Pipe(io.RawIOBase):
    """Takes at most 7 bytes at a time and cannot seek, as a pipe may."""

    def __init__(self) -> None:
        self.taken = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self.taken += bytes(data[:7])
        return min(7, len(data))


def test_writes_to_a_pipe(small_file: Path, make_header: Callable[..., Header]) -> None:
    with ItkReader(small_file) as reader:
        segments = list(reader.segments())
    pipe: Any = Pipe()
    writer = ItkWriter(pipe, make_header())
    for segment in segments:
        write(writer, segment)
    writer.finish()
    assert pipe.taken == small_file.read_bytes()


def test_full_disk_is_an_output_error(make_header: Callable[..., Header]) -> None:
    with (
        open("/dev/full", "wb", buffering=0) as full,
        pytest.raises(OutputError, match=r"cannot be written after 0 bytes \(No space"),
    ):
        ItkWriter(full, make_header())


@pytest.mark.parametrize(
    ("frames", "tokens", "map_bytes", "motion_bytes", "token_bytes"),
    [
        (0, 1, 0, 0, 2),
        (9, 1, 0, 0, 2),
        (4, 99, 0, 0, 198),
        (8, 1, 0, 0, 4),
        (8, 1, 10_000, 0, 2),
        (8, 1, 0, 2 * 3 * 3 * 5 + 17, 2),
    ],
)
def test_contradicting_counts_are_not_written(
    make_header: Callable[..., Header],
    frames: int,
    tokens: int,
    map_bytes: int,
    motion_bytes: int,
    token_bytes: int,
) -> None:
    writer = ItkWriter(io.BytesIO(), make_header())
    with pytest.raises(ValueError, match="segment 0"):
        writer.write_segment(
            frames=frames,
            tokens=tokens,
            map_payload=bytes(map_bytes),
            motion_payload=bytes(motion_bytes),
            token_payload=bytes(token_bytes),
        )


def test_order_of_calls_is_held(make_header: Callable[..., Header]) -> None:
    writer = ItkWriter(io.BytesIO(), make_header())
    with pytest.raises(InputError, match="no frames"):
        writer.finish()
    writer.write_segment(frames=2, tokens=0, map_payload=b"", token_payload=b"")
    writer.finish()
    with pytest.raises(ValueError, match="after the end"):
        writer.write_segment(frames=8, tokens=0, map_payload=b"", token_payload=b"")
    with pytest.raises(ValueError, match="finished"):
        writer.finish()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0}, "width 0"),
        ({"height": 16385}, "height 16385"),
        ({"width": 16384, "height": 16384, "segment_frames": 64}, "positions per segment"),
        ({"segment_frames": 6}, "multiple of 4"),
        ({"segment_frames": 68}, "frames per segment 68"),
        ({"frame_rate": Fraction(0)}, "frame rate 0"),
        ({"time_base": Fraction(-1, 5)}, "time base -1/5"),
        ({"frame_rate": Fraction(4294967291)}, "frame rate 4294967291 is out of range"),
        ({"frame_rate": Fraction(1, 4294967291)}, "frame rate 1/4294967291 is out of range"),
        ({"frame_rate": Fraction(4294967291, 4294967279)}, "frame rate .* parts of 2\\^31 - 1"),
        ({"frame_rate": Fraction(1001)}, "frame rate 1001"),
        ({"frame_rate": Fraction(1, 3601)}, "frame rate 1/3601"),
        ({"time_base": Fraction(3601)}, "time base 3601"),
        ({"time_base": Fraction(1, 1 << 31)}, "time base 1/2147483648"),
        ({"sample_aspect": Fraction(1 << 32)}, "sample aspect"),
        ({"sample_aspect": Fraction(1, 1001)}, "sample aspect 1/1001"),
        ({"colour": Colour(matrix=256)}, "colour matrix 256"),
        ({"colour": Colour(range=3)}, "colour range 3"),
        ({"levels": ()}, "number of quantizer levels"),
        ({"levels": (1, 8)}, "quantizer level 1"),
        ({"levels": (255, 255, 2)}, "product"),
        ({"target_rate_ppm": 1_000_001}, "target rate"),
        ({"router": "best"}, "router 'best'"),
        ({"allocation": "row"}, "allocation 'row'"),
        ({"token_coding": 9}, "update infotok"),
        ({"model_sha256": b"short"}, "SHA-256"),
        ({"model_name": ""}, "model name"),
        ({"model_name": "x" * 65}, "model name 65"),
        ({"encoder": "escape \x1b[31m"}, "cannot be printed"),
    ],
)
def test_header_refuses(make_header: Callable[..., Header], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_header(**changes)
