"""`--format memmap`: a folder of plain arrays, which comes back, is checked, and replaced only when asked."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest

from infotok_cli.cli.app import main
from infotok_cli.container.reader import ItkReader
from infotok_cli.entropy.flat_ids import SEGMENT
from infotok_cli.errors import InfotokError, InputError, OutputError, UsageError
from infotok_cli.itk.flat import export_file, import_file
from infotok_cli.itk.tokens import unpack_tokens
from make_itk import Plan, itk_bytes, itk_header


@pytest.fixture
def itk(tmp_path: Path) -> Path:
    path = tmp_path / "a.itk"
    path.write_bytes(itk_bytes([Plan(8), Plan(8, lost=True), Plan(5, trim_end=2)], itk_header()))
    return path


@pytest.fixture
def folder(itk: Path) -> Path:
    made = itk.with_suffix(".memmap")
    export_file(itk, made)
    return made


def test_it_comes_back(itk: Path, folder: Path) -> None:
    report = import_file(folder, itk.with_name("b.itk"))
    assert itk.with_name("b.itk").read_bytes() == itk.read_bytes()
    assert (report.segments, report.format) == (3, "memmap")


def test_other_programs_map_it(itk: Path, folder: Path) -> None:
    ids = np.memmap(folder / "tokens.bin", "<u2", "r")
    numbers = np.memmap(folder / "segment_ids.bin", "<u4", "r")
    facts = json.loads((folder / "metadata.json").read_text("utf-8"))
    assert len(ids) == len(numbers) == facts["tokens.bin"]["count"]
    assert numbers[ids == SEGMENT].tolist() == [0, 1, 2]
    assert (facts["width"], facts["frame_rate"], facts["model"]) == (24, "30000/1001", "made")
    with ItkReader(itk) as reader:
        for number in (0, 2):
            _, kept = unpack_tokens(reader, reader.read_segment(number), None)
            here = ids[numbers == number]
            assert np.array_equal(here[here < 64_000], kept)


@pytest.mark.parametrize("name", ["tokens.bin", "segment_ids.bin", "metadata.json"])
def test_damage_is_noticed(itk: Path, folder: Path, name: str) -> None:
    path, target = folder / name, itk.with_name("b.itk")
    whole = path.read_bytes()
    for changed in (whole[:-3], whole[:-4], b"", whole + bytes(4), whole[:9] + b"\x01" + whole[10:]):
        path.write_bytes(changed)
        with pytest.raises(InputError) as caught:
            import_file(folder, target)
        assert caught.value.where == str(folder)
        assert "\n" not in str(caught.value)
        assert not target.exists()
    path.unlink()
    with pytest.raises(InputError):
        import_file(folder, target)


def test_checksums_that_are_made_up_do_not_help(itk: Path, folder: Path, tmp_path: Path) -> None:
    """The arrays of two folders do not go together."""
    other = tmp_path / "other.itk"
    other.write_bytes(itk_bytes([Plan(8), Plan(8)], itk_header()))
    export_file(other, tmp_path / "other.memmap")
    facts = json.loads((folder / "metadata.json").read_text("utf-8"))
    strange = json.loads((tmp_path / "other.memmap" / "metadata.json").read_text("utf-8"))
    facts["segment_ids.bin"] = strange["segment_ids.bin"]
    (folder / "metadata.json").write_text(json.dumps(facts))
    (folder / "segment_ids.bin").write_bytes((tmp_path / "other.memmap" / "segment_ids.bin").read_bytes())
    with pytest.raises(InputError, match=r"segment_ids.bin does not belong to tokens.bin"):
        import_file(folder, itk.with_name("b.itk"))


def test_it_is_replaced_only_when_asked(itk: Path, folder: Path) -> None:
    before = (folder / "tokens.bin").read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        export_file(itk, folder)
    (folder / "tokens.bin").write_bytes(b"")
    export_file(itk, folder, overwrite=True)
    assert (folder / "tokens.bin").read_bytes() == before
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"holds 'mine.txt': name another folder"):
        export_file(itk, folder, overwrite=True)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["a.itk", "a.memmap"]


def test_a_failed_export_leaves_what_was_there(itk: Path, folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    data = bytearray(itk.read_bytes())
    data[-200] ^= 1
    itk.write_bytes(data)
    with pytest.raises(InfotokError):
        export_file(itk, folder, overwrite=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert sorted(path.name for path in folder.parent.iterdir()) == ["a.itk", "a.memmap"]


def test_places_that_can_hold_no_folder(itk: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="memmap is a folder, which no stream can take"):
        export_file(itk, io.BytesIO(), "memmap")
    with pytest.raises(OutputError, match="is a file: name a folder"):
        export_file(itk, itk, "memmap", overwrite=True)
    with pytest.raises(OutputError, match="cannot be written"):
        export_file(itk, tmp_path / "missing" / "a", "memmap")
    with pytest.raises(InputError, match="is not a folder: give one made by"):
        import_file(itk, tmp_path / "b.itk", "memmap")
    with pytest.raises(UsageError, match=r"choose npz, npy, jsonl, safetensors, memmap"):
        export_file(itk, tmp_path / "a.bin")


def test_on_the_command_line(itk: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(itk), "--format", "memmap"]) == 0
    assert main(["export", str(itk), "--format", "memmap"]) == 5
    assert main(["export", str(itk), "--format", "memmap", "-y"]) == 0
    back = itk.with_name("b.itk")
    assert main(["import", str(itk.with_suffix(".memmap")), "-o", str(back)]) == 0
    assert back.read_bytes() == itk.read_bytes()
    assert main(["import", str(itk.with_name("none.memmap"))]) == 3
    assert "none.memmap: is not a folder" in capfd.readouterr().err
