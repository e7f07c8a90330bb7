"""Planners spend what they were asked for, on made-up segments whose bytes are known."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

from infotok_cli.allocation.allocate import Allocation, allocate
from infotok_cli.allocation.budgets import BUDGETS
from infotok_cli.allocation.fits import Fits
from infotok_cli.allocation.planner import Group, Planner, Written, shown_number
from infotok_cli.allocation.rate_planners import ElasticPlanner, RatePlanner
from infotok_cli.allocation.rate_scale import RateScale
from infotok_cli.allocation.time_planners import BitratePlanner, TokensPerSecondPlanner
from infotok_cli.allocation.total_planners import MaxTokensPlanner, TargetSizePlanner
from infotok_cli.errors import UsageError
from made_fits import MADE_UP
from make_itk import itk_header


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
    planner = TargetSizePlanner(size_bytes, itk_header(token_coding=1), Fits())
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
        planner = TargetSizePlanner(400 + int(more * sum(least)), itk_header(token_coding=1), Fits())
        left = planner.left
        for factor, error in zip(factors, errors, strict=True):
            planner.survey(Group([error], [32]), lambda tried, factor=factor: cost(factor, tried))  # type: ignore[misc]
        for factor, error in zip(factors, errors, strict=True):
            group = Group([error], [32])
            chosen = planner.plan(group, lambda tried, factor=factor: cost(factor, tried))  # type: ignore[misc]
            planner.wrote(cost(factor, chosen))
        assert 0 <= planner.left <= 0.01 * left


def test_a_bitrate_that_only_the_end_exceeds_is_no_least() -> None:
    """What easy parts took was theirs; another budget looks ahead."""
    errors = [np.random.default_rng(5).gamma(1, 0.05, (8, 16, 20)).astype(np.float32)]
    planner = BitratePlanner(16000, itk_header(token_coding=1), Fits())
    for factor in (1, 1, 20, 20):

        def cost(chosen: list[Allocation], factor: int = factor) -> Written:
            return Written(1, chosen[0].keep.size, chosen[0].tokens, 30, factor * chosen[0].tokens)

        planner.wrote(cost(planner.plan(Group(errors, [32], seconds=Fraction(1)), cost)))
    spent = 8000 - int(planner.credit)
    with pytest.raises(UsageError, match=r"bitrate 16000 became 33944, .*, or target-size 8000, which"):
        planner.check(spent)
    planner.check(8000 + planner.fixed_bytes)


SMALL = (1, 6, 6)
"""A still picture: nine blocks of four positions."""


@dataclass
class Came:
    """What came of some encode."""

    tokens: int = 50
    token_rate: float = 0.25
    size_bytes: int = 900
    duration_seconds: float = 2.0
    predicted_psnr_db: float | None = 28.6


WORDS = {
    "calibrated-rate": "0.50 times the 0.5 of footage at large",
    "max-tokens": "50.00% of 100 tokens",
    "target-size": "90.00% of 1,000 bytes",
    "tokens-per-second": "25.0 of 100 tokens per second",
    "bitrate": "3,600 of 4,000 bits per second",
    "target-psnr": "28.60 dB predicted for 100 dB",
}
"""What is said of it for each kind of budget."""


def group(*grids: tuple[int, int, int], seconds: Fraction = Fraction(1), side_bytes: int = 0) -> Group:
    random = np.random.default_rng(0)
    maps = [random.gamma(1, 0.05, grid).astype(np.float32) for grid in grids]
    return Group(maps, [4 * grid[0] for grid in grids], seconds=seconds, side_bytes=side_bytes)


def cost(chosen: list[Allocation]) -> Written:
    """Three bytes a token, and 30 a map."""
    tokens = sum(one.tokens for one in chosen)
    positions = sum(one.keep.size for one in chosen)
    return Written(len(chosen), positions, tokens, map_bytes=30 * len(chosen), token_bytes=3 * tokens)


def spend(planner: Planner, *film: Group) -> int:
    """Plan and write all groups; returns the tokens."""
    total = 0
    for one in film:
        chosen = planner.plan(one, cost)
        planner.wrote(cost(chosen))
        total += sum(part.tokens for part in chosen)
    return total


def told_by(planner: Planner) -> tuple[str, ...]:
    return tuple(str(warning) for warning in planner.warnings())


@pytest.mark.parametrize(
    ("rate", "kept"), [(0.125, 9), (0.23, 9), (0.24, 9), (0.25, 9), (0.5, 18), (1.0, 36)]
)
def test_a_rate_below_the_floor_is_told(rate: float, kept: int) -> None:
    planner = RatePlanner("block", rate)
    assert spend(planner, group(SMALL)) == kept
    told = f"rate {rate:g} was asked for, 0.25 is the least this video can have"
    assert told_by(planner) == ((told,) if rate < 0.24 else ())


def test_a_floor_of_a_part_only_is_not_called_the_least() -> None:
    planner = RatePlanner("block", 0.2)
    spend(planner, group((4, 4, 4)), *[group(SMALL)] * 3)
    (told,) = told_by(planner)
    assert told == "rate 0.2 was asked for, 0.233 came of it, as parts of this video cannot have fewer tokens"
    planner = RatePlanner("block", 0.2)
    spend(planner, group((8, 16, 16)), group(SMALL))
    assert not planner.warnings(), "a few tokens in many are not worth it"


def test_single_positions_and_prefixes_can_have_the_lowest_rate() -> None:
    planner = RatePlanner("position", 0.125)
    spend(planner, group(SMALL))
    assert not planner.warnings()
    spend(planner, *[group((1, 1, 1))] * 20)
    assert planner.warnings()


def test_a_prefix_longer_than_asked_for_is_told() -> None:
    class Segment:
        grid = (1, 1, 2)

        def error(self, tokens: int) -> float:
            return 1 / tokens

    planner = ElasticPlanner(0.125)
    (chosen,) = planner.plan(Group([np.ones((1, 1, 2), np.float32)], [4], prefixes=[Segment()]), cost)
    assert chosen.tokens == 1
    assert told_by(planner) == ("rate 0.125 was asked for, 0.5 is the least this video can have",)


def test_tokens_for_a_second_below_the_floor_are_told() -> None:
    """The header cannot tell that the video is shorter than a segment."""
    header = itk_header(width=48, height=48, frame_rate=Fraction(25), segment_frames=32)
    planner = TokensPerSecondPlanner(200, header, Fits())
    assert spend(planner, group(SMALL, seconds=Fraction(1, 25))) == 9
    assert told_by(planner) == ("tokens-per-second 200 was asked for, 225 is the least this video can have",)
    planner = TokensPerSecondPlanner(225, header, Fits())
    assert spend(planner, group(SMALL, seconds=Fraction(1, 25))) == 9
    assert not planner.warnings()


@pytest.mark.parametrize("tokens", [27, 28, 40, 80, 107, 108, 500])
def test_max_tokens_are_never_exceeded(tokens: int) -> None:
    film = [group(SMALL), group(SMALL), group(SMALL)]
    planner = MaxTokensPlanner(tokens, itk_header(), Fits())
    for one in film:
        planner.survey(one, cost)
    assert max(27, tokens - 4) <= spend(planner, *film) + (392 if tokens == 500 else 0) <= tokens


def test_too_few_tokens_name_what_all_groups_take() -> None:
    planner = MaxTokensPlanner(26, itk_header(), Fits())
    for one in (group(SMALL), group(SMALL), group(SMALL)):
        planner.survey(one, cost)
    with pytest.raises(UsageError, match="max-tokens 26 is below the least of 27 for this video"):
        planner.plan(group(SMALL), cost)


@pytest.mark.parametrize("asked", [1, 50, 150])
def test_the_least_size_that_is_named_can_be_had(asked: int) -> None:
    """Even where it is asked of a video that is a single group, and for less than its header."""
    film = group((4, 8, 8), (4, 8, 8), side_bytes=100)

    def planned(size_bytes: int) -> int:
        planner = TargetSizePlanner(size_bytes, itk_header(), Fits())
        planner.survey(film, None)
        chosen = planner.plan(film, cost)
        planner.wrote(cost(chosen))
        return planner.left

    with pytest.raises(
        UsageError, match=rf"target-size {asked} is below the least of about \d+ bytes"
    ) as told:
        planned(asked)
    least = int(told.value.what.split("about ")[1].split()[0])
    assert least > 250
    assert planned(least) == 0
    with pytest.raises(UsageError, match=f"of about {least} bytes"):
        planned(least - 1)


def test_a_hopeless_bitrate_names_what_the_first_group_takes() -> None:
    """Neither a number known without the video, nor the whole video encoded to refuse it."""
    header = itk_header(width=64, height=64, frame_rate=Fraction(8), segment_frames=16)
    film = group((4, 8, 8), seconds=Fraction(2), side_bytes=10)
    asked = BitratePlanner(20, header, Fits())
    assert spend(asked, film) == 32
    with pytest.raises(UsageError) as told:
        asked.plan(film, cost)
    size_bytes = cost(allocate(film.errors, "block", 0)).size_bytes + 10 + asked.fixed_bytes
    least = 8 * size_bytes / 2
    assert told.value.what == (
        f"`bitrate` 20 is below the least of about {least:.0f} bits per second "
        "for the first 2 s of this video, and the rest may take more"
    )
    short = BitratePlanner(20, header, Fits())
    assert spend(short, film) == 32
    with pytest.raises(UsageError, match=f"of about {least:.0f} bits per second for this video"):
        short.check(size_bytes)
    planner = BitratePlanner(least, header, Fits())
    assert spend(planner, film) == 32
    planner.check(size_bytes)
    assert planner.warnings() == ()


def test_hopeless_tokens_per_second_name_what_the_video_takes() -> None:
    header = itk_header(width=48, height=48, frame_rate=Fraction(25), segment_frames=32)
    film = group(SMALL, seconds=Fraction(1, 25))
    for asked in (1, 20):
        with pytest.raises(
            UsageError, match=f"tokens-per-second {asked} is below the least of about 225 for"
        ):
            TokensPerSecondPlanner(asked, header, Fits()).plan(film, cost)
    planner = TokensPerSecondPlanner(225, header, Fits())
    assert spend(planner, film) == 9
    assert not planner.warnings()


def test_what_header_and_index_add_to_a_bitrate_is_told() -> None:
    header = itk_header(width=64, height=64, frame_rate=Fraction(8), segment_frames=16)
    film = group((4, 8, 8), seconds=Fraction(2))
    for value, exceeds in ((5000, False), (1200, True)):
        planner = BitratePlanner(value, header, Fits())
        spend(planner, film)
        assert (planner.size_bytes > value / 4) == exceeds
        planner.check(planner.size_bytes)
        told = f"bitrate 1200 was asked for, {4 * planner.size_bytes} came of it, as header and index"
        assert [line.startswith(told) for line in told_by(planner)] == ([True] if exceeds else [])


@pytest.mark.parametrize("kind", WORDS)
def test_planners_that_predict_no_quality_say_none(kind: str) -> None:
    header = itk_header(width=64, height=64, frame_rate=Fraction(8), segment_frames=16)
    scale = RateScale.fit([np.random.default_rng(1).gamma(9, 0.1, (4, 8, 8)).astype(np.float32)])
    fits = Fits({"fast": MADE_UP}, {"fast": scale})
    value = {"target-size": 1000, "bitrate": 4000, "calibrated-rate": 0.5}.get(kind, 100)
    planner = BUDGETS[kind](value, header, fits)
    film = group((4, 8, 8), seconds=Fraction(2))
    if planner.surveys:
        planner.survey(film, None)
    spend(planner, film)
    assert (planner.predicted_psnr_db is None) == (kind != "target-psnr")
    assert planner.in_words(value, Came()).startswith(WORDS[kind])


@pytest.mark.parametrize(
    ("value", "shown"),
    [(33.71, "33.8"), (1 / 6, "0.167"), (0.1271, "0.128"), (0.3, "0.3"), (225, "225"), (16690.2, "16691")],
)
def test_rates_are_shown_rounded_up(value: float, shown: str) -> None:
    """A least rate that is named can be typed and had."""
    assert shown_number(value) == shown
    assert float(shown) >= value * (1 - 1e-9)
