"""Title and date of a file: they come back, old readers pass over them, damage to them costs nothing else."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from infotok_cli.container import layout
from infotok_cli.container.reader import ItkReader
from infotok_cli.container.sections import unpack_frame
from infotok_cli.container.stream import ItkStream
from infotok_cli.container.writer import ItkWriter
from infotok_cli.errors import InputError
from infotok_cli.itk.edit import concat_files, cut_file, repair_file
from infotok_cli.itk.flat import export_file
from infotok_cli.itk.report import report_file
from infotok_cli.tags import NO_TAGS, Tags, shortened
from make_itk import Plan, itk_bytes, itk_header

TAGS = Tags("A film about größe", "2024-05-01T12:00:00Z")
PLANS = [Plan(8), Plan(8), Plan(3)]


def tagged(path: Path, tags: Tags = TAGS, seed: int = 0) -> Path:
    path.write_bytes(itk_bytes(PLANS, itk_header(), seed, tags))
    return path


def test_they_come_back_from_files_and_streams(tmp_path: Path) -> None:
    path = tagged(tmp_path / "a.itk")
    plain = tagged(tmp_path / "plain.itk", NO_TAGS)
    with ItkReader(path) as reader, ItkReader(plain) as without:
        reader.verify()
        assert reader.tags == TAGS
        assert without.tags == NO_TAGS
        assert reader.other_bytes == 0
        assert list(reader.segments()) == list(without.segments())
    stream = ItkStream(io.BytesIO(path.read_bytes()), "pipe")
    assert stream.tags == TAGS
    assert [one.segment.frames for one in stream.segments()] == [8, 8, 3]
    assert ItkStream(io.BytesIO(plain.read_bytes()), "pipe").tags == NO_TAGS
    report = report_file(path)
    assert report.tags == TAGS
    assert report.bytes.header - report_file(plain).bytes.header == path.stat().st_size - plain.stat().st_size


def test_a_reader_may_pass_over_them(tmp_path: Path) -> None:
    data = tagged(tmp_path / "a.itk").read_bytes()
    frame = unpack_frame(data[data.index(b"tags") :])
    assert frame.kind == layout.TAGS
    assert frame.is_ignorable


def test_what_copies_keep(tmp_path: Path) -> None:
    path, other, out = tagged(tmp_path / "a.itk"), tmp_path / "b.itk", tmp_path / "out.itk"
    tagged(other, Tags("another"), seed=1)

    def kept() -> Tags:
        with ItkReader(out) as reader:
            reader.verify()
            return reader.tags

    assert cut_file(path, out, end_seconds=0.3).notes == ()
    assert kept() == TAGS
    repair_file(path, out, overwrite=True)
    assert out.read_bytes() == path.read_bytes()
    assert concat_files([path, path], out, overwrite=True).notes == ()
    assert kept() == TAGS
    (note,) = concat_files([path, other], out, overwrite=True).notes
    assert note == f"{other}: its title and date are left out, those of {path} are kept"
    assert kept() == TAGS
    assert export_file(path, tmp_path / "ids.npy").left_out == ("title and date",)


@pytest.mark.parametrize("cut", [False, True], ids=["with-index", "without"])
def test_damage_to_them_costs_nothing_else(tmp_path: Path, cut: bool) -> None:
    path, out = tagged(tmp_path / "a.itk"), tmp_path / "out.itk"
    data = bytearray(path.read_bytes())
    data[data.index(b"film")] ^= 1
    path.write_bytes(data[: data.index(b"INDX")] if cut else data)
    with pytest.raises(InputError, match=r"a.itk: section tags \(byte \d+\) is damaged, checksum differs"):
        ItkReader(path)
    with pytest.raises(InputError, match="pipe: is damaged after 0 whole segments"):
        ItkStream(io.BytesIO(bytes(data)), "pipe")
    with ItkReader(path, recover=True) as reader:
        assert reader.tags == NO_TAGS
        assert reader.tags_damage is not None
        assert (reader.damage is not None) == cut
        assert [segment.frames for segment in reader.segments()] == [8, 8, 3]
    report = repair_file(path, out)
    assert any("title and date are left out" in note for note in report.notes)
    assert out.read_bytes() == tagged(tmp_path / "plain.itk", NO_TAGS).read_bytes()


def test_every_cut_of_the_file_is_refused(tmp_path: Path) -> None:
    data = tagged(tmp_path / "a.itk").read_bytes()
    path = tmp_path / "cut.itk"
    for length in range(data.index(b"tags") - 2, data.index(b"SEGM") + 20):
        path.write_bytes(data[:length])
        with pytest.raises(InputError, match=r"truncated|damaged"):
            ItkReader(path)
        with pytest.raises(InputError):
            list(ItkStream(io.BytesIO(data[:length]), "pipe").segments())


@pytest.mark.parametrize("tags", [Tags("x\x1b[2J"), Tags("x" * 1025), Tags(date="9" * 65)])
def test_what_the_format_cannot_hold_is_not_written(tags: Tags) -> None:
    with pytest.raises(InputError, match=r"title|date"):
        ItkWriter(io.BytesIO(), itk_header(), tags=tags)


def test_words_are_made_to_fit(fresh_seed: int) -> None:
    assert shortened("  a\n\tb\x1b[2J\x00 c\u202e ", 100) == "a b [2J c"
    assert shortened("ä" * 10, 5) == "ää"
    random = np.random.default_rng(fresh_seed)
    for _ in range(50):
        text = "".join(map(chr, random.integers(0, 0xD800, 40)))
        found = shortened(text, 64)
        assert found.isprintable()
        assert len(found.encode()) <= 64
