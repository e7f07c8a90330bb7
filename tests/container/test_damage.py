"""Whatever happens to the bytes, the answer is an InputError of one line that names the file."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infotok_cli.container import layout
from infotok_cli.container.header import Header, unpack_header
from infotok_cli.container.index import row_type
from infotok_cli.container.reader import ItkReader
from infotok_cli.container.sections import FRAME_BYTES, pack_footer, pack_frame
from infotok_cli.container.stream import ItkStream
from infotok_cli.container.writer import ItkWriter
from infotok_cli.errors import InputError
from make_itk import Plan, itk_bytes, itk_header


def read_all(path: Path) -> None:
    with ItkReader(path) as reader:
        reader.verify()
        list(reader.segments())


def refused(path: Path, data: bytes) -> str:
    """The message for a file of these bytes; fails if it is accepted or anything else is raised."""
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_all(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("mask", [*(1 << bit for bit in range(8)), 0x7F, 0xFF])
@pytest.mark.parametrize("edited", [False, True])
def test_every_changed_byte_is_detected(small_file: Path, edited: bool, mask: int) -> None:
    """Every byte of a file, every bit of it and two wider changes; also with trims and lost segments."""
    if edited:
        plans = [Plan(8, 1, 2), Plan(5), Plan(8, lost=True), Plan(3, trim_end=1)]
        small_file.write_bytes(itk_bytes(plans, itk_header()))
    whole = small_file.read_bytes()
    read_all(small_file)
    for at in range(len(whole)):
        refused(small_file, whole[:at] + bytes([whole[at] ^ mask]) + whole[at + 1 :])


def test_verify_alone_and_segments_alone_find_a_changed_segment(small_file: Path) -> None:
    whole = small_file.read_bytes()
    with ItkReader(small_file) as reader:
        first, second = reader.index[0].offset, reader.index[1].offset
    for at in range(first, second):
        small_file.write_bytes(whole[:at] + bytes([whole[at] ^ 0x20]) + whole[at + 1 :])
        with ItkReader(small_file) as reader:
            with pytest.raises(InputError, match=r"segment 0 \(0\.000 s to 0\.267 s, byte 121\) is damaged"):
                reader.verify()
            with pytest.raises(InputError, match="segment 0"):
                reader.read_segment(0)
            assert reader.read_segment(1).tokens == 5


def test_every_truncation_is_detected(small_file: Path) -> None:
    whole = small_file.read_bytes()
    with ItkReader(small_file) as reader:
        ends = [entry.offset + entry.length for entry in reader.index]
    for length in range(len(whole)):
        message = refused(small_file, whole[:length])
        if length >= ends[0] - reader.index[0].length:
            count = sum(end <= length for end in ends)
            assert f"{count} whole segment" in message
            assert f"truncated at byte {length}" in message


@pytest.mark.parametrize("extra", [1, 19, 20, 21, 4096])
def test_trailing_bytes_are_refused(small_file: Path, extra: int) -> None:
    whole = small_file.read_bytes()
    assert f"{extra} trailing byte{'s' * (extra > 1)} after its end at byte {len(whole)}" in refused(
        small_file, whole + bytes(extra)
    )


def test_a_file_after_a_file_is_refused(small_file: Path) -> None:
    whole = small_file.read_bytes()
    refused(small_file, whole + whole)
    refused(small_file, whole + whole[-20:])


def test_kinds_of_wrong_input_have_their_own_message(tmp_path: Path) -> None:
    cases = {"missing.itk": "does not exist", "folder.itk": "is a folder", "pipe.itk": "not a regular file"}
    (tmp_path / "folder.itk").mkdir()
    os.mkfifo(tmp_path / "pipe.itk")
    for name, message in cases.items():
        with pytest.raises(InputError, match=message):
            ItkReader(tmp_path / name)
    path = tmp_path / "a.itk"
    assert "is empty" in refused(path, b"")
    assert "is not an .itk file" in refused(path, b"\x00\x00\x00\x18ftypmp42")
    assert "inside the magic" in refused(path, layout.MAGIC[:5])
    assert "inside the header" in refused(path, layout.MAGIC + b"HEA")
    with pytest.raises(InputError, match="cannot be opened"):
        ItkReader("zero\0byte.itk")


def test_a_name_with_a_line_break_stays_on_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        ItkReader(tmp_path / "two\nlines.itk")
    assert "\n" not in str(caught.value)


def with_head(whole: bytes, payload: bytes) -> bytes:
    """The file with another HEAD payload under a right checksum."""
    length = layout.SECTION_STRUCT.unpack_from(whole, 8)[1]
    rest = whole[8 + layout.SECTION_STRUCT.size + length :]
    return layout.MAGIC + pack_frame(layout.HEAD, payload) + payload + rest


def test_newer_versions_are_told_from_damage(small_file: Path) -> None:
    whole = small_file.read_bytes()
    message = refused(small_file, with_head(whole, b"\x03 all else may differ"))
    assert "format version 3 is newer" in message
    assert message.endswith("update infotok")
    newer_without_checksum = whole[:20] + b"\x03" + whole[21:]
    assert "damaged" in refused(small_file, newer_without_checksum)
    for payload in (b"", b"\x01", b"\x00\x08", b"\x01\x08"):
        message = refused(small_file, with_head(whole, payload))
        assert "header" in message
        assert message.endswith("encode the video again")


OLD_HEADS = {
    version: bytes([version, 0, flags, 0])
    + struct.pack("<8I", 24, 16, 30000, 1001, 1, 90000, 1, 1)
    + bytes([2, 2, 2, 0, 8, 0, 4, 8, 8, 2, 2, 2, 0, 0, 0, 0])
    + struct.pack("<I", 500_000)
    + bytes(32)
    + b"\x06\x08\x08\x08\x05\x05\x05\x04made\x05tests"
    for version, flags in ((1, 0), (2, 0), (2, 2))
}
"""HEAD payloads as versions 1 and 2 of before the first release had them."""


@pytest.mark.parametrize("payload", OLD_HEADS.values())
def test_files_from_before_version_1_are_refused(small_file: Path, payload: bytes) -> None:
    whole = small_file.read_bytes()
    message = refused(small_file, with_head(whole, payload))
    assert "header (byte 8): made by a development version of infotok, before format version 1" in message
    assert message.endswith("encode the video again")
    with pytest.raises(InputError, match="before format version 1"):
        ItkStream(io.BytesIO(with_head(whole, payload)), "pipe")


def test_header_fields_out_of_range_are_refused_by_name(
    small_file: Path, make_header: Callable[..., Header]
) -> None:
    whole, payload = small_file.read_bytes(), make_header().pack()
    offsets, at = {}, 0
    for name, code in layout.HEAD_FIELDS:
        offsets[name] = at
        at += layout.layout_of(((name, code),)).size
    for name, value in [
        ("flags", 4),
        ("width", 0),
        ("frame_rate_den", 0),
        ("allocation", 2),
        ("keep_map_coding", 1),
        ("token_coding", 2),
        ("colour_range", 3),
        ("segment_frames", 5),
    ]:
        size = layout.layout_of(tuple(field for field in layout.HEAD_FIELDS if field[0] == name)).size
        start = offsets[name]
        changed = payload[:start] + value.to_bytes(size, "little") + payload[start + size :]
        assert name.split("_")[0] in refused(small_file, with_head(whole, changed)).lower()
    assert "bytes too many" in refused(small_file, with_head(whole, payload + b"x"))
    assert "bytes too few" in refused(small_file, with_head(whole, payload[:-1]))
    not_utf8 = payload.replace(b"small", b"sm\xffll")
    assert "not UTF-8" in refused(small_file, with_head(whole, not_utf8))


Row = dict[str, int]


def rows_of(whole: bytes, header: Header) -> list[Row]:
    """The entries of a file's index."""
    start = int.from_bytes(whole[-20:-12], "little") + FRAME_BYTES
    rows = np.frombuffer(whole[start:-20], row_type(header.index_fields))
    return [dict(zip(rows.dtype.names or (), row.tolist(), strict=True)) for row in rows]


