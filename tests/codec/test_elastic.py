"""The elastic router in the codec: files hold prefixes, errors are those of the decoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from infotok_cli.allocation.budgets import Budget
from infotok_cli.codec.decode import decode_file
from infotok_cli.codec.encode import encode_file
from infotok_cli.codec.load_engine import load_engine
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.codec.trials import PrefixErrors
from infotok_cli.container.reader import ItkReader
from infotok_cli.entropy.keep_map import unpack_keep
from infotok_cli.errors import UsageError
from infotok_cli.model.engine import Engine
from make_video import make_video, moving_shapes
from tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    path = tmp_path_factory.mktemp("model") / "elastic.safetensors"
    write_tiny_model(path, masking="elastic")
    return load_engine(str(path), "cpu")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("video") / "clip.mp4", moving_shapes(20, 40, 48))


def test_files_hold_prefixes_and_decode(engine: Engine, video: Path, tmp_path: Path) -> None:
    options = EncodeOptions(rate=0.4, router="elastic", segment_frames=8)
    assert options.allocation_kind == "position"
    report = encode_file(video, tmp_path / "a.itk", engine, options)
    assert (report.segments, report.positions) == (3, 2 * 3 * 30 + 2 * 30)
    assert report.tokens == int(0.4 * report.positions + 0.5)
    with ItkReader(tmp_path / "a.itk") as reader:
        assert (reader.header.router, reader.header.allocation) == ("elastic", "position")
        for number in range(3):
            segment = reader.read_segment(number)
            grid = reader.header.grid(segment.frames)
            keep = unpack_keep(segment.map_payload, "position", grid).ravel()
            assert keep[: segment.tokens].all()
            assert not keep[segment.tokens :].any()
    assert decode_file(tmp_path / "a.itk", tmp_path / "a.mp4", engine).frames == 20


def test_errors_are_those_of_the_decoded_picture(engine: Engine) -> None:
    frames = moving_shapes(6, 20, 24)
    footage = engine.footage(frames)
    errors = PrefixErrors(engine, footage)
    keep = np.arange(3 * 3 * 3).reshape(3, 3, 3) < 7
    shown = engine.decode(engine.encode(footage, keep).tokens, 6, 20, 24)
    assert errors.grid == (3, 3, 3)
    expected = np.mean((shown.astype(np.float64) - frames) ** 2)
    assert errors.error(7) == pytest.approx(expected)
    assert errors.error(27) != pytest.approx(expected)


def test_routers_and_weights_must_fit(engine: Engine, video: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="router fast needs weights trained with masking error"):
        encode_file(video, tmp_path / "a.itk", engine, EncodeOptions(rate=0.5))
    write_tiny_model(tmp_path / "plain.safetensors")
    plain = load_engine(str(tmp_path / "plain.safetensors"), "cpu")
    with pytest.raises(
        UsageError, match="tiny was trained with masking error: choose router fast or exact or fixed"
    ):
        encode_file(video, tmp_path / "a.itk", plain, EncodeOptions(rate=0.5, router="elastic"))
    with pytest.raises(UsageError, match="router fast needs weights trained with masking error"):
        encode_file(video, tmp_path / "a.itk", engine, EncodeOptions(rate=1, budget=Budget("bitrate", 9000)))
    assert not (tmp_path / "a.itk").exists()
    # With all tokens kept there is nothing to know.
    assert encode_file(video, tmp_path / "a.itk", engine, EncodeOptions(rate=1.0)).token_rate == 1
