"""Segments as cutting, joining and repairing leave them: short anywhere, trimmed, lost."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infotok_cli.container import layout
from infotok_cli.container.header import counts_fault
from infotok_cli.container.index import SegmentIndex, index_fault, row_type
from infotok_cli.container.layout import Segment
from infotok_cli.container.reader import ItkReader
from infotok_cli.container.sections import FRAME_BYTES, pack_frame
from infotok_cli.container.writer import ItkWriter
from infotok_cli.errors import InputError
from make_itk import Plan, itk_bytes, itk_header

HEADER = itk_header()


@st.composite
def segments(draw: st.DrawFn) -> list[Segment]:
    """Any segments that a file of `HEADER` may hold."""
    made = []
    for number in range(draw(st.integers(1, 6))):
        frames = draw(st.integers(1, HEADER.segment_frames))
        trim_start = draw(st.integers(0, frames - 1))
        trim_end = draw(st.integers(0, frames - 1 - trim_start))
        lost = draw(st.booleans())
        tokens = 0 if lost else draw(st.integers(0, HEADER.positions(frames)))
        coded_map, coded_motion = (b"" if lost else draw(st.binary(max_size=16)) for _ in range(2))
        coded_ids = draw(st.binary(min_size=2 * tokens, max_size=2 * tokens))
        made.append(
            Segment(number, frames, tokens, coded_map, coded_ids, coded_motion, trim_start, trim_end, lost)
        )
    return made


@given(segments())
@settings(max_examples=60, deadline=None)
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, made: list[Segment]) -> None:
    stream = io.BytesIO()
    writer = ItkWriter(stream, HEADER)
    for segment in made:
        writer.write(segment)
    assert writer.finish() == len(stream.getvalue())
    path = tmp_path_factory.getbasetemp() / "any.itk"
    path.write_bytes(stream.getvalue())
    with ItkReader(path) as reader:
        reader.verify()
        assert reader.header == HEADER
        assert list(reader.segments()) == made
        assert reader.total_frames == writer.frames == sum(segment.counts.shown for segment in made)
        for frame in range(reader.total_frames):
            number = reader.index.holding(frame)
            assert reader.index.starts[number] <= frame < reader.index.starts[number + 1]


@pytest.mark.parametrize(
    "changes", [{"trim_start": 8}, {"trim_start": 4, "trim_end": 4}, {"trim_end": -1}, {"lost": True}]
)
def test_contradictions_are_not_written(changes: dict[str, int]) -> None:
    writer = ItkWriter(io.BytesIO(), HEADER)
    with pytest.raises(ValueError, match="segment 0"):
        writer.write_segment(frames=8, tokens=1, map_payload=b"", token_payload=b"\0\0", **changes)  # type: ignore[arg-type]


FIELD = st.one_of(st.integers(0, 20), st.integers(0, 0xFF))
WIDE = st.one_of(st.integers(0, 20), st.integers(0, 0xFFFF))


@given(
    st.lists(
        st.tuples(FIELD, FIELD, FIELD, st.integers(0, 3), WIDE, WIDE, WIDE, WIDE), min_size=1, max_size=3
    )
)
@settings(max_examples=400, deadline=None)
def test_the_table_finds_what_one_by_one_finds(made: list[tuple[int, ...]]) -> None:
    """Checking all entries at once must agree with `counts_fault` on each."""
    rows = np.zeros(len(made), row_type(HEADER.index_fields))
    payloads = ["map_bytes", "motion_bytes", "token_bytes"]
    fields = ["frames", "trim_start", "trim_end", "flags", "tokens", *payloads]
    for row, values in zip(rows, made, strict=True):
        for name, value in zip(fields, values, strict=True):
            row[name] = value
        row["length"] = layout.SEGMENT_BYTES + sum(int(row[name]) for name in payloads)
    index = SegmentIndex(rows, np.zeros(len(made), np.int64))
    fine = all(counts_fault(HEADER, entry.counts) is None for entry in index)
    fine = fine and not (index.column("flags") & ~layout.LOST_FLAG).any()
    assert (index_fault(index, HEADER) is None) == fine


def resealed(data: bytes, path: Path, place: int, **changes: int) -> bytes:
    """The file with fields of one SEGM section changed, under a right checksum; the index stays."""
    path.write_bytes(data)
    with ItkReader(path) as reader:
        entry = reader.index[place]
    start = entry.offset + FRAME_BYTES
    payload = bytearray(data[start : entry.offset + entry.length])
    names = [name for name, _ in layout.SEGMENT_FIELDS]
    values = dict(zip(names, layout.SEGMENT_STRUCT.unpack_from(payload), strict=True)) | changes
    layout.SEGMENT_STRUCT.pack_into(payload, 0, *values.values())
    framed = pack_frame(layout.SEGM, bytes(payload)) + payload
    return data[: entry.offset] + framed + data[entry.offset + entry.length :]


@pytest.mark.parametrize(
    "changes",
    [
        {"first_frame": 7},
        {"trim_start": 2},
        {"trim_end": 1},
        {"flags": 2},
        {"tokens": 1},
        {"motion_bytes": 0},
    ],
)
def test_a_segment_that_differs_from_the_index_is_refused(tmp_path: Path, changes: dict[str, int]) -> None:
    path = tmp_path / "a.itk"
    data = itk_bytes([Plan(8), Plan(5, trim_start=1), Plan(8)], HEADER)
    path.write_bytes(resealed(data, path, 1, **changes))
    with ItkReader(path) as reader:
        with pytest.raises(InputError, match=r"segment 1 .* differs from the index"):
            reader.read_segment(1)
        with pytest.raises(InputError, match=r"segment 1 .* differs from the index"):
            reader.verify()
        reader.read_segment(2)
