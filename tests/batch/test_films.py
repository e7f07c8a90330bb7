"""Long videos in parts: the parts joined are the file of one encode, byte for byte, or are not used."""

from __future__ import annotations

import dataclasses
import json
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from infotok_cli.allocation.budgets import BUDGETS, Budget
from infotok_cli.allocation.fits import Fits
from infotok_cli.allocation.rate_scale import RateScale
from infotok_cli.batch import films
from infotok_cli.batch.films import encode_part, film_of, join_parts, joined_row
from infotok_cli.batch.items import Item
from infotok_cli.batch.run_file import RunSettings
from infotok_cli.codec import groups
from infotok_cli.codec.encode import encode_file
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.container.reader import ItkReader
from infotok_cli.model.engine import Engine, choose_runtime
from infotok_cli.model.weights import load_model
from made_fits import MADE_UP
from make_video import make_video, moving_shapes

FRAMES, HEIGHT, WIDTH = 75, 40, 48
OPTIONS = EncodeOptions(segment_frames=8)
GROUP_SEGMENTS = 2


@pytest.fixture(scope="module")
def engine(model_file: Path) -> Engine:
    scale = RateScale.fit([np.random.default_rng(1).gamma(9, 0.1, (4, 8, 10)).astype(np.float32)])
    fits = Fits({"fast": MADE_UP}, {"fast": scale})
    loaded = dataclasses.replace(load_model(model_file), fits=fits)
    return Engine(loaded, choose_runtime("cpu", deterministic=True))


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of one group of two segments."""
    monkeypatch.setattr(groups, "GROUP_POSITIONS", GROUP_SEGMENTS * 3 * 5 * 6)
    monkeypatch.setattr(films, "PART_GROUPS", 1)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 75 frames with sound, a key frame every 12 frames and others that lean on later ones."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    pictures = moving_shapes(FRAMES, HEIGHT, WIDTH)
    return make_video(path, pictures, rate=Fraction(30000, 1001), options={"bf": "2"}, audio_seconds=3)


def encoded(path: Path, engine: Engine, options: EncodeOptions) -> tuple[bytes, bytes]:
    """The file of one encode, and that of parts encoded in the opposite order."""
    item = Item(0, path.name, str(path))
    one = film_of(item, options, 8)
    assert one is not None
    assert one.parts >= 3
    encode_file(path, "whole.itk", engine, options)
    for part in reversed(range(one.parts)):
        assert join_parts(one, Path("out"), Path("out/joined.itk"), options) is None
        encode_part(one, part, Path("out"), options, engine)
    assert (join_parts(one, Path("out"), Path("out/joined.itk"), options) or 0) > 0
    assert [path.name for path in Path("out").iterdir()] == ["joined.itk"]
    return Path("whole.itk").read_bytes(), Path("out/joined.itk").read_bytes()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"rate": 0.25, "short_side": 32},
        {"rate": 1.0, "audio": False},
        {"budget": Budget("calibrated-rate", 0.4)},
        {"budget": Budget("target-psnr", 12.0)},
        {"refine": 1, "router": "exact"},
    ],
    ids=str,
)
def test_parts_add_up_to_one_encode(film: Path, engine: Engine, changes: dict[str, object]) -> None:
    whole, joined = encoded(film, engine, dataclasses.replace(OPTIONS, **changes))  # type: ignore[arg-type]
    assert joined == whole
    with ItkReader(whole) as reader:
        assert reader.total_frames == FRAMES
        assert bool(reader.header.audio) == changes.get("audio", True)


@pytest.mark.parametrize("kind", ["ms.mkv", "film.ts", "film.avi", "interlaced.mkv", "keys.mp4"])
def test_of_any_container(tmp_path: Path, engine: Engine, kind: str) -> None:
    pictures = moving_shapes(FRAMES, HEIGHT, WIDTH)
    codec, options, group = "libx264", {"bf": "2"}, 12
    if kind == "interlaced.mkv":
        options, group = {"x264-params": "tff=1"}, 15
    elif kind == "film.avi":
        codec, options = "mpeg4", {"bf": "2"}
    elif kind == "keys.mp4":
        group = 1
    path = make_video(
        tmp_path / kind, pictures, rate=Fraction(30000, 1001), codec=codec, options=options, group=group
    )
    whole, joined = encoded(path, engine, OPTIONS)
    assert joined == whole


def test_only_where_parts_add_up(film: Path, tmp_path: Path) -> None:
    def split(path: Path, **changes: object) -> bool:
        options = dataclasses.replace(OPTIONS, **changes)  # type: ignore[arg-type]
        return film_of(Item(0, "a", str(path)), options, 8) is not None

    assert split(film)
    values = {"target-psnr": 30.0, "calibrated-rate": 0.5}
    of_groups = {kind for kind in BUDGETS if split(film, budget=Budget(kind, values.get(kind, 50_000.0)))}
    assert of_groups == {"calibrated-rate", "target-psnr"}
    assert not split(film, start_seconds=0.5)
    assert not split(film, end_seconds=2.0)
    assert not split(tmp_path / "gone.mp4")
    ticks = [40 * number + 15 * (number % 2) for number in range(FRAMES)]
    pictures = moving_shapes(FRAMES, HEIGHT, WIDTH)
    assert not split(
        make_video(tmp_path / "uneven.mkv", pictures, ticks=ticks, time_base=Fraction(1, 1000), rate=25)
    )
    short = make_video(tmp_path / "short.mp4", pictures[:31])
    assert not split(short)
    assert split(make_video(tmp_path / "long.mp4", pictures[:32]))
    assert film_of(Item(0, "a", "memory://bucket/film.mp4"), OPTIONS, 8) is None


def test_parts_that_do_not_meet_are_not_joined(film: Path, engine: Engine) -> None:
    """As when a seek gives another frame than reading on does."""
    one = film_of(Item(0, "a.mp4", str(film)), OPTIONS, 8)
    assert one is not None
    for part in range(one.parts):
        encode_part(one, part, Path("out"), OPTIONS, engine)
    note = one.path(Path("out"), 2).with_suffix(".json")
    facts = json.loads(note.read_text())
    note.write_text(json.dumps({**facts, "first": "0" * 64}))
    assert join_parts(one, Path("out"), Path("out/a.itk"), OPTIONS) is None
    assert not Path("out/a.itk").exists()


def test_whole_parts_are_kept_and_others_made_anew(
    film: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = film_of(Item(0, "a.mp4", str(film)), OPTIONS, 8)
    assert one is not None
    for part in range(one.parts):
        encode_part(one, part, Path("out"), OPTIONS, engine)
    damaged = one.path(Path("out"), 1)
    damaged.write_bytes(damaged.read_bytes()[:-9])
    made: list[str] = []
    original = films.open_video

    def counted(path: str, **options: bool) -> object:
        made.append(path)
        return original(path, **options)

    monkeypatch.setattr(films, "open_video", counted)
    for part in range(one.parts):
        encode_part(one, part, Path("out"), OPTIONS, engine)
    assert len(made) == 1
    assert join_parts(one, Path("out"), Path("out/a.itk"), OPTIONS) is not None
    encode_file(film, "whole.itk", engine, OPTIONS)
    assert Path("out/a.itk").read_bytes() == Path("whole.itk").read_bytes()


def test_the_source_decides_where_parts_lie(film: Path, tmp_path: Path) -> None:
    """So that parts of a video that was replaced are never mixed with those of the new one."""
    copy = shutil.copy(film, tmp_path / "copy.mp4")
    before = film_of(Item(0, "a.mp4", str(copy)), OPTIONS, 8)
    with copy.open("ab") as file:
        file.write(b"\0" * 8)
    after = film_of(Item(0, "a.mp4", str(copy)), OPTIONS, 8)
    assert before is not None
    assert after is not None
    assert before.folder != after.folder


def test_two_workers_may_join_at_once(film: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts vanish under the one that comes second; it finds the output."""
    item = Item(0, "a.mp4", str(film))
    run = RunSettings(
        shards=1, model_sha256=engine.loaded.sha256, options=OPTIONS, precision="auto", deterministic=True
    )
    one = film_of(item, OPTIONS, 8)
    assert one is not None
    for part in range(one.parts):
        encode_part(one, part, Path("out"), OPTIONS, engine)
    write = films._write_joined

    def other_first(*arguments: object) -> None:
        monkeypatch.setattr(films, "_write_joined", write)
        assert joined_row(item, one, Path("out"), run) is not None
        write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(films, "_write_joined", other_first)
    row = joined_row(item, one, Path("out"), run)
    assert row is not None
    assert (row.frames, row.status) == (FRAMES, "encoded")
