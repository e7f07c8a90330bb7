"""`export` of training data: others read it, it appears whole or not at all, bad input is one line."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from file_limit import largest_file
from infotok_cli.entropy.flat_ids import FlatSegment, flatten, unflatten
from infotok_cli.errors import InputError, OutputError, UsageError
from infotok_cli.itk.token_file import TokenFile
from infotok_cli.itk.training_formats.export import TRAINING_FORMATS, export_training
from infotok_cli.motion import STILL
from make_itk import Plan, itk_bytes, itk_header


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A folder of three files: one in a folder of its own, one that is cut, one with a lost segment."""
    folder = tmp_path / "videos"
    (folder / "more").mkdir(parents=True)
    header = itk_header()
    (folder / "a.itk").write_bytes(itk_bytes([Plan(8), Plan(8, trim_end=2)], header, 1))
    (folder / "b.itk").write_bytes(itk_bytes([Plan(8), Plan(8, lost=True), Plan(3)], header, 2))
    (folder / "more" / "c.itk").write_bytes(itk_bytes([Plan(8, rate=1.0)], header, 3))
    return folder


ORDER = ("a.itk", "b.itk", "more/c.itk")


def tokens_of(path: Path) -> list[NDArray[np.uint16]]:
    with TokenFile(path) as file:
        return [file.tokens(about.number) for about in file.segments if not about.lost]


