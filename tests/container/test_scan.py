"""Files without a good index: what is whole is found, in its place, and nothing else."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from infotok_cli.container import layout, sections
from infotok_cli.container.layout import Counts
from infotok_cli.container.reader import ItkReader
from infotok_cli.container.scan import SEARCH_FACTOR
from infotok_cli.container.sections import FRAME_BYTES, pack_frame
from infotok_cli.errors import InputError
from make_itk import Plan, itk_bytes, itk_header

PLAIN = [Plan(8), Plan(8), Plan(8), Plan(3)]
EDITED = [Plan(8, 2), Plan(4), Plan(8, 0, 5), Plan(7, lost=True), Plan(3)]
FILES = {"plain": itk_bytes(PLAIN, itk_header()), "edited": itk_bytes(EDITED, itk_header())}


@pytest.fixture(params=FILES)
def whole(request: pytest.FixtureRequest) -> bytes:
    return FILES[request.param]


def parts(path: Path, data: bytes) -> list[tuple[int, int]]:
    """First byte and end of each segment's section."""
    path.write_bytes(data)
    with ItkReader(path) as reader:
        return [(entry.offset, entry.offset + entry.length) for entry in reader.index]


def test_every_truncation_gives_all_whole_segments(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "a.itk"
    places = parts(path, whole)
    with ItkReader(path) as reader:
        expected = list(reader.segments())
    for length in range(places[0][1], len(whole)):
        path.write_bytes(whole[:length])
        count = sum(end <= length for _, end in places)
        with ItkReader(path, recover=True) as reader:
            assert reader.damage is not None
            assert "truncated" in reader.damage
            assert list(reader.segments()) == expected[:count]
    maps = len(expected[0].map_payload) + len(expected[0].motion_payload)
    for length in range(places[0][0] + FRAME_BYTES + layout.SEGMENT_STRUCT.size + maps):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError):
            ItkReader(path, recover=True)


