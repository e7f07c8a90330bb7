"""What tokens a quality takes is predicted from error maps, and corrected by what trials show."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from infotok_cli.allocation.allocate import Allocation
from infotok_cli.allocation.fits import Fits
from infotok_cli.allocation.planner import Group, Written
from infotok_cli.allocation.psnr_planner import TargetPsnrPlanner
from made_fits import MADE_UP
from make_itk import itk_header


class BiasedTrial:
    """A segment that always turns out so many decibels better than predicted."""

    def __init__(self, error: NDArray[np.float32], bias_db: float) -> None:
        self.error, self.bias_db = error, bias_db

    def psnr_db(self, allocation: Allocation) -> float:
        return MADE_UP.psnr_db(self.error, allocation) + self.bias_db


def no_measure(allocations: list[Allocation]) -> Written:
    raise AssertionError(f"{len(allocations)} segments are coded for nothing")


def planner_for(psnr_db: float) -> TargetPsnrPlanner:
    return TargetPsnrPlanner(psnr_db, itk_header(), Fits({"fast": MADE_UP}))


def plan_quality(psnr_db: float, bias_db: float = 0.0) -> tuple[float, int]:
    """What is expected and how many tokens it takes."""
    random = np.random.default_rng(5)
    errors = [random.gamma(1, 0.05, (8, 16, 20)).astype(np.float32) for _ in range(4)]
    trials = {number: BiasedTrial(errors[number], bias_db) for number in (0, 2)}
    planner = planner_for(psnr_db)
    chosen = planner.plan(Group(errors, [32] * 4, trials=trials), no_measure)
    return planner.predicted_psnr_db, sum(allocation.tokens for allocation in chosen)


def test_target_psnr_is_what_is_expected() -> None:
    worst, fewest = plan_quality(0.1)
    best, most = plan_quality(99)
    assert most == 4 * 8 * 16 * 20
    assert fewest == most // 8
    for share in (0.2, 0.5, 0.8):
        wanted = worst + share * (best - worst)
        expected, tokens = plan_quality(wanted)
        assert expected == pytest.approx(wanted, abs=0.02)
        assert fewest < tokens < most


@pytest.mark.parametrize("bias_db", [-2.0, 1.0])
def test_trials_correct_the_expectation(bias_db: float) -> None:
    wanted = sum(plan_quality(psnr_db)[0] for psnr_db in (0.1, 99)) / 2
    plain, corrected = plan_quality(wanted), plan_quality(wanted, bias_db)
    assert corrected[0] == pytest.approx(wanted, abs=0.02)
    assert corrected[1] == plan_quality(wanted - bias_db)[1]
    assert (corrected[1] > plain[1]) == (bias_db < 0)


@pytest.mark.parametrize("slope", [0.6, 1.5, 1.8])
def test_trials_correct_what_differs_with_the_rate(slope: float) -> None:
    """Quality that grows slower or faster with tokens than predicted."""
    random = np.random.default_rng(5)
    errors = [random.gamma(1, 0.05, (8, 16, 20)).astype(np.float32) for _ in range(2)]

    class SteepTrial(BiasedTrial):
        def psnr_db(self, allocation: Allocation) -> float:
            return 18 + slope * (super().psnr_db(allocation) - 20)

    trials = {number: SteepTrial(error, 0) for number, error in enumerate(errors)}
    low, high = (MADE_UP.allocate_for(errors, [32, 32], psnr_db)[1] for psnr_db in (0, 99))
    for share in (0.2, 0.4, 0.6, 0.8):
        wanted = 18 + slope * (low + share * (high - low) - 20)
        planner = planner_for(wanted)
        chosen = planner.plan(Group(errors, [32, 32], trials=trials), no_measure)
        shown = np.mean([trials[number].psnr_db(one) for number, one in enumerate(chosen)])
        assert shown == pytest.approx(wanted, abs=0.1)
        assert planner.predicted_psnr_db == pytest.approx(shown, abs=0.05)


def test_trials_count_for_the_frames_they_stand_for() -> None:
    """A short last segment must not weigh as much as four whole ones."""
    random = np.random.default_rng(5)
    errors = [random.gamma(1, 0.05, (8, 16, 20)).astype(np.float32) for _ in range(5)]
    frames = [32, 32, 32, 32, 4]
    trials = {0: BiasedTrial(errors[0], 0.0), 4: BiasedTrial(errors[4], -3.0)}
    planner = planner_for(20)
    group = Group(errors, frames, trials=trials)
    chosen, _ = MADE_UP.allocate_for(errors, frames, 20)
    assert planner._shown_less_predicted(group, chosen) == pytest.approx(-3 * 4 / 132)


def test_a_quality_that_cannot_be_had_is_told() -> None:
    random = np.random.default_rng(5)
    errors = [random.gamma(1, 0.05, (8, 16, 20)).astype(np.float32) for _ in range(2)]
    best = MADE_UP.allocate_for(errors, [32, 32], 99)[1]
    planner = planner_for(100)
    planner.plan(Group(errors, [32, 32]), no_measure)
    (told,) = planner.warnings()
    assert str(told) == f"target-psnr 100 was asked for, {best:.1f} dB is the most this model can give here"
    for psnr_db in (best - 3, best - 0.01, 1.0):
        planner = planner_for(psnr_db)
        planner.plan(Group(errors, [32, 32]), no_measure)
        assert not planner.warnings()


def test_a_part_that_falls_short_is_told() -> None:
    random = np.random.default_rng(5)
    easy, hard = (random.gamma(1, scale, (8, 16, 20)).astype(np.float32) for scale in (0.05, 0.1))
    best = MADE_UP.allocate_for([hard], [32], 99)[1]
    planner = planner_for(best + 4)
    for error in (easy, hard):
        planner.plan(Group([error], [32]), no_measure)
    (told,) = planner.warnings()
    assert str(told).endswith("dB is expected, as parts of this video fall short with all their tokens")
    assert planner.predicted_psnr_db == pytest.approx(best + 2, abs=0.1)
