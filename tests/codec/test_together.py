"""Several segments through the network at once give the files that one by one gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from infotok_cli.allocation.budgets import Budget
from infotok_cli.allocation.distortion import Distortion
from infotok_cli.allocation.fits import Fits
from infotok_cli.allocation.rate_scale import RateScale
from infotok_cli.codec import groups
from infotok_cli.codec.decode import decode_file
from infotok_cli.codec.decode_segments import decoded_segments
from infotok_cli.codec.encode import EncodeReport, encode_file
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.container.reader import ItkReader
from infotok_cli.errors import InputError, UsageError
from infotok_cli.itk.tokens import unpack_tokens
from infotok_cli.model.engine import Engine, Runtime
from infotok_cli.model.tokenizer import Tokenizer
from infotok_cli.model.weights import load_model
from make_video import make_video, moving_shapes
from network_calls import counted_calls
from tiny_model import write_tiny_model

FRAMES, SEGMENTS = 42, 11  # of 4 frames, and a last one of 2

MADE_UP_SCALE = RateScale.fit([np.geomspace(0.01, 10, 16 * 36).astype(np.float32).reshape(16, 6, 6)])
MADE_UP = Distortion(offsets=(0.5, 0.0, -0.5, -1.0), slopes=(1.0, 1.0, 1.0, 1.0), bias_db=0.0)

MadeEngine = Callable[..., Engine]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("clip") / "clip.mkv", moving_shapes(FRAMES, 40, 48))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> MadeEngine:
    folder = tmp_path_factory.mktemp("model")
    paths = {}
    for masking in ("error", "elastic"):
        paths[masking] = folder / f"{masking}.safetensors"
        write_tiny_model(paths[masking], masking)  # type: ignore[arg-type]

    def make(masking: str = "error", **settings: Any) -> Engine:
        loaded = load_model(paths[masking])
        loaded = dataclasses.replace(loaded, fits=Fits({"fast": MADE_UP}, {"fast": MADE_UP_SCALE}))
        return Engine(loaded, Runtime(torch.device("cpu"), "fp32", **settings))

    return make


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """Segments in each call of the network."""
    return counted_calls(monkeypatch)


def encode(clip: Path, target: Path, engine: Engine, **options: Any) -> EncodeReport:
    return encode_file(
        clip, target, engine, EncodeOptions(**{"rate": 0.5} | options, segment_frames=4), overwrite=True
    )


def tokens(path: Path) -> tuple[list[NDArray[np.bool_]], NDArray[np.uint16]]:
    """Keep maps, and the ids of all segments."""
    with ItkReader(path) as reader:
        both = [unpack_tokens(reader, segment, None) for segment in reader.segments()]
    return [one.keep for one in both], np.concatenate([one.ids for one in both])


def frames(path: Path, engine: Engine, wanted: range | None = None) -> NDArray[np.int64]:
    with ItkReader(path) as reader:
        wanted = range(reader.total_frames) if wanted is None else wanted
        return np.concatenate(list(decoded_segments(reader, engine, wanted))).astype(int)


def same_file(one: Path, other: Path) -> None:
    """The same tokens at the same places, but for values at the edge between two levels."""
    (keeps, ids), (other_keeps, other_ids) = tokens(one), tokens(other)
    assert all(map(np.array_equal, keeps, other_keeps))
    assert (ids != other_ids).mean() < 0.01


WAYS: list[tuple[str, dict[str, Any]]] = [
    ("error", {}),
    ("error", {"router": "exact"}),
    ("error", {"router": "fixed"}),
    ("error", {"allocation": "position", "rate": 0.3}),
    ("error", {"budget": Budget("max-tokens", 600)}),
    ("error", {"budget": Budget("tokens-per-second", 500)}),
    ("error", {"budget": Budget("bitrate", 9000)}),
    ("error", {"budget": Budget("target-size", 2500)}),
    ("error", {"budget": Budget("target-psnr", 15)}),
    ("error", {"budget": Budget("calibrated-rate", 0.4)}),
    ("elastic", {"router": "elastic"}),
]


@pytest.mark.parametrize(("masking", "options"), WAYS, ids=str)
@pytest.mark.parametrize("group", [4, 100], ids=lambda size: f"groups-of-{size}")
def test_every_way_to_share_tokens_out(
    masking: str,
    options: dict[str, Any],
    group: int,
    clip: Path,
    engine: MadeEngine,
    seen: dict[str, list[int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(groups, "GROUP_POSITIONS", group * 2 * 5 * 6)
    one = encode(clip, tmp_path / "one.itk", engine(masking), **options)
    assert set(chain(*seen.values())) == {1}
    for calls in seen.values():
        calls.clear()
    batch = encode(clip, tmp_path / "batch.itk", engine(masking, batch_segments=3), **options)
    # Groups of 4 are cut in two; what is left over goes alone, as does the short last segment.
    most = 2 if group == 4 else 3
    sizes = [2] * 5 + [1] if group == 4 else [3, 3, 3, 1, 1]
    router = options.get("router", "fast")
    assert seen["predict"] == (sizes * batch.passes if router in ("fast", "elastic") else [])
    assert (one.batch_segments, batch.batch_segments) == (1, most)
    assert max(seen["encode"]) == most
    if router in ("exact", "fixed"):
        # The exact router codes everything to see its error, and then again.
        assert sorted(seen["encode"]) == sorted(sizes * (2 if router == "exact" else 1))
    if "rate" in options or not options.get("budget"):
        assert one.tokens == batch.tokens
        same_file(tmp_path / "one.itk", tmp_path / "batch.itk")
    assert (batch.segments, batch.frames) == (SEGMENTS, FRAMES)
    assert batch.tokens == pytest.approx(one.tokens, rel=0.01)


def test_frames_are_those_of_one_by_one(
    clip: Path, engine: MadeEngine, seen: dict[str, list[int]], tmp_path: Path
) -> None:
    path = tmp_path / "a.itk"
    encode(clip, path, engine())
    for wanted in (range(42), range(5, 18), range(41, 42)):
        alone = frames(path, engine(), wanted)
        seen["decode"].clear()
        together = frames(path, engine(batch_segments=3), wanted)
        assert alone.shape == together.shape == (len(wanted), 40, 48, 3)
        assert np.abs(alone - together).max() <= 1
    encode_report = decode_file(path, tmp_path / "a.mkv", engine(batch_segments=3), codec="ffv1")
    assert encode_report.batch_segments == 3
    assert seen["decode"][-5:] == [3, 3, 3, 1, 1]
    assert encode_report.frames == FRAMES


@pytest.mark.parametrize("batch", [1, 3])
def test_few_segments_are_held_at_once(
    batch: int,
    engine: MadeEngine,
    seen: dict[str, list[int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clip = make_video(tmp_path / "long.mkv", moving_shapes(120, 16, 16))
    model, read, held = engine(batch_segments=batch), [0], []
    plain = model.predicted_errors

    def pinned(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        read[0] += 1
        return pixels

    def predicted_errors(segments: Any) -> Any:
        held.append(read[0] - sum(seen["predict"]))
        return plain(segments)

    monkeypatch.setattr(model, "pinned", pinned)
    monkeypatch.setattr(model, "predicted_errors", predicted_errors)
    encode(clip, tmp_path / "a.itk", model)
    assert len(held) == 30 // batch
    # Those that go together, those that wait, and the one that is being read.
    assert max(held) <= 2 * batch + 1
    ahead_of_writing: list[int] = []

    class Watcher:
        def started(self, total: int | None) -> None:
            assert total == 120

        def done(self, frames: int, tokens: int | None = None) -> None:
            ahead_of_writing.append(sum(seen["decode"]) - frames // 4)

    decode_file(tmp_path / "a.itk", tmp_path / "a.mp4", model, progress=Watcher())
    assert max(ahead_of_writing) <= 2 * batch + 1


@pytest.mark.parametrize("router", ["fast", "exact"])
def test_deterministic_files_do_not_depend_on_the_batch(
    router: str, clip: Path, engine: MadeEngine, seen: dict[str, list[int]], tmp_path: Path
) -> None:
    made = []
    for number, settings in enumerate(({}, {"batch_segments": 3}, {"batch_segments": 8})):
        model = engine(deterministic=True, **settings)
        path, shown = tmp_path / f"{number}.itk", tmp_path / f"{number}.mkv"
        encode(clip, path, model, router=router)
        decode_file(path, shown, model, codec="ffv1")
        made.append((path.read_bytes(), frames(path, model).tobytes()))
    assert made[0] == made[1] == made[2]
    assert set(chain(*seen.values())) == {1}


def damaged(path: Path, numbers: tuple[int, ...]) -> None:
    """Change a byte of these segments' tokens."""
    with ItkReader(path) as reader:
        ends = [reader.index[number].offset + reader.index[number].length for number in numbers]
    whole = bytearray(path.read_bytes())
    for end in ends:
        whole[end - 9] ^= 255
    path.write_bytes(whole)