def test_every_truncation_inside_token_ids_gives_those_before_it(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "a.itk"
    places = parts(path, whole)
    with ItkReader(path) as reader:
        expected = list(reader.segments())
    starts = {
        end - len(segment.token_payload): segment for (_, end), segment in zip(places, expected, strict=True)
    }
    found = 0
    for length in range(places[0][0] + FRAME_BYTES, len(whole)):
        path.write_bytes(whole[:length])
        start = max((at for at in starts if at <= length), default=None)
        whole_segments = sum(end <= length for _, end in places)
        try:
            with ItkReader(path, recover=True) as reader:
                cut = reader.cut
                assert len(reader.index) == whole_segments
        except InputError:
            assert start is None
            continue
        segment = None if start is None else starts[start]
        if segment is None or segment.number < whole_segments:
            assert cut is None
            continue
        assert cut is not None
        assert segment.token_payload.startswith(cut.token_payload)
        assert len(cut.token_payload) + cut.missing_bytes == len(segment.token_payload)
        assert (cut.payloads[:2], cut.counts) == (segment.payloads[:2], segment.counts)
        found += 1
    assert found >= sum(len(segment.token_payload) for segment in expected)


def test_a_cut_segment_out_of_its_place_is_none(tmp_path: Path) -> None:
    """Its first frame must be the next one, and its counts possible."""
    path = tmp_path / "a.itk"
    data = FILES["plain"]
    places = parts(path, data)
    start, end = places[2]
    for at in (start + FRAME_BYTES, start + FRAME_BYTES + 4, start + FRAME_BYTES + 7):
        changed = bytearray(data[: end - 1])
        changed[at] ^= 0x41
        path.write_bytes(changed)
        with ItkReader(path, recover=True) as reader:
            assert reader.cut is None
            assert len(reader.index) == 2


def test_without_index_every_damaged_segment_keeps_its_place(tmp_path: Path, whole: bytes) -> None:
    """Any byte of any segment but the last one changed, and the index and footer gone."""
    path = tmp_path / "a.itk"
    places = parts(path, whole)
    with ItkReader(path) as reader:
        expected, starts = list(reader.segments()), reader.index.starts.tolist()
    cut = whole[: places[-1][1]]
    for number, (start, end) in enumerate(places[:-1]):
        for at in range(start, end):
            path.write_bytes(cut[:at] + bytes([cut[at] ^ 0x41]) + cut[at + 1 :])
            with ItkReader(path, recover=True) as reader:
                index = reader.index
                found = {int(index.starts[n]): reader.read_segment(n) for n in range(len(index))}
                assert reader.total_frames == starts[-1]
            for other, segment in enumerate(expected):
                if other != number and not segment.lost:
                    assert found[starts[other]].payloads == segment.payloads
            assert found[starts[number]].lost


def test_a_whole_index_is_believed_when_the_footer_is_damaged(tmp_path: Path, whole: bytes) -> None:
    """Then even a damaged last segment keeps its place."""
    path = tmp_path / "a.itk"
    places = parts(path, whole)
    last = places[-1][1] - 1
    data = whole[:last] + bytes([whole[last] ^ 1]) + whole[last + 1 : -1] + b"?"
    path.write_bytes(data)
    with ItkReader(path, recover=True) as reader:
        assert reader.damage is not None
        assert [(entry.offset, entry.offset + entry.length) for entry in reader.index] == places
        with pytest.raises(InputError, match=f"segment {len(places) - 1} .* checksum differs"):
            reader.read_segment(len(places) - 1)
        reader.read_segment(0)


def test_a_good_file_opens_the_same_way(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "a.itk"
    path.write_bytes(whole)
    with ItkReader(path, recover=True) as reader, ItkReader(path) as plain:
        assert reader.damage is None
        assert list(reader.index) == list(plain.index)


def test_bytes_taken_out_of_the_middle(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "a.itk"
    places = parts(path, whole)
    with ItkReader(path) as reader:
        total, last = reader.total_frames, reader.read_segment(len(places) - 1)
    path.write_bytes(whole[: places[1][0] + 5] + whole[places[2][1] - 3 :])
    with ItkReader(path, recover=True) as reader:
        assert reader.total_frames == total
        assert reader.read_segment(len(reader.index) - 1).payloads == last.payloads


def test_nothing_left(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "a.itk"
    start = parts(path, whole)[0][0]
    path.write_bytes(whole[:start] + b"SEGM" * 50)
    with pytest.raises(InputError, match="no whole segment left"):
        ItkReader(path, recover=True)
    path.write_bytes(whole[:20] + b"\xff" + whole[21:])
    with pytest.raises(InputError, match="header"):
        ItkReader(path, recover=True)


def test_many_gaps_are_all_searched(tmp_path: Path) -> None:
    """Every second of 2,000 segments is damaged: the search must not tire before the end."""
    path = tmp_path / "a.itk"
    data = bytearray(itk_bytes([Plan(8)] * 2000, itk_header()))
    places = parts(path, bytes(data))
    for _, end in places[::2]:
        data[end - 1] ^= 1
    path.write_bytes(data[: places[-1][1]])
    with ItkReader(path, recover=True) as reader:
        assert [entry.counts.lost for entry in reader.index] == [True, False] * 1000


def test_a_number_alone_does_not_make_a_file_long(tmp_path: Path) -> None:
    """Found by fuzzing: one segment that says it comes after 8,000,000 frames, in a file without index."""
    data = FILES["plain"]
    path = tmp_path / "a.itk"
    start, end = parts(path, data)[1]
    body = bytearray(data[start + FRAME_BYTES : end])
    most = end // layout.SEGMENT_BYTES
    for number in (most - 1, most, 1_000_000):
        body[:4] = (8 * number).to_bytes(4, "little")
        far = pack_frame(layout.SEGM, bytes(body)) + body
        path.write_bytes(data[:start] + far)
        with ItkReader(path, recover=True) as reader:
            assert len(reader.index) == (most if number < most else 1)


def test_a_search_ends_whatever_the_bytes_look_like(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Overlapping starts of allowed segments, each with a long payload whose checksum is to be computed."""
    header = itk_header(width=2048, height=2048, segment_frames=64, allocation="position")
    whole = itk_bytes([Plan(64, rate=0.01)], header)
    path = tmp_path / "a.itk"
    start, _ = parts(path, whole)[0]
    payload = 400_000
    tokens = (payload - layout.SEGMENT_STRUCT.size) // 2
    fake = layout.SECTION_STRUCT.pack(layout.SEGM, layout.SEGMENT_STRUCT.size + 2 * tokens, 0)
    fake += Counts(frames=64, tokens=tokens, map_bytes=0, token_bytes=2 * tokens).pack(0)
    data = whole[:start] + fake * (3_000_000 // len(fake))
    path.write_bytes(data)
    read = 0
    plain = sections.crc32c

    def counted(data: bytes, start: int = 0) -> int:
        nonlocal read
        read += len(data)
        return plain(data, start)

    monkeypatch.setattr(sections, "crc32c", counted)
    began = time.process_time()
    with pytest.raises(InputError, match="no whole segment left"):
        ItkReader(path, recover=True)
    assert read < (SEARCH_FACTOR + 1) * len(data) + (1 << 21)
    assert time.process_time() - began < 20
