"""Budgets are met by the file on disk, whether its segments are one group or many."""

from __future__ import annotations

import dataclasses
import io
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from infotok_cli.allocation.allocate import Allocation, allocate
from infotok_cli.allocation.budgets import BitratePlanner, TargetSizePlanner
from infotok_cli.allocation.fits import Fits
from infotok_cli.allocation.planner import Group, Written
from infotok_cli.allocation.rate_scale import RateScale
from infotok_cli.codec import groups
from infotok_cli.codec.encode import EncodeReport, encode_file
from infotok_cli.config import Budget, BudgetKind, EncodeOptions
from infotok_cli.container.reader import ItkReader
from infotok_cli.errors import ModelError, UsageError
from infotok_cli.evaluate.measure import measure_clip
from infotok_cli.model.engine import Engine, choose_runtime
from infotok_cli.model.weights import load_model
from infotok_cli.routers import AllocationName
from make_itk import itk_header
from make_media import make_media, without_default_duration
from make_video import make_video, moving_shapes
from tiny_model import MADE_UP, write_tiny_model

FRAMES, HEIGHT, WIDTH = 60, 64, 80
POSITIONS = FRAMES // 4 * (HEIGHT // 8) * (WIDTH // 8)
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
    wanted = EncodeOptions(budget=budget, segment_frames=16, **options)  # type: ignore[arg-type]
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