def read_megatron(folder: Path) -> tuple[list[NDArray[Any]], list[dict[str, Any]]]:
    """Documents by the index alone, as Megatron's reader takes it apart, and what is said of each."""
    index = (folder / "tokens.idx").read_bytes()
    assert index[:9] == b"MMIDIDX\0\0"
    version, code, count, bounds = struct.unpack_from("<QBQQ", index, 9)
    assert (version, bounds) == (1, count + 1)
    dtype = {8: np.dtype(np.uint16), 4: np.dtype(np.int32)}[code]
    at = 9 + struct.calcsize("<QBQQ")
    lengths = np.frombuffer(index, np.int32, count, at)
    starts = np.frombuffer(index, np.int64, count, at + lengths.nbytes)
    documents = np.frombuffer(index, np.int64, bounds, at + lengths.nbytes + starts.nbytes)
    assert at + lengths.nbytes + starts.nbytes + documents.nbytes == len(index)
    assert documents.tolist() == list(range(bounds))
    ids = np.memmap(folder / "tokens.bin", dtype, "r")
    found = [ids[start // dtype.itemsize :][:length] for start, length in zip(starts, lengths, strict=True)]
    rows = [json.loads(line) for line in (folder / "documents.jsonl").read_text().splitlines()]
    assert [row["ids"] for row in rows] == lengths.tolist()
    assert [row["offset"] * dtype.itemsize for row in rows] == starts.tolist()
    return found, rows


def test_megatron_documents_are_videos(videos: Path, tmp_path: Path) -> None:
    report = export_training([videos], tmp_path / "out", "megatron")
    found, rows = read_megatron(tmp_path / "out")
    for ids, name in zip(found, ORDER, strict=True):
        assert ids.dtype == np.uint16
        assert np.array_equal(ids, np.concatenate(tokens_of(videos / name)))
    assert [row["source"] for row in rows] == [str(videos / name) for name in ORDER]
    assert [row["id"] for row in rows] == ["a", "b", "more/c"]
    assert [row["lost_segments"] for row in rows] == [0, 1, 0]
    assert rows[0]["model_sha256"] == hashlib.sha256(b"made").hexdigest()
    assert rows[0]["frames"] == 14
    assert rows[0]["grid"] == [3, 2, 3]
    assert rows[2]["rate"] == rows[2]["tokens"] / 18
    assert (report.videos, report.segments, report.lost_segments) == (3, 5, 1)
    assert report.tokens == sum(map(len, found))
    assert report.size_bytes == sum(path.stat().st_size for path in (tmp_path / "out").iterdir())
    vocabulary = json.loads((tmp_path / "out" / "vocab.json").read_text())
    assert vocabulary["ranges"] == {"token": {"first": 0, "last": 63_999}}
    assert (vocabulary["dtype"], vocabulary["vocab_size"]) == ("uint16", 64_000)


def test_megatron_documents_are_segments_with_marks(videos: Path, tmp_path: Path) -> None:
    marks = ("step", "skip", "segment-end", "video-end")
    export_training([videos], tmp_path / "out", "megatron", marks=marks, document="segment", id_offset=1000)
    found, rows = read_megatron(tmp_path / "out")
    assert [(row["id"], row["segment"]) for row in rows] == [
        ("a", 0), ("a", 1), ("b", 0), ("b", 2), ("more/c", 0),
    ]  # fmt: skip
    tokens = [ids for name in ORDER for ids in tokens_of(videos / name)]
    for shifted, plain, row in zip(found, tokens, rows, strict=True):
        assert shifted.dtype == np.int32
        ids = shifted - 1000
        assert np.array_equal(ids[ids < 64_000], plain)
        assert (ids == 64_001).sum() == row["grid"][0]
        is_last = (row["id"], row["segment"]) in [("a", 1), ("b", 2), ("more/c", 0)]
        assert ids[-2:].tolist() == [64_004, 64_005] if is_last else ids[-1] == 64_004
        assert ids.max() < 65_024
        skipped = ids[ids >= 64_512] - 64_511
        assert skipped.sum() + len(plain) == np.prod(row["grid"])
    vocabulary = json.loads((tmp_path / "out" / "vocab.json").read_text())
    assert vocabulary["ranges"]["step"] == {"first": 65_001, "last": 65_001}
    assert vocabulary["ranges"]["skip"] == {"first": 65_512, "last": 66_023}
    assert (vocabulary["dtype"], vocabulary["vocab_size"]) == ("int32", 66_024)


def test_sequences_with_step_motion_and_skip_are_the_flat_ids(videos: Path, tmp_path: Path) -> None:
    """All that a segment holds, but for its frames."""
    marks = ("step", "motion", "skip")
    export_training([videos], tmp_path / "out", "megatron", marks=marks, document="segment")
    found, rows = read_megatron(tmp_path / "out")
    moving = 0
    for ids, row in zip(found, rows, strict=True):
        with TokenFile(row["source"]) as file:
            header, about = file.header, file.segments[row["segment"]]
            layer = file.token_layer(about.number)
            frames = about.frames + about.trim_start + about.trim_end
        assert np.array_equal(ids, flatten(FlatSegment(frames, 0, 0, layer))[2:])
        back = unflatten(np.concatenate([[64_000, 64_063 + frames], ids]), header.height, header.width).tokens
        assert back is not None
        assert np.array_equal(back.motion, layer.motion)
        moving += int(((ids >= 65_024) & (ids < 65_249)).sum())
    assert moving
    vocabulary = json.loads((tmp_path / "out" / "vocab.json").read_text())
    assert vocabulary["ranges"]["motion"] == {"first": 65_024, "last": 65_535}
    assert (vocabulary["dtype"], vocabulary["vocab_size"]) == ("uint16", 65_536)


def test_motion_alone_says_what_moves(videos: Path, tmp_path: Path) -> None:
    export_training([videos / "a.itk"], tmp_path / "out", "memmap", marks=("motion",))
    ids = np.fromfile(tmp_path / "out" / "tokens.bin", "<u2")
    with TokenFile(videos / "a.itk") as file:
        vectors = np.concatenate([file.motion_map(number).ravel() for number in range(2)])
    assert np.array_equal(ids[ids < 64_000], np.concatenate(tokens_of(videos / "a.itk")))
    assert np.array_equal(ids[(ids >= 65_024) & (ids < 65_249)] - 65_024, vectors[vectors != STILL])


def test_ids_are_as_wide_as_needed(videos: Path, tmp_path: Path) -> None:
    for offset, marks, dtype in (
        (1536, (), "uint16"),
        (1537, (), "int32"),
        (512, ("skip",), "uint16"),
        (513, ("skip",), "int32"),
        (1, ("motion",), "int32"),
    ):
        folder = tmp_path / f"{offset}-{len(marks)}"
        export_training([videos / "a.itk"], folder, "memmap", id_offset=offset, marks=marks)
        assert json.loads((folder / "metadata.json").read_text())["dtype"] == dtype
        ids = np.fromfile(folder / "tokens.bin", dtype).astype(np.int64) - offset
        assert np.array_equal(ids[ids < 64_000], np.concatenate(tokens_of(videos / "a.itk")))


def test_memmap(videos: Path, tmp_path: Path) -> None:
    export_training([videos], tmp_path / "out", "memmap")
    about = json.loads((tmp_path / "out" / "metadata.json").read_text())
    ids = np.memmap(tmp_path / "out" / "tokens.bin", about["dtype"], "r")
    numbers = np.memmap(tmp_path / "out" / "segment_ids.bin", np.int32, "r")
    tokens = [ids for name in ORDER for ids in tokens_of(videos / name)]
    assert np.array_equal(ids, np.concatenate(tokens))
    assert np.array_equal(numbers, np.repeat(np.arange(5), list(map(len, tokens))))
    assert (about["ids"], about["segments"], about["documents"]) == (len(ids), 5, 3)


def test_parquet(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = pytest.importorskip("pyarrow.parquet")
    from infotok_cli.itk.training_formats import parquet

    monkeypatch.setattr(parquet, "GROUP_TOKENS", 20)
    export_training([videos], tmp_path / "out.parquet", "parquet")
    assert tables.ParquetFile(tmp_path / "out.parquet").num_row_groups > 1
    table = tables.read_table(tmp_path / "out.parquet")
    assert str(table.schema.field("ids").type) == "list<element: uint16>"
    rows = table.to_pylist()
    assert len(rows) == 5
    for row in rows:
        with TokenFile(row["source"]) as file:
            about = file.segments[row["segment"]]
            assert row["ids"] == file.tokens(about.number).tolist()
            bits = np.unpackbits(np.frombuffer(row["map"], np.uint8))[: about.positions].astype(np.bool_)
            assert np.array_equal(bits.reshape(row["grid"]), file.keep_map(about.number))
            t, h, w = row["grid"]
            vectors = np.frombuffer(row["motion"], np.uint8).reshape(t, -(-h // 2), -(-w // 2))
            assert np.array_equal(vectors, file.motion_map(about.number))
            assert (row["start_seconds"], row["end_seconds"]) == (about.start_seconds, about.end_seconds)


def test_webdataset(videos: Path, tmp_path: Path) -> None:
    export_training([videos], tmp_path / "out", "webdataset", shard_size=5000)
    export_training([videos], tmp_path / "again", "webdataset", shard_size=5000)
    shards = sorted((tmp_path / "out").glob("*.tar"))
    assert len(shards) == 3
    samples: dict[str, dict[str, Any]] = {}
    for shard in shards:
        assert shard.read_bytes() == (tmp_path / "again" / shard.name).read_bytes()
        with tarfile.open(shard) as tar:
            for member in tar:
                assert member.mtime == 0
                key, _, suffix = member.name.partition(".")
                stream = tar.extractfile(member)
                assert stream is not None
                samples.setdefault(key, {})[suffix] = (
                    json.load(stream) if suffix == "json" else np.load(io.BytesIO(stream.read()))
                )
    assert list(samples) == ["a-000000", "a-000001", "b-000000", "b-000002", "more/c-000000"]
    for sample in samples.values():
        about = sample["json"]
        with TokenFile(about["source"]) as file:
            assert np.array_equal(sample["tokens.npy"], file.tokens(about["segment"]))
            assert np.array_equal(sample["map.npy"], file.keep_map(about["segment"]))
            assert np.array_equal(sample["motion.npy"], file.motion_map(about["segment"]))
            assert sample["motion.npy"].dtype == np.uint8


def test_the_webdataset_library_reads_the_shards(videos: Path, tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    export_training([videos], tmp_path / "out", "webdataset", shard_size=5000)
    shards = [str(path) for path in sorted((tmp_path / "out").glob("*.tar"))]
    samples = list(webdataset.WebDataset(shards, shardshuffle=False).decode())
    assert [sample["__key__"] for sample in samples] == [
        "a-000000", "a-000001", "b-000000", "b-000002", "more/c-000000",
    ]  # fmt: skip
    for sample in samples:
        about = sample["json"]
        with TokenFile(about["source"]) as file:
            assert np.array_equal(sample["tokens.npy"], file.tokens(about["segment"]))
            assert np.array_equal(sample["map.npy"], file.keep_map(about["segment"]))
            assert np.array_equal(sample["motion.npy"], file.motion_map(about["segment"]))
            assert sample["motion.npy"].dtype == np.uint8


def test_hugging_face_datasets_reads_the_table(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_DATASETS_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    datasets = pytest.importorskip("datasets")
    export_training([videos], tmp_path / "out.parquet", "parquet")
    rows = datasets.load_dataset(
        "parquet", data_files=str(tmp_path / "out.parquet"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert len(rows) == 5
    assert rows.features["ids"].feature.dtype == "uint16"
    for row in rows:
        with TokenFile(row["source"]) as file:
            assert row["ids"] == file.tokens(row["segment"]).tolist()
            assert row["motion"] == file.motion_map(row["segment"]).tobytes()


@pytest.mark.parametrize("kind", TRAINING_FORMATS)
def test_outputs_appear_whole_or_not_at_all(videos: Path, tmp_path: Path, kind: str) -> None:
    place = tmp_path / "out"
    whole = (videos / "b.itk").read_bytes()
    damaged = bytearray(whole)
    with TokenFile(whole) as file:
        damaged[file.index[0].offset + file.index[0].length - 1] ^= 1
    (videos / "b.itk").write_bytes(damaged)
    with pytest.raises(InputError, match=r"b\.itk"):
        export_training([videos], place, kind)
    assert {path.name for path in tmp_path.iterdir()} == {"videos"}
    report = export_training([videos], place, kind, skip_bad=True)
    assert report.videos == 2
    (line,) = report.notes
    assert "b.itk" in line
    before = contents(place)
    with pytest.raises(OutputError, match="exists already"):
        export_training([videos / "a.itk"], place, kind)
    with pytest.raises(OutputError, match="cannot be"), largest_file(60):
        export_training([videos / "a.itk"], place, kind, overwrite=True)
    assert contents(place) == before
    export_training([videos / "a.itk"], place, kind, overwrite=True)
    assert contents(place) != before
    assert {path.name for path in tmp_path.iterdir()} == {"videos", "out"}


def contents(place: Path) -> dict[str, bytes]:
    if place.is_file():
        return {"": place.read_bytes()}
    return {path.name: path.read_bytes() for path in place.iterdir()}


def test_what_is_refused(videos: Path, tmp_path: Path) -> None:
    def refused(kind: type[Exception], *sources: Path, format: str = "megatron", **options: Any) -> str:
        with pytest.raises(kind) as caught:
            export_training(sources, options.pop("out", tmp_path / "out"), format, **options)
        assert not (tmp_path / "out").exists()
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "no files are given" in refused(UsageError)
    assert "does not exist" in refused(InputError, videos / "none.itk")
    (tmp_path / "empty").mkdir()
    assert "holds no .itk file" in refused(InputError, tmp_path / "empty")
    assert "would have the id 'a'" in refused(UsageError, videos, videos / "a.itk")
    assert "is not a mark" in refused(UsageError, videos, marks=["stop"])
    assert "out of range" in refused(UsageError, videos, id_offset=-1)
    assert "out of range" in refused(UsageError, videos, id_offset=2**31)
    assert "is unknown" in refused(UsageError, videos, document="frame")
    assert "is not one of training data" in refused(UsageError, videos, format="csv")
    for options in ({"marks": ["step"]}, {"id_offset": 1}, {"document": "video"}):
        assert "does not go with" in refused(UsageError, videos, format="webdataset", **options)
    assert "does not go with" in refused(UsageError, videos, shard_size=1000)
    assert "is not a usable folder" in refused(OutputError, videos, out="a\0b")
    assert "would replace the input" in refused(UsageError, videos, out=videos, overwrite=True)
    (videos / "other.itk").write_bytes(itk_bytes([Plan(8)], itk_header(model_sha256=bytes(32))))
    assert "is of model made 000000000000, files before it of made" in refused(InputError, videos)
    (videos / "other.itk").write_bytes(itk_bytes([Plan(8, lost=True)], itk_header()))
    assert "no segment that is whole" in refused(InputError, videos / "other.itk")
    (videos / "a_x.itk").write_bytes((videos / "a.itk").read_bytes())
    (videos / "a.x.itk").write_bytes((videos / "a.itk").read_bytes())
    assert "would have the keys of" in refused(UsageError, videos, format="webdataset")


def test_folders_of_others_are_kept(videos: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "novel.txt").write_text("chapter one")
    with pytest.raises(OutputError, match="with other things in it"):
        export_training([videos], other, "memmap", overwrite=True)
    assert [path.name for path in other.iterdir()] == ["novel.txt"]
    (other / "novel.txt").unlink()
    export_training([videos], other, "memmap")
    assert (other / "tokens.bin").exists()