def rebuilt(whole: bytes, rows: Sequence[Row], offset: int | None = None) -> bytes:
    """The file with another index, footer and right checksums."""
    payload = b"".join(layout.INDEX_ENTRY_STRUCT.pack(*row.values()) for row in rows)
    start = int.from_bytes(whole[-20:-12], "little")
    footer = pack_footer(start if offset is None else offset)
    return whole[:start] + pack_frame(layout.INDX, payload) + payload + footer


def test_an_index_that_lies_is_refused(small_file: Path, make_header: Callable[..., Header]) -> None:
    whole = small_file.read_bytes()
    rows = rows_of(whole, make_header())
    assert rebuilt(whole, rows) == whole

    def change(row: int, **by: int) -> str:
        """The refusal of a file with numbers of one entry changed by so much."""
        changed = [dict(values) for values in rows]
        for name, difference in by.items():
            changed[row][name] += difference
        return refused(small_file, rebuilt(whole, changed))

    assert "0 bytes are not a whole number" in refused(small_file, rebuilt(whole, []))
    assert "segment 0: length 54, its known sections take 49" in change(0, length=5)
    assert "segment 0: length 47, its known sections take 49" in change(0, length=-2)
    assert "segments of 168 bytes, there are 128 before" in change(0, length=40)
    assert "tokens for" in change(0, tokens=1000)
    assert "segment 0: length 49, its known sections take 48" in change(0, map_bytes=-1)
    assert "segment 0: length 49, its known sections take 48" in change(0, motion_bytes=-1)
    assert "payloads of 4, 1007 and 6 bytes" in change(0, motion_bytes=1000)
    assert "differs from the index" in change(0, map_bytes=-1, motion_bytes=1)
    assert "segment 2: flags 4 are unknown" in change(2, flags=4)
    assert "differs from the index" in change(2, frames=-1)
    assert "differs from the index" in change(1, frames=-1)
    assert "section SEGM (byte 121) is out of place" in refused(small_file, rebuilt(whole, rows[1:]))
    assert "places the index" in refused(small_file, rebuilt(whole, rows, 1 << 60))
    assert "places the index" in refused(small_file, rebuilt(whole, rows, 8))
    assert "index" in refused(small_file, rebuilt(whole, rows, 121))


