"""How long an encode is said to take, by trials whose time is counted here, not measured."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest

from infotok_cli.allocation.budgets import Budget
from infotok_cli.blocks import token_grid
from infotok_cli.codec import running_time
from infotok_cli.codec.encode import dry_run, encode_file
from infotok_cli.codec.endpoints import FileInput, StreamOutput
from infotok_cli.codec.job import EncodeJob
from infotok_cli.codec.options import EncodeOptions
from infotok_cli.codec.running_time import expected_seconds
from infotok_cli.errors import InputError, UsageError
from infotok_cli.model.engine import Engine, choose_runtime
from infotok_cli.model.weights import load_model
from infotok_cli.video.video_info import scaled_size
from make_video import make_video, moving_shapes
from tiny_model import write_tiny_model

SECONDS_PER_POSITION = 0.001
HEIGHT, WIDTH, FRAMES = 40, 64, 200


def positions(frames: int, height: int, width: int) -> int:
    """Of all segments, which have 60 frames."""
    whole, rest = divmod(frames, 60)
    last = math.prod(token_grid(rest, height, width)) if rest else 0
    return whole * math.prod(token_grid(60, height, width)) + last


POSITIONS = positions(FRAMES, HEIGHT, WIDTH)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    write_tiny_model(path)
    return Engine(load_model(path), choose_runtime("cpu"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pictures = moving_shapes(FRAMES, HEIGHT, WIDTH)
    return make_video(tmp_path_factory.mktemp("clip") / "clip.mkv", pictures, rate=20)


class Trials:
    """Stands for an encoder, on a clock that its positions move on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[EncodeOptions] = []
        self.refuses_budgets = self.is_damaged = False
        self.factor_of_budgets = 1
        self._now = 0.0
        monkeypatch.setattr(running_time.time, "perf_counter", lambda: self._now)

    def encode(
        self, given: FileInput, made: StreamOutput, engine: Engine, options: EncodeOptions, progress: None
    ) -> None:
        self.asked.append(options)
        if self.is_damaged:
            raise InputError("is damaged")
        if self.refuses_budgets and options.budget is not None:
            raise UsageError("cannot be met")
        width, height = scaled_size(WIDTH, HEIGHT, options.short_side)
        assert options.frames is not None
        factor = 1 if options.budget is None else self.factor_of_budgets
        self._now += factor * SECONDS_PER_POSITION * positions(options.frames, height, width)


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> Trials:
    return Trials(monkeypatch)


def told(clip: Path, engine: Engine, trials: Trials, options: EncodeOptions) -> float | None:
    given = FileInput(clip)
    with given.glimpse() as video:
        return expected_seconds(given, EncodeJob.of(video, engine, options, is_live=False), trials.encode)


def test_the_time_follows_from_a_trial(clip: Path, engine: Engine, trials: Trials) -> None:
    options = EncodeOptions(start_seconds=1.0)
    seconds = told(clip, engine, trials, options)
    assert seconds == pytest.approx(SECONDS_PER_POSITION * POSITIONS * 180 / FRAMES, rel=0.03)
    assert [asked.frames for asked in trials.asked] == [180, 180]
    assert all((asked.start_seconds, asked.audio) == (None, False) for asked in trials.asked)


def test_trials_of_large_frames_are_made_smaller(clip: Path, engine: Engine, trials: Trials) -> None:
    options = EncodeOptions(short_side=2000)
    seconds = told(clip, engine, trials, options)
    assert seconds == pytest.approx(SECONDS_PER_POSITION * positions(FRAMES, 2000, 3200), rel=0.05)
    assert [asked.frames for asked in trials.asked] == [4, 4]
    assert trials.asked[0].short_side in range(180, 220)
    assert trials.asked[1].short_side in range(380, 430)


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (Budget("target-psnr", 25), EncodeOptions(budget=Budget("target-psnr", 25))),
        (Budget("target-size", 5000), EncodeOptions(budget=Budget("bitrate", 4000))),
        (Budget("max-tokens", POSITIONS / 4), EncodeOptions(rate=0.25)),
        (Budget("max-tokens", 1), EncodeOptions(rate=0.125)),
    ],
)
def test_a_trial_spends_as_much_of_a_second(
    clip: Path, engine: Engine, trials: Trials, budget: Budget, expected: EncodeOptions
) -> None:
    assert told(clip, engine, trials, EncodeOptions(budget=budget)) is not None
    asked = trials.asked[0]
    assert (asked.budget, asked.rate) == (expected.budget, expected.rate)


def test_segments_that_are_not_tried_take_less(clip: Path, engine: Engine, trials: Trials) -> None:
    """Seven segments, of which two are decoded."""
    options = EncodeOptions(budget=Budget("target-psnr", 25), segment_frames=32)
    plain = told(clip, engine, trials, EncodeOptions(segment_frames=32))
    trials.factor_of_budgets = 8
    seconds = told(clip, engine, trials, options)
    assert plain is not None
    assert seconds == pytest.approx(plain * (1 + 7 * 2 / 7))


def test_a_second_pass_counts(
    clip: Path, engine: Engine, trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = EncodeOptions(budget=Budget("max-tokens", 1000))
    once = told(clip, engine, trials, options)
    monkeypatch.setattr("infotok_cli.codec.groups.GROUP_POSITIONS", 500)
    assert once is not None
    assert told(clip, engine, trials, options) == pytest.approx(2 * once)


@pytest.mark.parametrize(("segments", "passes"), [(5, 1), (4, 2), (3, 2)])
def test_what_is_read_twice_is_told_twice(
    segments: int, passes: int, clip: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where the clip's 4 segments are fewer than a group, fill one, or are more."""
    monkeypatch.setattr("infotok_cli.codec.groups.file_group_size", lambda *_: segments)
    options = EncodeOptions(budget=Budget("max-tokens", 1000))
    assert encode_file(clip, tmp_path / "a.itk", engine, options).passes == passes
    with FileInput(clip).glimpse() as video:
        job = EncodeJob.of(video, engine, options, is_live=False)
    assert running_time._is_read_twice(job, FRAMES) == (passes == 2)


def test_a_budget_that_a_trial_cannot_meet_is_left_out(clip: Path, engine: Engine, trials: Trials) -> None:
    trials.refuses_budgets = True
    assert told(clip, engine, trials, EncodeOptions(budget=Budget("bitrate", 9000)))
    assert trials.asked[-1].budget is None


def test_damage_before_the_start_only_leaves_the_time_open(
    clip: Path, engine: Engine, trials: Trials
) -> None:
    trials.is_damaged = True
    assert told(clip, engine, trials, EncodeOptions(start_seconds=5.0)) is None
    with pytest.raises(InputError, match="is damaged"):
        told(clip, engine, trials, EncodeOptions())


def test_a_dry_run_tries_the_encoder_itself(clip: Path, engine: Engine, tmp_path: Path) -> None:
    began = time.perf_counter()
    expected = dry_run(clip, engine, EncodeOptions(frames=40)).seconds
    longest = time.perf_counter() - began
    assert expected is not None
    assert 0 < expected < longest
    assert encode_file(clip, tmp_path / "a.itk", engine, EncodeOptions(frames=40)).frames == 40
