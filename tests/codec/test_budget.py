"""Budgets are met by the file on disk, whether its segments are one group or many."""

from __future__ import annotations

import dataclasses
import io
import math
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from infotok_cli.allocation.budgets import Budget
from infotok_cli.allocation.fits import Fits
from infotok_cli.allocation.rate_scale import RateScale
from infotok_cli.blocks import token_grid
from infotok_cli.codec import groups
from infotok_cli.codec.encode import EncodeReport, encode_file
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.container.reader import ItkReader
from infotok_cli.errors import ModelError, UsageError
from infotok_cli.evaluate.measure import measure_clip
from infotok_cli.model.engine import Engine, choose_runtime
from infotok_cli.model.weights import load_model
from infotok_cli.routers import AllocationName
from made_fits import MADE_UP
from make_media import make_media, without_default_duration
from make_video import make_video, moving_shapes
from tiny_model import write_tiny_model

FRAMES, HEIGHT, WIDTH = 60, 64, 80
POSITIONS = FRAMES // 12 * math.prod(token_grid(12, HEIGHT, WIDTH))
GROUP_SIZES = {"one group": 1 << 19, "many groups": 3 * 4 * 8 * 10}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    write_tiny_model(path)
    scale = RateScale.fit([np.random.default_rng(1).gamma(9, 0.1, (4, 8, 10)).astype(np.float32)])
    loaded = dataclasses.replace(
        load_model(path),
        fits=Fits({"fast": MADE_UP, "exact": MADE_UP}, {"fast": scale, "exact": scale}),
    )
    return Engine(loaded, choose_runtime("cpu"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2.4 s that are still at first and busy at the end."""
    still = np.repeat(moving_shapes(1, HEIGHT, WIDTH), FRAMES // 2, axis=0)
    busy = np.random.default_rng(0).integers(0, 256, (FRAMES - FRAMES // 2, HEIGHT, WIDTH, 3), np.uint8)
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"
    return make_video(path, np.concatenate([still, busy]), rate=Fraction(25))


@pytest.fixture(params=sorted(GROUP_SIZES))
def group_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(groups, "GROUP_POSITIONS", GROUP_SIZES[request.param])
    return str(request.param)


def encode(clip: Path, folder: Path, engine: Engine, budget: Budget, **options: object) -> EncodeReport:
    wanted = EncodeOptions(budget=budget, segment_frames=12, **options)  # type: ignore[arg-type]
    report = encode_file(clip, folder / "out.itk", engine, wanted)
    with ItkReader(folder / "out.itk") as reader:
        assert sum(segment.tokens for segment in reader.segments()) == report.tokens
        assert reader.header.target_rate_ppm == 0
    assert (folder / "out.itk").stat().st_size == report.size_bytes
    assert report.frames == FRAMES
    return report


@pytest.mark.parametrize("allocation", ["block", "position"])
@pytest.mark.parametrize("tokens", [200, 501, 1111])
@pytest.mark.usefixtures("group_size")
def test_max_tokens(
    tokens: int, allocation: AllocationName, clip: Path, engine: Engine, tmp_path: Path
) -> None:
    report = encode(clip, tmp_path, engine, Budget("max-tokens", tokens), allocation=allocation)
    assert tokens - 4 <= report.tokens <= tokens


def test_reads_twice_only_what_is_longer_than_a_group(
    group_size: str, clip: Path, engine: Engine, tmp_path: Path
) -> None:
    passes = {
        kind: encode(clip, tmp_path / kind, engine, Budget(kind, value)).passes
        for kind, value in whole_and_running_budgets(tmp_path)
    }
    whole = 2 if group_size == "many groups" else 1
    assert passes == {"max-tokens": whole, "target-size": whole, "bitrate": 1, "tokens-per-second": 1}


def whole_and_running_budgets(folder: Path) -> list[tuple[str, float]]:
    budgets: list[tuple[str, float]] = [
        ("max-tokens", 600),
        ("target-size", 1500),
        ("bitrate", 5000),
        ("tokens-per-second", 250),
    ]
    for kind, _ in budgets:
        (folder / kind).mkdir()
    return budgets


def test_a_second_pass_spends_where_the_whole_video_needs_it(
    clip: Path, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def per_segment(size: int) -> list[int]:
        monkeypatch.setattr(groups, "GROUP_POSITIONS", size)
        (tmp_path / str(size)).mkdir()
        encode(clip, tmp_path / str(size), engine, Budget("max-tokens", 600))
        with ItkReader(tmp_path / str(size) / "out.itk") as reader:
            return [segment.tokens for segment in reader.segments()]

    at_once, in_groups = (per_segment(size) for size in GROUP_SIZES.values())
    assert np.abs(np.subtract(at_once, in_groups)).max() <= 16


@pytest.mark.parametrize("allocation", ["block", "position"])
@pytest.mark.parametrize("size_bytes", [1200, 2000, 2600])
@pytest.mark.usefixtures("group_size")
def test_target_size(
    size_bytes: int, allocation: AllocationName, clip: Path, engine: Engine, tmp_path: Path
) -> None:
    report = encode(clip, tmp_path, engine, Budget("target-size", size_bytes), allocation=allocation)
    assert size_bytes - 24 <= report.size_bytes <= size_bytes


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight segments of 12 frames and one of 4."""
    noise = np.random.default_rng(0).normal(0, 6, (100, HEIGHT, WIDTH, 3))
    pictures = np.clip(moving_shapes(100, HEIGHT, WIDTH) + noise, 0, 255).astype(np.uint8)
    return make_video(tmp_path_factory.mktemp("long") / "clip.mkv", pictures, rate=Fraction(25))


@pytest.mark.parametrize("allocation", ["block", "position"])
def test_target_size_with_a_last_group_too_short_to_make_up_for_a_miss(
    allocation: AllocationName,
    long_clip: Path,
    engine: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(groups, "GROUP_POSITIONS", GROUP_SIZES["many groups"])

    def size(**options: object) -> int:
        wanted = EncodeOptions(segment_frames=12, allocation=allocation, **options)  # type: ignore[arg-type]
        return encode_file(long_clip, tmp_path / "out.itk", engine, wanted, overwrite=True).size_bytes

    def floor_size() -> int:
        with pytest.raises(UsageError, match="below the least of about") as refused:
            size(budget=Budget("target-size", 400))
        return int(str(refused.value).split("about ")[1].split()[0])

    least, most = floor_size(), size(rate=1)
    for share in (0, 0.01, 0.1, 0.35, 0.9):
        wanted = round(least + share * (most - least))
        got = size(budget=Budget("target-size", wanted))
        assert wanted - max(24, 0.004 * wanted) <= got <= wanted, (share, least, most)
    with pytest.raises(UsageError, match=f"target-size {least - 1} is below the least of about {least} "):
        size(budget=Budget("target-size", least - 1))


@pytest.mark.usefixtures("group_size")
def test_tokens_per_second(clip: Path, engine: Engine, tmp_path: Path) -> None:
    report = encode(clip, tmp_path, engine, Budget("tokens-per-second", 300))
    assert report.tokens == pytest.approx(300 * FRAMES / 25, abs=4)


@pytest.mark.parametrize("router", ["fast", "exact", "fixed"])
@pytest.mark.usefixtures("group_size")
def test_bitrate(router: str, clip: Path, engine: Engine, tmp_path: Path) -> None:
    report = encode(clip, tmp_path, engine, Budget("bitrate", 6000), router=router)
    allowed = 6000 / 8 * FRAMES / 25
    assert allowed - 24 <= report.size_bytes <= allowed


@pytest.mark.parametrize("kind", ["max-tokens", "tokens-per-second", "bitrate", "target-size"])
@pytest.mark.usefixtures("group_size")
def test_more_than_enough_keeps_everything(kind: str, clip: Path, engine: Engine, tmp_path: Path) -> None:
    assert encode(clip, tmp_path, engine, Budget(kind, 1e9)).tokens == POSITIONS


@pytest.mark.parametrize("kind", ["max-tokens", "tokens-per-second", "bitrate", "target-size"])
def test_too_little_is_refused_and_nothing_is_written(
    kind: str, group_size: str, clip: Path, engine: Engine, tmp_path: Path
) -> None:
    """The least that is named can be had, but where it is said to be that of the first of several groups."""
    with pytest.raises(UsageError, match=rf"{kind} .* below the least of .*: give more, or a ") as told:
        encode(clip, tmp_path, engine, Budget(kind, 20))
    assert not list(tmp_path.iterdir())
    of_a_start = told.value.what.endswith(" s of this video, and the rest may take more")
    assert of_a_start == (kind == "bitrate" and group_size != "one group")
    least = float(told.value.what.split("the least of ")[1].removeprefix("about ").split()[0])
    if not of_a_start:
        report = encode(clip, tmp_path, engine, Budget(kind, least))
        assert report.token_rate == pytest.approx(0.125, abs=0.01)


@pytest.mark.usefixtures("group_size")
def test_a_bitrate_below_the_floor_is_refused(clip: Path, engine: Engine, tmp_path: Path) -> None:
    """The least that is named can be had."""
    with pytest.raises(
        UsageError, match=r"bitrate 1500 is below the least of about \d+ bits .*: give"
    ) as told:
        encode(clip, tmp_path, engine, Budget("bitrate", 1500))
    assert not list(tmp_path.iterdir())
    least = int(str(told.value).split("about ")[1].split()[0])
    assert least > 1500
    report = encode(clip, tmp_path, engine, Budget("bitrate", least))
    assert report.size_bytes <= least / 8 * FRAMES / 25


def test_what_cannot_be_had_is_warned_of(clip: Path, engine: Engine, tmp_path: Path) -> None:
    """Eight frames: three latent steps with the lead, the last of them in blocks that are cut."""

    def warned(**options: object) -> tuple[str, ...]:
        wanted = EncodeOptions(end_seconds=0.32, **options)  # type: ignore[arg-type]
        report = encode_file(clip, tmp_path / "out.itk", engine, wanted, overwrite=True)
        return tuple(map(str, report.warnings))

    assert warned(rate=0.125) == ("rate 0.125 was asked for, 0.167 is the least this video can have",)
    assert not warned(rate=0.17)
    (told,) = warned(budget=Budget("target-psnr", 100))
    assert re.fullmatch(
        r"target-psnr 100 was asked for, \d+\.\d dB is the most this model can give here", told
    )


def test_a_bitrate_that_sound_alone_exceeds_is_refused(engine: Engine, tmp_path: Path) -> None:
    source = make_media(tmp_path / "clip.mkv", frames=FRAMES, size=(HEIGHT, WIDTH))
    wanted = EncodeOptions(budget=Budget("bitrate", 8000), segment_frames=12, audio=True)
    with pytest.raises(
        UsageError, match=r"bitrate 8000 is below the least of about 13\d{4} .*sound out \(audio\)"
    ):
        encode_file(source, tmp_path / "out.itk", engine, wanted)
    assert not (tmp_path / "out.itk").exists()
    silent = dataclasses.replace(wanted, audio=False)
    assert not encode_file(source, tmp_path / "out.itk", engine, silent).warnings


def test_into_a_pipe_a_bitrate_below_the_floor_is_warned_of(
    clip: Path, engine: Engine, tmp_path: Path
) -> None:
    stream = io.BytesIO()
    wanted = EncodeOptions(budget=Budget("bitrate", 1500), segment_frames=12)
    report = encode_file(clip, stream, engine, wanted)
    (warning,) = report.warnings
    assert "bitrate 1500 is below the least of about" in str(warning)
    (tmp_path / "out.itk").write_bytes(stream.getvalue())
    with ItkReader(tmp_path / "out.itk") as reader:
        assert reader.total_frames == FRAMES


def test_every_segment_of_a_short_clip_is_a_sample(engine: Engine, tmp_path: Path) -> None:
    """An untrained model makes still and busy parts unlike: the first tells nothing of the rest."""
    still = np.repeat(moving_shapes(1, HEIGHT, WIDTH), 16, axis=0)
    busy = np.random.default_rng(0).integers(0, 256, (48, HEIGHT, WIDTH, 3), np.uint8)
    for count in (32, 64):
        pictures = np.concatenate([still, busy])[:count]
        path = make_video(tmp_path / f"{count}.mkv", pictures, rate=Fraction(25))
        wanted = EncodeOptions(budget=Budget("target-psnr", 40), segment_frames=16)
        expected = encode_file(path, tmp_path / f"{count}.itk", engine, wanted).predicted_psnr_db
        assert expected == pytest.approx(measure_clip(path, engine, wanted).psnr_db, abs=0.01)


@pytest.mark.usefixtures("group_size")
def test_target_psnr_measures_samples_of_the_video(clip: Path, engine: Engine, tmp_path: Path) -> None:
    """An untrained model gives the same bad quality at all rates: what is expected is what was seen."""
    report = encode(clip, tmp_path, engine, Budget("target-psnr", 40))
    assert report.tokens == POSITIONS
    assert report.predicted_psnr_db is not None
    assert 5 < report.predicted_psnr_db < 20


@pytest.mark.parametrize(("kind", "value"), [("target-psnr", 20), ("calibrated-rate", 0.5)])
def test_some_budgets_need_a_fitted_model(
    kind: str, value: float, clip: Path, engine: Engine, tmp_path: Path
) -> None:
    bare = Engine(dataclasses.replace(engine.loaded, fits=Fits()), engine.runtime)
    with pytest.raises(ModelError, match=f"has no fit for {kind} with router fast: fit"):
        encode(clip, tmp_path, bare, Budget(kind, value))


def encode_alone(rate: float, clip: Path, engine: Engine, folder: Path) -> list[int]:
    encode(clip, folder, engine, Budget("calibrated-rate", rate))
    with ItkReader(folder / "out.itk") as reader:
        return [segment.tokens for segment in reader.segments()]


def test_a_calibrated_rate_looks_at_no_other_segment(
    clip: Path, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = []
    for size in GROUP_SIZES.values():
        monkeypatch.setattr(groups, "GROUP_POSITIONS", size)
        (tmp_path / str(size)).mkdir()
        counts.append(encode_alone(0.4, clip, engine, tmp_path / str(size)))
    at_once, in_groups = counts
    assert at_once == in_groups
    (tmp_path / "whole").mkdir()
    whole = encode_alone(1.0, clip, engine, tmp_path / "whole")
    least = encode_alone(0.125, clip, engine, tmp_path)
    assert sum(whole) == POSITIONS
    assert all(low <= middle <= high for low, middle, high in zip(least, at_once, whole, strict=True))
    assert sum(least) < sum(at_once) < sum(whole)


@pytest.mark.parametrize("piped", [False, True])
@pytest.mark.parametrize(("kind", "value"), [("tokens-per-second", 150), ("bitrate", 4000)])
@pytest.mark.usefixtures("group_size")
def test_what_is_spread_over_time_is_spread_over_the_times_of_frames(
    kind: str, value: float, engine: Engine, tmp_path: Path, *, piped: bool
) -> None:
    """As a browser records: no frame rate, and slower at the end than the start of a pipe lets expect."""
    steps = [30, 36, 42] * 12 + [90, 100, 110] * 8
    ticks = [sum(steps[:count]) for count in range(FRAMES)]
    path = without_default_duration(
        make_media(
            tmp_path / "clip.mkv",
            frames=FRAMES,
            size=(HEIGHT, WIDTH),
            ticks=ticks,
            time_base=Fraction(1, 1000),
            sound=None,
        )
    )
    wanted = EncodeOptions(budget=Budget(kind, value), segment_frames=12)
    with path.open("rb") as file:
        report = encode_file(file if piped else path, tmp_path / "out.itk", engine, wanted)
    assert report.duration_seconds == pytest.approx(sum(steps) / 1000, abs=0.1)
    assert report.frame_rate == pytest.approx(20 if piped else 1000 * FRAMES / sum(steps), rel=0.4)
    spent = report.tokens if kind == "tokens-per-second" else 8 * report.size_bytes
    assert spent == pytest.approx(value * report.duration_seconds, rel=0.06)