def whole_and_running_budgets(folder: Path) -> list[tuple[BudgetKind, float]]:
    budgets: list[tuple[BudgetKind, float]] = [
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


@pytest.mark.parametrize("costs", [(1, 2) * 6, (2, 1) * 6, (1, 1.5, 2, 1.2, 2, 1) * 2])
def test_target_size_over_groups_whose_tokens_cost_unlike_bytes(
    costs: tuple[float, ...],
) -> None:
    """Equal errors should get about equal tokens, though only coding a group shows what its tokens cost."""
    random = np.random.default_rng(0)
    errors = [random.gamma(1, 0.05, (8, 16, 20)).astype(np.float32) for _ in costs]
    film = [Group([error], [32]) for error in errors]

    def cost(factor: float, chosen: list[Allocation]) -> Written:
        (only,) = chosen
        token_bytes = int(factor * 2 * only.tokens**0.75)
        return Written(1, only.keep.size, tokens=only.tokens, map_bytes=30, token_bytes=token_bytes)

    even = [
        cost(factor, allocate([error], "block", 0.4)) for factor, error in zip(costs, errors, strict=True)
    ]
    size_bytes = sum(written.size_bytes for written in even) + 400
    planner = TargetSizePlanner(itk_header(token_coding=1), size_bytes)
    for factor, group in zip(costs, film, strict=True):
        planner.survey(group, lambda tried, factor=factor: cost(factor, tried))  # type: ignore[misc]
    spent = []
    for factor, group in zip(costs, film, strict=True):
        chosen = planner.plan(group, lambda tried, factor=factor: cost(factor, tried))  # type: ignore[misc]
        spent.append(cost(factor, chosen))
        planner.wrote(spent[-1])
    total = sum(written.size_bytes for written in spent)
    assert 0.98 * size_bytes - 400 < total < size_bytes
    tokens = [written.tokens for written in spent]
    assert max(tokens) / min(tokens) < 2.7, tokens


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six segments of 16 frames and one of 4."""
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
        wanted = EncodeOptions(segment_frames=16, allocation=allocation, **options)  # type: ignore[arg-type]
        return encode_file(long_clip, tmp_path / "out.itk", engine, wanted, overwrite=True).size_bytes

    def floor_size() -> int:
        with pytest.raises(UsageError, match="below the least of about") as refused:
            size(budget=Budget("target-size", 400))
        return int(str(refused.value).split("about ")[1].split()[0])

    least, most = floor_size(), size(rate=1)
    for share in (0, 0.01, 0.03, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9):
        wanted = round(least + share * (most - least))
        got = size(budget=Budget("target-size", wanted))
        assert wanted - max(24, 0.004 * wanted) <= got <= wanted, (share, least, most)
    with pytest.raises(UsageError, match=f"--target-size {least - 1} is below the least of about {least} "):
        size(budget=Budget("target-size", least - 1))


def test_target_size_keeps_the_floor_for_dear_groups_at_the_end() -> None:
    """What comes first looks as if it could have it all."""
    random = np.random.default_rng(0)
    errors = [random.gamma(1, 0.05, (8, 16, 20)).astype(np.float32) for _ in range(5)]
    factors = (1, 1, 1, 6, 6)

    def cost(factor: int, chosen: list[Allocation]) -> Written:
        tokens = chosen[0].tokens
        return Written(1, chosen[0].keep.size, tokens, map_bytes=30, token_bytes=int(factor * tokens**0.75))

    least = [
        cost(factor, allocate([error], "block", 0)).size_bytes
        for factor, error in zip(factors, errors, strict=True)
    ]
    for more in (1.0, 1.1, 1.5):
        planner = TargetSizePlanner(itk_header(token_coding=1), 400 + int(more * sum(least)))
        left = planner.left
        for factor, error in zip(factors, errors, strict=True):
            planner.survey(Group([error], [32]), lambda tried, factor=factor: cost(factor, tried))  # type: ignore[misc]
        for factor, error in zip(factors, errors, strict=True):
            group = Group([error], [32])
            chosen = planner.plan(group, lambda tried, factor=factor: cost(factor, tried))  # type: ignore[misc]
            planner.wrote(cost(factor, chosen))
        assert 0 <= planner.left <= 0.01 * left


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
def test_more_than_enough_keeps_everything(
    kind: BudgetKind, clip: Path, engine: Engine, tmp_path: Path
) -> None:
    assert encode(clip, tmp_path, engine, Budget(kind, 1e9)).tokens == POSITIONS


@pytest.mark.parametrize("kind", ["max-tokens", "tokens-per-second", "bitrate", "target-size"])
@pytest.mark.usefixtures("group_size")
def test_too_little_is_refused_and_nothing_is_written(
    kind: BudgetKind, clip: Path, engine: Engine, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=rf"--{kind} .* below the least of .*: give more, or a "):
        encode(clip, tmp_path, engine, Budget(kind, 20))
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("group_size")
def test_a_bitrate_below_the_floor_is_refused(clip: Path, engine: Engine, tmp_path: Path) -> None:
    """The least that is named can be had."""
    with pytest.raises(
        UsageError, match=r"--bitrate 1500 is below the least of about \d+ bits .*: give"
    ) as told:
        encode(clip, tmp_path, engine, Budget("bitrate", 1500))
    assert not list(tmp_path.iterdir())
    least = int(str(told.value).split("about ")[1].split()[0])
    assert least > 1500
    report = encode(clip, tmp_path, engine, Budget("bitrate", least))
    assert report.size_bytes <= least / 8 * FRAMES / 25


def test_a_bitrate_that_sound_alone_exceeds_is_refused(engine: Engine, tmp_path: Path) -> None:
    source = make_media(tmp_path / "clip.mkv", frames=FRAMES, size=(HEIGHT, WIDTH))
    wanted = EncodeOptions(budget=Budget("bitrate", 8000), segment_frames=16, audio=True)
    with pytest.raises(UsageError, match=r"--bitrate 8000 is below the least of about 135\d{3} .*--no-audio"):
        encode_file(source, tmp_path / "out.itk", engine, wanted)
    assert not (tmp_path / "out.itk").exists()
    silent = dataclasses.replace(wanted, audio=False)
    assert not encode_file(source, tmp_path / "out.itk", engine, silent).warnings


def test_into_a_pipe_a_bitrate_below_the_floor_is_warned_of(
    clip: Path, engine: Engine, tmp_path: Path
) -> None:
    stream = io.BytesIO()
    wanted = EncodeOptions(budget=Budget("bitrate", 1500), segment_frames=16)
    report = encode_file(clip, stream, engine, wanted)
    (warning,) = report.warnings
    assert "bitrate 1500 is below the least of about" in str(warning)
    (tmp_path / "out.itk").write_bytes(stream.getvalue())
    with ItkReader(tmp_path / "out.itk") as reader:
        assert reader.total_frames == FRAMES


def test_a_bitrate_that_only_the_end_exceeds_is_no_least() -> None:
    """What easy parts took was theirs; another budget looks ahead."""
    errors = [np.random.default_rng(5).gamma(1, 0.05, (8, 16, 20)).astype(np.float32)]
    planner = BitratePlanner(itk_header(token_coding=1), Budget("bitrate", 16000))
    for factor in (1, 1, 20, 20):

        def cost(chosen: list[Allocation], factor: int = factor) -> Written:
            return Written(1, chosen[0].keep.size, chosen[0].tokens, 30, factor * chosen[0].tokens)

        planner.wrote(cost(planner.plan(Group(errors, [32], seconds=Fraction(1)), cost)))
    spent = 8000 - int(planner.credit)
    with pytest.raises(UsageError, match=r"--bitrate 16000 became 33940, .*, or --target-size 8000, which"):
        planner.check(spent)
    planner.check(8000 + planner.fixed_bytes)


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
    kind: BudgetKind, value: float, clip: Path, engine: Engine, tmp_path: Path
) -> None:
    bare = Engine(dataclasses.replace(engine.loaded, fits=Fits()), engine.runtime)
    with pytest.raises(ModelError, match=f"cannot tell what --{kind} takes"):
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
    kind: BudgetKind, value: float, engine: Engine, tmp_path: Path, *, piped: bool
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
    wanted = EncodeOptions(budget=Budget(kind, value), segment_frames=16)
    with path.open("rb") as file:
        report = encode_file(file if piped else path, tmp_path / "out.itk", engine, wanted)
    assert report.duration_seconds == pytest.approx(sum(steps) / 1000, abs=0.1)
    assert report.frame_rate == pytest.approx(20 if piped else 1000 * FRAMES / sum(steps), rel=0.4)
    spent = report.tokens if kind == "tokens-per-second" else 8 * report.size_bytes
    assert spent == pytest.approx(value * report.duration_seconds, rel=0.06)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_budget_is_a_positive_number(value: float) -> None:
    with pytest.raises(UsageError, match=r"--bitrate .* positive number of bits per second"):
        Budget("bitrate", value)


@pytest.mark.parametrize(
    ("options", "words"), [({"router": "fixed"}, "--router"), ({"allocation": "position"}, "--allocation")]
)
@pytest.mark.parametrize(("kind", "value"), [("target-psnr", 30), ("calibrated-rate", 0.5)])
def test_fitted_budgets_name_what_they_cannot_go_with(
    kind: BudgetKind, value: float, options: dict[str, str], words: str
) -> None:
    with pytest.raises(UsageError, match=f"--{kind} .*{words}"):
        EncodeOptions(budget=Budget(kind, value), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0.1, 1.5])
def test_a_calibrated_rate_is_a_rate(value: float) -> None:
    with pytest.raises(UsageError, match=r"--calibrated-rate .* out of range: choose 0.125 to 1"):
        Budget("calibrated-rate", value)
