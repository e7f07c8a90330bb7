"""Files as later versions may write them: what may be passed over is, all else is refused as newer."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from pathlib import Path

import pytest

from infotok_cli.container import layout
from infotok_cli.container.layout import IndexEntry
from infotok_cli.container.reader import ItkReader
from infotok_cli.container.sections import FRAME_BYTES, pack_footer, pack_frame
from infotok_cli.container.stream import ItkStream, StreamedSegment
from infotok_cli.errors import InputError
from infotok_cli.itk.edit import concat_files, cut_file, repair_file
from infotok_cli.itk.flat import export_file, import_file
from infotok_cli.itk.report import report_file
from infotok_cli.sound import AudioPacket, AudioTrack
from make_golden import GOLDEN
from make_itk import Plan, itk_bytes, itk_header

PLAIN = itk_bytes([Plan(8, trim_start=1), Plan(5), Plan(7, lost=True), Plan(3)], itk_header())
FILES = {"plain": PLAIN, "tracks": (GOLDEN / "tracks.itk").read_bytes()}


@pytest.fixture(params=FILES)
def today(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file that holds what is known."""
    path = tmp_path / "today.itk"
    path.write_bytes(FILES[request.param])
    return path


def section(kind: bytes, payload: bytes) -> bytes:
    return pack_frame(kind, payload) + payload


def grown(today: Path, others: dict[int, bytes], flags: int = 0) -> bytes:
    """The file with sections behind some segments, -1 for the header, and more flags in its header."""
    data = today.read_bytes()
    with ItkReader(today) as reader:
        header, entries = reader.header, list(reader.index)
    payload = bytearray(header.pack())
    payload[2:4] = struct.pack("<H", struct.unpack("<H", payload[2:4])[0] | flags)
    out = layout.MAGIC + section(layout.HEAD, bytes(payload)) + others.get(-1, b"")
    rows = b""
    for number, entry in enumerate(entries):
        more = others.get(number, b"")
        out += data[entry.offset : entry.offset + entry.total_length] + more
        changed = IndexEntry(**{**vars(entry), "other_length": len(more)})
        rows += changed.pack(header.index_fields)
    return out + section(layout.INDX, rows) + pack_footer(len(out))


NOTE = section(b"note", b"SEGM made by version 7")
EVERYWHERE = {-1: NOTE, 0: NOTE + section(b"xtra", b""), 2: NOTE}


def streamed(data: bytes) -> list[StreamedSegment]:
    return list(ItkStream(io.BytesIO(data), "pipe").segments())


def test_what_may_be_passed_over_is(today: Path, tmp_path: Path) -> None:
    path = tmp_path / "grown.itk"
    data = grown(today, EVERYWHERE, flags=0x8100)
    path.write_bytes(data)
    assert grown(today, {}) == today.read_bytes()
    with ItkReader(today) as reader, ItkReader(path) as later:
        later.verify()
        assert later.header == reader.header
        assert list(later.segments()) == list(reader.segments())
        assert [later.read_audio(n) for n in range(3)] == [reader.read_audio(n) for n in range(3)]
        assert [later.read_times(n) for n in range(3)] == [reader.read_times(n) for n in range(3)]
        assert later.other_bytes == len(data) - reader.size_bytes == 3 * len(NOTE) + FRAME_BYTES
    assert report_file(path).frames == report_file(today).frames
    assert streamed(data) == streamed(today.read_bytes())


def test_every_changed_byte_of_what_is_passed_over_is_found(today: Path, tmp_path: Path) -> None:
    path = tmp_path / "grown.itk"
    whole = grown(today, EVERYWHERE, flags=0x8100)
    for at in range(len(whole)):
        data = bytearray(whole)
        data[at] ^= 1 << at % 8
        path.write_bytes(data)
        with pytest.raises(InputError), ItkReader(path) as reader:
            reader.verify()
        with pytest.raises(InputError):
            streamed(bytes(data))


@pytest.mark.parametrize("bit", range(2, 8))
def test_flags_that_must_be_understood(today: Path, tmp_path: Path, bit: int) -> None:
    path = tmp_path / "grown.itk"
    path.write_bytes(grown(today, {}, flags=1 << bit))
    for recover in (False, True):
        with pytest.raises(InputError, match=r"flags .* are newer than format version 1") as caught:
            ItkReader(path, recover=recover)
        assert caught.value.way_out == "update infotok"
    with pytest.raises(InputError, match=r"flags .* are newer than format version 1: update infotok"):
        streamed(path.read_bytes())


