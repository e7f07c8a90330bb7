"""Several files of a batch at once, where segments go through the network in batches."""

from __future__ import annotations

import threading
from contextlib import closing
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from infotok_cli.batch.items import Item
from infotok_cli.batch.outputs import Row
from infotok_cli.batch.run_file import RunSettings, model_sha256
from infotok_cli.batch.several import FILES_AT_ONCE, encode_items, files_at_once
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.container.reader import ItkReader
from infotok_cli.itk.tokens import unpack_tokens
from infotok_cli.model.engine import Engine, Runtime
from infotok_cli.model.weights import load_model
from make_video import make_video, moving_shapes
from network_calls import counted_calls

CLIPS = 12
SEGMENTS = 2


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    """Short clips, as data sets have them; one of another shape."""
    folder = tmp_path_factory.mktemp("clips")
    for number in range(CLIPS):
        height = 48 if number == 5 else 40
        make_video(folder / f"{number}.mkv", moving_shapes(4 * SEGMENTS, height, 48, number))
    return [Item(number, f"{number}.mkv", str(folder / f"{number}.mkv")) for number in range(CLIPS)]


def encode(items: list[Item], folder: Path, model_file: Path, **settings: Any) -> dict[int, Row]:
    batch_segments = settings.pop("batch_segments", None)
    deterministic = settings.pop("deterministic", False)
    runtime = Runtime(torch.device("cpu"), "fp32", deterministic, batch_segments=batch_segments)
    options = EncodeOptions(rate=0.5, segment_frames=4, **settings)
    run = RunSettings(
        shards=1, model_sha256=model_sha256(model_file), options=options, precision="fp32",
        deterministic=deterministic, psnr=True,
    )  # fmt: skip
    engine = Engine(load_model(model_file), runtime)
    with closing(encode_items(items, folder, run, engine, str)) as encoded:
        return {item.row: row for item, row, _ in encoded}


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """Segments in each call of the network; every call takes a while, as on a device that is busy."""
    return counted_calls(monkeypatch, seconds=0.01)


@pytest.mark.parametrize("router", ["fast", "exact"])
def test_segments_of_several_files_share_batches(
    router: str, items: list[Item], model_file: Path, sizes: dict[str, list[int]], tmp_path: Path
) -> None:
    alone = encode(items, tmp_path / "alone", model_file, router=router)
    assert set(chain(*sizes.values())) == {1}
    for found in sizes.values():
        found.clear()
    together = encode(items, tmp_path / "together", model_file, router=router, batch_segments=8)
    # A file has too few segments to fill a batch, so a full one is of several files.
    assert router == "exact" or max(sizes["predict"]) > SEGMENTS
    assert max(sizes["encode"]) > SEGMENTS
    assert max(chain(*sizes.values())) <= 8
    assert set(alone) == set(together) == set(range(CLIPS))
    for number, row in alone.items():
        other = together[number]
        assert (row.error, other.error) == (None, None)
        assert (other.frames, other.tokens, other.grid) == (row.frames, row.tokens, row.grid)
        assert other.psnr_db == pytest.approx(row.psnr_db, abs=0.05)
        same_tokens(tmp_path / "alone" / f"{number}.itk", tmp_path / "together" / f"{number}.itk")


def same_tokens(one: Path, other: Path) -> None:
    """The same tokens at the same places, but for values at the edge between two levels."""
    with ItkReader(one) as first, ItkReader(other) as second:
        for pair in zip(first.segments(), second.segments(), strict=True):
            ours, theirs = (
                unpack_tokens(reader, segment, None)
                for reader, segment in zip((first, second), pair, strict=True)
            )
            assert np.array_equal(ours.keep, theirs.keep)
            assert np.array_equal(ours.motion, theirs.motion)
            assert (ours.ids != theirs.ids).mean() < 0.05


@pytest.mark.parametrize(
    ("batch", "gibibytes", "files"),
    [(1, None, 1), (1, 80, 1), (8, None, 8), (8, 80, 8), (8, 11, 5), (8, 4, 2), (8, 1, 1)],
)
def test_files_at_once_fit_the_device(batch: int, gibibytes: int | None, files: int) -> None:
    memory = None if gibibytes is None else gibibytes << 30
    engine = SimpleNamespace(batch=lambda positions: batch, memory_bytes=memory)
    assert files_at_once(engine) == files  # type: ignore[arg-type]


def test_deterministic_takes_files_one_by_one(
    items: list[Item], model_file: Path, sizes: dict[str, list[int]], tmp_path: Path
) -> None:
    rows = encode(items[:4], tmp_path, model_file, deterministic=True, batch_segments=8)
    assert list(rows) == [0, 1, 2, 3]
    assert set(chain(*sizes.values())) == {1}


def test_what_fails_is_a_row_and_the_rest_goes_on(
    items: list[Item], model_file: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    given = [*items[:3], Item(3, "bad.mp4", str(bad)), *items[4:]]
    rows = encode(given, tmp_path / "out", model_file, batch_segments=8)
    assert [row for row, made in sorted(rows.items()) if made.error] == [3]
    assert str(bad) in str(rows[3].error)
    assert len(list((tmp_path / "out").glob("*.itk"))) == CLIPS - 1


def test_leaving_ends_what_is_encoded_and_leaves_nothing_unfinished(
    items: list[Item], model_file: Path, sizes: dict[str, list[int]], tmp_path: Path
) -> None:
    run = RunSettings(
        shards=1, model_sha256=model_sha256(model_file), precision="fp32", deterministic=False,
        options=EncodeOptions(rate=0.5, segment_frames=4),
    )  # fmt: skip
    engine = Engine(load_model(model_file), Runtime(torch.device("cpu"), "fp32", batch_segments=8))
    with closing(encode_items(items, tmp_path, run, engine, str)) as encoded:
        item, row, _ = next(encoded)
        assert row.error is None
    done = list(tmp_path.iterdir())
    assert {path.suffix for path in done} == {".itk"}
    assert f"{item.row}.itk" in {path.name for path in done}
    # Files at once, and those that were done by the time somebody looked.
    assert 1 <= len(done) < CLIPS
    for path in done:
        with ItkReader(path) as reader:
            assert reader.total_frames == 4 * SEGMENTS
    assert not [
        thread.name for thread in threading.enumerate() if thread.name.startswith(("files", "videos"))
    ]
    assert len(done) <= 2 * FILES_AT_ONCE