def test_lengths_are_limited_before_memory_is_taken(small_file: Path) -> None:
    whole = small_file.read_bytes()
    huge = layout.SECTION_STRUCT.pack(layout.HEAD, 0xFFFFFFFF, 0)
    assert "type or length" in refused(small_file, layout.MAGIC + huge + whole[20:])
    start = int.from_bytes(whole[-20:-12], "little")
    huge = layout.SECTION_STRUCT.pack(layout.INDX, 0xFFFFFFFF, 0)
    assert "type or length" in refused(small_file, whole[:start] + huge + whole[start + 12 :])


def test_a_file_that_shrinks_while_open_is_an_input_error(small_file: Path) -> None:
    with ItkReader(small_file) as reader:
        os.truncate(small_file, 150)
        with pytest.raises(InputError, match="changed while being read"):
            list(reader.segments())
        with pytest.raises(InputError, match="changed while being read"):
            reader.verify()


@given(st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_any_header_payload_gives_a_header_or_an_input_error(payload: bytes) -> None:
    for start in (b"", b"\x01\x08\x00\x00"):
        try:
            unpack_header(start + payload)
        except InputError:
            continue


def two_segments() -> bytes:
    """Bytes of a file of two segments."""
    header = Header(
        width=8,
        height=8,
        frame_rate=Fraction(25),
        time_base=Fraction(1, 25),
        segment_frames=4,
        levels=(8, 8),
        router="fixed",
        allocation="position",
        target_rate_ppm=0,
        model_name="m",
        model_sha256=bytes(32),
        encoder="",
    )
    stream = io.BytesIO()
    writer = ItkWriter(stream, header)
    for frames in (4, 1):
        writer.write_segment(frames=frames, tokens=1, map_payload=b"\x01", token_payload=b"\x02\x03")
    writer.finish()
    return stream.getvalue()


EXAMPLE = two_segments()


@given(st.integers(0, 400), st.binary(min_size=1, max_size=40))
@settings(max_examples=200, deadline=None)
def test_overwritten_stretches_are_detected(
    tmp_path_factory: pytest.TempPathFactory, at: int, new: bytes
) -> None:
    changed = EXAMPLE[:at] + new + EXAMPLE[at + len(new) :]
    if changed != EXAMPLE:
        refused(tmp_path_factory.getbasetemp() / "stretch.itk", changed)


def test_an_unknown_router_is_read_and_shown(small_file: Path, make_header: Callable[..., Header]) -> None:
    payload = make_header().pack()
    place = layout.layout_of(
        layout.HEAD_FIELDS[: [name for name, _ in layout.HEAD_FIELDS].index("router")]
    ).size
    changed = payload[:place] + bytes([5]) + payload[place + 1 :]
    small_file.write_bytes(with_head(small_file.read_bytes(), changed))
    with ItkReader(small_file) as reader:
        assert reader.header.router == "unknown (5)"
        assert reader.header.pack() == changed