@pytest.mark.parametrize("bad", [(0,), (4,), (3, 4, 5), (10,), (0, 1, 2, 3)], ids=str)
def test_damage_is_skipped_in_its_place(
    bad: tuple[int, ...], clip: Path, engine: MadeEngine, tmp_path: Path
) -> None:
    path = tmp_path / "a.itk"
    encode(clip, path, engine())
    damaged(path, bad)
    shown, lost = [], []
    for settings in ({}, {"batch_segments": 3}):
        with ItkReader(path, recover=True) as reader:
            named: list[str] = []
            shown.append(
                np.concatenate(list(decoded_segments(reader, engine(**settings), range(FRAMES), named)))
            )
            lost.append(named)
    assert lost[0] == lost[1]
    assert len(lost[0]) == len(bad)
    assert len(shown[0]) == FRAMES
    assert np.abs(shown[0].astype(int) - shown[1]).max() <= 1


def test_what_comes_before_damage_is_shown_before_it_is_told(
    clip: Path, engine: MadeEngine, tmp_path: Path
) -> None:
    path = tmp_path / "a.itk"
    encode(clip, path, engine())
    damaged(path, (4,))
    with ItkReader(path) as reader:
        pieces = decoded_segments(reader, engine(batch_segments=3), range(FRAMES))
        for _ in range(4):
            assert len(next(pieces)) == 4
        with pytest.raises(InputError, match="segment 4"):
            next(pieces)


@pytest.mark.parametrize("name", ["predict", "tokens"])
def test_batches_are_halved_where_memory_is_short(
    name: str, clip: Path, engine: MadeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {name: 2}
    plain = getattr(Tokenizer, name)

    def short(self: Tokenizer, first: torch.Tensor, *more: Any) -> Any:
        if len(first) > limits[name]:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(self, first, *more)

    encode(clip, tmp_path / "one.itk", engine())
    monkeypatch.setattr(Tokenizer, name, short)
    model = engine(batch_segments=5)
    encode(clip, tmp_path / "halved.itk", model)
    same_file(tmp_path / "one.itk", tmp_path / "halved.itk")
    assert model.batch(30) == 2
    limits[name] = 0
    with pytest.raises(UsageError, match="too little memory for one segment"):
        encode(clip, tmp_path / "none.itk", engine(batch_segments=5))
    assert not (tmp_path / "none.itk").exists()
