"""`export` and `import`: any valid file comes back byte for byte, and broken ones are refused."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from infotok_cli.container.reader import ItkReader
from infotok_cli.errors import InputError, UsageError
from infotok_cli.itk.flat import export_file, import_file
from infotok_cli.itk.flat_files import FORMATS
from infotok_cli.itk.tokens import unpack_tokens
from infotok_cli.motion import STILL
from make_golden import GOLDEN
from make_itk import Plan, itk_bytes, itk_header


@st.composite
def plans(draw: st.DrawFn) -> list[Plan]:
    made = []
    for _ in range(draw(st.integers(1, 5))):
        frames = draw(st.integers(1, 8))
        trim_start = draw(st.integers(0, frames - 1))
        trim_end = draw(st.integers(0, frames - 1 - trim_start))
        rate = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
        lost, still = draw(st.booleans()), draw(st.booleans())
        made.append(Plan(frames, trim_start, trim_end, lost, rate, still))
    return made


@given(
    plans(), st.sampled_from(["block", "position"]), st.integers(1, 60), st.integers(1, 60), st.integers(0, 9)
)
@settings(max_examples=60, deadline=None)
def test_any_file_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    made: list[Plan],
    allocation: str,
    width: int,
    height: int,
    seed: int,
) -> None:
    folder = tmp_path_factory.getbasetemp()
    source, back = folder / "any.itk", folder / "back.itk"
    header = itk_header(width=width, height=height, allocation=allocation)
    source.write_bytes(itk_bytes(made, header, seed))
    for kind in FORMATS:
        export_file(source, folder / f"any.{kind}", overwrite=True)
        import_file(folder / f"any.{kind}", back, overwrite=True)
        assert back.read_bytes() == source.read_bytes(), kind


@pytest.mark.parametrize("source", sorted(GOLDEN.rglob("*.itk")), ids=lambda path: path.stem)
@pytest.mark.parametrize("kind", FORMATS)
def test_goldens_come_back(tmp_path: Path, source: Path, kind: str) -> None:
    one = export_file(source, tmp_path / f"a.{kind}")
    two = import_file(tmp_path / f"a.{kind}", tmp_path / "b.itk")
    if one.left_out:
        assert one.left_out == ("sound", "frame times")
        with ItkReader(source) as reader, ItkReader(tmp_path / "b.itk") as plain:
            assert plain.header == dataclasses.replace(reader.header, audio=None, has_times=False)
            assert list(plain.segments()) == list(reader.segments())
    else:
        assert (tmp_path / "b.itk").read_bytes() == source.read_bytes()
    assert (one.tokens, one.ids, one.segments) == (two.tokens, two.ids, two.segments)


@pytest.fixture
def itk(tmp_path: Path) -> Path:
    path = tmp_path / "a.itk"
    path.write_bytes(itk_bytes([Plan(8), Plan(5)], itk_header()))
    return path


def test_other_programs_read_them(itk: Path) -> None:
    """numpy, JSON and safetensors see the same ids and offsets, and the facts beside them."""
    for kind in FORMATS:
        export_file(itk, itk.with_suffix(f".{kind}"))
    with np.load(itk.with_suffix(".npz")) as arrays:
        ids, offsets = arrays["ids"], arrays["offsets"]
        facts = json.loads(arrays["header"].tobytes())
    assert ids.dtype == np.uint16
    assert (ids[offsets[:-1]] == 64_000).all()
    assert offsets[-1] == len(ids)
    assert (facts["width"], facts["height"], facts["frame_rate"]) == (24, 16, "30000/1001")
    tensors = load_file(itk.with_suffix(".safetensors"))
    assert np.array_equal(tensors["ids"], ids)
    assert np.array_equal(tensors["offsets"], offsets)
    first, *rows = itk.with_suffix(".jsonl").read_text().splitlines()
    assert len(facts.pop("ids_sha256")) == 64
    assert json.loads(first) == facts
    assert [value for row in rows for value in json.loads(row)["ids"]] == ids.tolist()
    whole = np.load(itk.with_suffix(".npy"))
    assert whole[0] == 64_003
    assert np.array_equal(whole[-len(ids) :], ids)


def test_motion_is_in_them_and_comes_back(itk: Path) -> None:
    """Vectors of other blocks in the flat ids make the file in which these blocks move so."""
    path, back = itk.with_suffix(".npy"), itk.with_name("back.itk")
    with ItkReader(itk) as reader:
        before = unpack_tokens(reader, reader.read_segment(0), None)
    export_file(itk, path)
    flat = np.load(path)
    moving = np.flatnonzero((flat >= 65_024) & (flat < 65_249))
    assert len(moving)
    assert flat[moving[0]] - 65_024 == before.motion[before.motion != STILL][0]
    flat[moving[0]] = 65_024 + 1
    np.save(path, flat)
    import_file(path, back)
    with ItkReader(back) as reader:
        after = unpack_tokens(reader, reader.read_segment(0), None)
    assert np.array_equal(after.keep, before.keep)
    assert np.array_equal(after.ids, before.ids)
    changed = np.argwhere(after.motion != before.motion)
    assert [after.motion[tuple(place)] for place in changed] == [1]


def refused(path: Path) -> str:
    target = path.with_name("out.itk")
    with pytest.raises(InputError) as caught:
        import_file(path, target)
    assert not target.exists()
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("kind", FORMATS)
def test_broken_files_are_refused(itk: Path, kind: str) -> None:
    path = itk.with_suffix(f".{kind}")
    refused(path)
    export_file(itk, path)
    whole = path.read_bytes()
    for length in [0, 1, 10, len(whole) // 2, len(whole) - 30]:
        path.write_bytes(whole[:length])
        refused(path)
    for data in (b"\0" * 4000, b"\xff" * 4000, b"[" * 4000, b"{}\n" * 10, itk.read_bytes()):
        path.write_bytes(data)
        refused(path)


@pytest.mark.parametrize("kind", ["npz", "safetensors", "jsonl"])
def test_changed_ids_are_noticed(itk: Path, kind: str) -> None:
    """Any token is valid: the checksum alone tells, where it was not left out on purpose."""
    path = itk.with_suffix(f".{kind}")
    export_file(itk, path)
    with ItkReader(itk) as reader:
        token = int(unpack_tokens(reader, next(iter(reader.segments())), None).ids[0])
    whole, other = path.read_bytes(), (token + 1) % 64_000
    if kind == "jsonl":
        first, row, *rest = path.read_text().splitlines()
        values = json.loads(row)
        values["ids"] = [other if value == token else value for value in values["ids"]]
        path.write_text("\n".join([first, json.dumps(values), *rest]) + "\n")
    elif kind == "npz":
        with np.load(path) as arrays:
            values = dict(arrays)
        values["ids"][values["ids"] == token] = other
        np.savez(path, **values)
    else:
        old, new = token.to_bytes(2, "little"), other.to_bytes(2, "little")
        at = len(whole) - whole[::-1].index(old[::-1]) - 2
        path.write_bytes(whole[:at] + new + whole[at + 2 :])
    assert "checksum" in refused(path)
    if kind == "jsonl":
        del values["crc32"]
        path.write_text("\n".join([first, json.dumps(values), *rest]) + "\n")
    elif kind == "npz":
        facts = json.loads(values["header"].tobytes())
        del facts["ids_sha256"]
        values["header"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
        np.savez(path, **values)
    else:
        return
    import_file(path, itk.with_name("changed.itk"))
    assert itk.with_name("changed.itk").read_bytes() != itk.read_bytes()


def test_pickles_and_compressed_arrays_are_not_opened(itk: Path) -> None:
    evil = itk.with_suffix(".npy")
    np.save(evil, np.array([{"a": 1}], object), allow_pickle=True)
    assert "cannot be read as npy" in refused(evil)
    packed = itk.with_suffix(".npz")
    np.savez_compressed(packed, ids=np.zeros(1 << 20, np.uint16), offsets=np.zeros(1), header=np.zeros(1))
    assert "is compressed" in refused(packed)
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("ids.npy", evil.read_bytes())
        archive.writestr("header.npy", evil.read_bytes())
        archive.writestr("offsets.npy", evil.read_bytes())
    assert "cannot be read as npz" in refused(packed)


def test_ids_that_contradict_the_header(itk: Path) -> None:
    path = itk.with_suffix(".jsonl")
    export_file(itk, path)
    first, *rows = path.read_text().splitlines()
    good = [json.loads(row)["ids"] for row in rows]

    def attempt(*sequences: object) -> str:
        lines = [json.dumps({"segment": number, "ids": ids}) for number, ids in enumerate(sequences)]
        path.write_text("\n".join([first, *lines]) + "\n")
        return refused(path)

    assert "no frames" in attempt()
    assert "outside 0..65535" in attempt([70_000])
    assert "outside 0..65535" in attempt([1.5])
    assert "outside 0..65535" in attempt([])
    assert "is not segment 0" in attempt("ids")
    assert "segment 0: a latent step has" in attempt([*good[0], 1])
    # Dropping a block's only token is nothing that blocks can do.
    dropped = [64_000, 64_067, *([64_001, 64_511 + 6] * 2)]
    assert "does not match any block levels" in attempt(dropped)
    moving = [64_000, 64_067, *([64_001, 65_024, 1, 1, 1, 1, 1, 1] * 2)]
    assert "the lead of a segment cannot move" in attempt(moving)
    nine_frames = [64_000, 64_064 + 8, *([64_001, 1, 1, 1, 1, 1, 1] * 4)]
    assert "9 frames, allowed are 1..8" in attempt(nine_frames)
    path.write_text("\n".join([first, rows[1]]))
    assert "is not segment 0" in refused(path)
    path.write_text(first + "\n" + '{"segment": 0, "ids": [' + "1, " * 100_000)
    assert "line of more than" in refused(path)


def test_formats_are_named(itk: Path) -> None:
    with pytest.raises(UsageError, match="choose npz, npy, jsonl, safetensors"):
        export_file(itk, itk.with_name("a.csv"))
    with pytest.raises(UsageError, match="format 'csv'"):
        export_file(itk, itk.with_name("a.npz"), "csv")
    assert export_file(itk, itk.with_name("odd.name"), "npy").format == "npy"
    assert import_file(itk.with_name("odd.name"), itk.with_name("b.itk"), "npy").format == "npy"
    assert itk.with_name("b.itk").read_bytes() == itk.read_bytes()


def test_codebooks_that_leave_no_room(tmp_path: Path) -> None:
    path = tmp_path / "a.itk"
    path.write_bytes(itk_bytes([Plan(8)], itk_header(levels=(255, 255))))
    with pytest.raises(InputError, match="leaves none for the marks of flat ids"):
        export_file(path, tmp_path / "a.npz")
    assert not (tmp_path / "a.npz").exists()