@pytest.mark.parametrize("number", [-1, 0, 2])
@pytest.mark.parametrize("before", [b"", NOTE])
def test_sections_that_must_be_understood(today: Path, tmp_path: Path, number: int, before: bytes) -> None:
    """With and without an index that leads past them."""
    path = tmp_path / "grown.itk"
    whole = grown(today, {number: before + section(b"PICT", b"picture")})
    for data in (whole, whole[:-1] + b"?", whole[:-40]):
        path.write_bytes(data)
        for recover in (False, True):
            with pytest.raises(InputError, match=r"section PICT \(byte \d+\) is newer") as caught:
                ItkReader(path, recover=recover)
            assert caught.value.way_out == "update infotok"
            assert str(caught.value).startswith(f"{path}: ")
    with pytest.raises(InputError, match=r"pipe: section PICT \(byte \d+\) is newer"):
        streamed(whole)


def test_known_sections_stay_in_their_places(today: Path, tmp_path: Path) -> None:
    path = tmp_path / "grown.itk"
    for kind in layout.MAX_PAYLOAD_BYTES:
        path.write_bytes(grown(today, {0: section(kind, b"")}))
        with pytest.raises(InputError, match=f"section {kind.decode()} .* is out of place"):
            ItkReader(path)
        with pytest.raises(InputError):
            streamed(path.read_bytes())


def test_copies_leave_out_what_is_passed_over(today: Path, tmp_path: Path) -> None:
    path, target = tmp_path / "grown.itk", tmp_path / "copy.itk"
    path.write_bytes(grown(today, EVERYWHERE, flags=0x8100))
    left = f"{path}: {3 * len(NOTE) + FRAME_BYTES} bytes of sections that are unknown here are left out"
    for report in (cut_file(path, target), repair_file(path, target, overwrite=True)):
        assert report.notes == (left,)
        assert target.read_bytes() == today.read_bytes()
    joined = concat_files([path, today], target, overwrite=True)
    assert joined.notes == (left,)
    concat_files([today, today], tmp_path / "plain.itk")
    assert target.read_bytes() == (tmp_path / "plain.itk").read_bytes()
    export = export_file(path, tmp_path / "ids.npy")
    assert export.left_out[-1] == "sections unknown here"
    import_file(tmp_path / "ids.npy", target, overwrite=True)
    export_file(today, tmp_path / "plain.npy")
    import_file(tmp_path / "plain.npy", tmp_path / "plain.itk", overwrite=True)
    assert target.read_bytes() == (tmp_path / "plain.itk").read_bytes()


def test_a_search_passes_over_them_too(today: Path, tmp_path: Path) -> None:
    """The index gone, and one of these sections damaged: all segments are found, and nothing is lost."""
    path, target = tmp_path / "grown.itk", tmp_path / "repaired.itk"
    whole = grown(today, EVERYWHERE)
    cut = whole[: whole.index(b"INDX")]
    damaged = bytearray(cut)
    damaged[cut.index(b"made by version 7", len(cut) // 3)] ^= 1
    for data in (cut, bytes(damaged)):
        path.write_bytes(data)
        report = repair_file(path, target, overwrite=True)
        assert len(report.notes) == 1
        assert target.read_bytes() == today.read_bytes()


def test_an_odd_letter_is_no_type(today: Path) -> None:
    for kind in (b"no e", b"n0te", b"not\xe9"):
        with pytest.raises(InputError, match="wrong type or length"):
            streamed(grown(today, {0: section(kind, b"")}))


def test_a_track_with_a_note_behind_every_segment(tmp_path: Path) -> None:
    """Sound and others are told apart by their lengths alone."""
    track = AudioTrack(
        codec="A_AAC", private=b"", sample_rate=8000, channels=1, bits=0, time_base=Fraction(1, 8000)
    )
    path = tmp_path / "a.itk"
    path.write_bytes(itk_bytes([Plan(8), Plan(8)], itk_header(audio=track)))
    path.write_bytes(grown(path, {0: NOTE, 1: NOTE}))
    with ItkReader(path) as reader:
        reader.verify()
        packets: list[AudioPacket] = reader.read_audio(1)
        assert packets == []
        assert reader.index[1].other_length == len(NOTE)
