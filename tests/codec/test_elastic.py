"""The elastic router: prefixes of equal error, found with few trials, that meet the rate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from infotok_cli.allocation.elastic import LENGTHS, allocate_prefixes
from infotok_cli.blocks import Grid, shortest_prefix
from infotok_cli.codec.decode import decode_file
from infotok_cli.codec.encode import encode_file
from infotok_cli.codec.load_engine import load_engine
from infotok_cli.codec.trials import PrefixErrors
from infotok_cli.config import EncodeOptions
from infotok_cli.container.reader import ItkReader
from infotok_cli.entropy.keep_map import unpack_keep
from infotok_cli.errors import UsageError
from infotok_cli.model.engine import Engine
from make_video import make_video, moving_shapes
from tiny_model import write_tiny_model


class Curve:
    """A segment of 512 positions whose error is `scale / tokens`, with steps of noise if asked for."""

    grid: Grid = (2, 16, 16)

    def __init__(self, scale: float, noise: float = 0.0) -> None:
        self.scale = scale
        self.asked: list[int] = []
        self._noise = np.random.default_rng(round(scale)).normal(0, noise, 513)

    def error(self, tokens: int) -> float:
        self.asked.append(tokens)
        return float(self.scale / tokens * np.exp(self._noise[tokens]))


@pytest.mark.parametrize("rate", [0.125, 0.3, 0.5, 0.77, 0.99])
def test_rate_is_met_to_the_token_by_prefixes_of_equal_error(rate: float) -> None:
    segments = [Curve(scale) for scale in (1, 10, 30, 40, 100)]
    allocations = allocate_prefixes(segments, rate)
    assert sum(allocation.tokens for allocation in allocations) == int(rate * 5 * 512 + 0.5)
    floor, step = shortest_prefix(512), -(-512 // LENGTHS)
    for segment, allocation in zip(segments, allocations, strict=True):
        assert allocation.levels is None
        assert allocation.keep.ravel()[: allocation.tokens].all()
        assert floor <= allocation.tokens <= 512
        # Kept answers, few questions: a search of all lengths would ask 65 times.
        assert len(segment.asked) == len(set(segment.asked)) < 32
    # Nobody has an error above the common one while somebody else could do with a step less.
    errors = [
        curve.scale / allocation.tokens for curve, allocation in zip(segments, allocations, strict=True)
    ]
    for worse, allocation in zip(errors, allocations, strict=True):
        for curve, other in zip(segments, allocations, strict=True):
            shorter = other.tokens - 3 * step
            if allocation.tokens < 512 and shorter >= floor:
                assert curve.scale / shorter > worse


def test_errors_that_do_not_fall_steadily_still_meet_the_rate() -> None:
    segments = [Curve(scale, noise=0.3) for scale in range(1, 9)]
    for rate in (0.2, 0.5, 0.9):
        assert sum(a.tokens for a in allocate_prefixes(segments, rate)) == int(rate * 8 * 512 + 0.5)


def test_the_whole_sequence_needs_no_trial() -> None:
    segment = Curve(1)
    assert allocate_prefixes([segment], 1.0)[0].keep.all()
    assert not segment.asked


def test_a_floor_above_the_rate_wins() -> None:
    class OnePosition(Curve):
        grid = (1, 1, 1)

    assert [a.tokens for a in allocate_prefixes([OnePosition(1), OnePosition(2)], 0.125)] == [1, 1]


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
    assert options.allocation == "position"
    report = encode_file(video, tmp_path / "a.itk", engine, options)
    assert (report.segments, report.positions) == (3, 2 * 2 * 30 + 30)
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
    analysis = engine.analyze(frames)
    errors = PrefixErrors(engine, frames, analysis)
    keep = np.arange(2 * 3 * 3).reshape(2, 3, 3) < 7
    shown = engine.reconstruct(engine.compress(analysis, keep), keep, 6, 20, 24)
    assert errors.grid == (2, 3, 3)
    expected = np.mean((shown.astype(np.float64) - frames) ** 2)
    assert errors.error(7) == pytest.approx(expected)
    assert errors.error(18) != pytest.approx(expected)


def test_routers_and_weights_must_fit(engine: Engine, video: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--router fast needs weights that know scattered"):
        encode_file(video, tmp_path / "a.itk", engine, EncodeOptions(rate=0.5))
    write_tiny_model(tmp_path / "plain.safetensors")
    plain = load_engine(str(tmp_path / "plain.safetensors"), "cpu")
    with pytest.raises(UsageError, match="tiny was not: choose fast, exact or fixed"):
        encode_file(video, tmp_path / "a.itk", plain, EncodeOptions(rate=0.5, router="elastic"))
    assert not (tmp_path / "a.itk").exists()
    # With all tokens kept there is nothing to know.
    assert encode_file(video, tmp_path / "a.itk", engine, EncodeOptions(rate=1.0)).token_rate == 1
