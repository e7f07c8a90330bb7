"""What tokens a quality takes is predicted from error maps, and corrected by what samples show."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from infotok_cli.allocation.allocate import Allocation
from infotok_cli.allocation.planner import Group, Written
from infotok_cli.allocation.psnr_budget import TargetPsnrPlanner
from tiny_model import MADE_UP


class BiasedSample:
    """A segment that always turns out so many decibels better than predicted."""

    def __init__(self, error: NDArray[np.float32], bias_db: float) -> None:
        self.error, self.bias_db = error, bias_db

    def psnr_db(self, allocation: Allocation) -> float:
        return MADE_UP.psnr_db(self.error, allocation) + self.bias_db


def no_measure(allocations: list[Allocation]) -> Written:
    raise AssertionError(f"{len(allocations)} segments are coded for nothing")


def plan_quality(psnr_db: float, bias_db: float = 0.0) -> tuple[float, int]:
    """What is expected and how many tokens it takes."""
    random = np.random.default_rng(5)
    errors = [random.gamma(1, 0.05, (8, 16, 20)).astype(np.float32) for _ in range(4)]
    samples = {number: BiasedSample(errors[number], bias_db) for number in (0, 2)}
    planner = TargetPsnrPlanner(MADE_UP, psnr_db)
    chosen = planner.plan(Group(errors, [32] * 4, samples=samples), no_measure)  # type: ignore[arg-type]
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
def test_samples_correct_the_expectation(bias_db: float) -> None:
    wanted = sum(plan_quality(psnr_db)[0] for psnr_db in (0.1, 99)) / 2
    plain, corrected = plan_quality(wanted), plan_quality(wanted, bias_db)
    assert corrected[0] == pytest.approx(wanted, abs=0.02)
    assert corrected[1] == plan_quality(wanted - bias_db)[1]
    assert (corrected[1] > plain[1]) == (bias_db < 0)


@pytest.mark.parametrize("slope", [0.6, 1.5, 1.8])
def test_samples_correct_what_differs_with_the_rate(slope: float) -> None:
    """Quality that grows slower or faster with tokens than predicted."""
    random = np.random.default_rng(5)
    errors = [random.gamma(1, 0.05, (8, 16, 20)).astype(np.float32) for _ in range(2)]

    class SteepSample(BiasedSample):
        def psnr_db(self, allocation: Allocation) -> float:
            return 18 + slope * (super().psnr_db(allocation) - 20)

    samples = {number: SteepSample(error, 0) for number, error in enumerate(errors)}
    low, high = (MADE_UP.allocate_for(errors, [32, 32], psnr_db)[1] for psnr_db in (0, 99))
    for share in (0.2, 0.4, 0.6, 0.8):
        wanted = 18 + slope * (low + share * (high - low) - 20)
        planner = TargetPsnrPlanner(MADE_UP, wanted)
        chosen = planner.plan(Group(errors, [32, 32], samples=samples), no_measure)  # type: ignore[arg-type]
        shown = np.mean([samples[number].psnr_db(one) for number, one in enumerate(chosen)])
        assert shown == pytest.approx(wanted, abs=0.1)
        assert planner.predicted_psnr_db == pytest.approx(shown, abs=0.05)


def test_samples_count_for_the_frames_they_stand_for() -> None:
    """A short last segment must not weigh as much as four whole ones."""
    random = np.random.default_rng(5)
    errors = [random.gamma(1, 0.05, (8, 16, 20)).astype(np.float32) for _ in range(5)]
    frames = [32, 32, 32, 32, 4]
    samples = {0: BiasedSample(errors[0], 0.0), 4: BiasedSample(errors[4], -3.0)}
    planner = TargetPsnrPlanner(MADE_UP, 20)
    group = Group(errors, frames, samples=samples)  # type: ignore[arg-type]
    chosen, _ = MADE_UP.allocate_for(errors, frames, 20)
    assert planner._shown_less_predicted(group, chosen) == pytest.approx(-3 * 4 / 132)
