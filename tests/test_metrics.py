"""PSNR, SSIM and rates against formulas, a slow reference and known properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from infotok_cli.metrics import (
    average_psnr,
    average_ssim,
    bits_per_pixel,
    bpp16,
    gaussian_window,
    luma,
    mean_squared_error,
    pooled_psnr,
    psnr,
    ssim,
)

Video = NDArray[np.uint8]


def flat(value: int, frames: int = 2, height: int = 20, width: int = 24) -> Video:
    return np.full((frames, height, width, 3), value, np.uint8)


def noisy(video: Video, spread: float, seed: int = 0) -> Video:
    noise = np.random.default_rng(seed).normal(0, spread, video.shape)
    return np.clip(video + noise, 0, 255).astype(np.uint8)


def textured(frames: int = 2, height: int = 24, width: int = 30) -> Video:
    return np.random.default_rng(5).integers(0, 256, (frames, height, width, 3)).astype(np.uint8)


def test_psnr_does_not_wrap_around() -> None:
    # In uint8 both differences would be small: 250 - 3 = 247 and 3 - 250 = 9.
    expected = 20 * math.log10(255 / 247)
    assert psnr(flat(250), flat(3)) == pytest.approx([expected] * 2)
    assert psnr(flat(3), flat(250)) == pytest.approx([expected] * 2)
    assert psnr(flat(0), flat(255)) == pytest.approx([0, 0])


@pytest.mark.parametrize(("difference", "expected"), [(1, 48.1308), (2, 42.1102), (16, 24.0484)])
def test_psnr_of_a_constant_difference(difference: int, expected: float) -> None:
    assert psnr(flat(100), flat(100 + difference)) == pytest.approx([expected] * 2, abs=1e-4)


def test_psnr_is_per_frame() -> None:
    one = flat(100, frames=3)
    other = one.copy()
    other[1] += 1
    other[2] += 2
    values = psnr(one, other)
    assert values[0] == math.inf
    assert values[1:] == pytest.approx([48.1308, 42.1102], abs=1e-4)
    assert average_psnr(values) == pytest.approx((100 + 48.1308 + 42.1102) / 3, abs=1e-4)
    assert pooled_psnr(one, other) == pytest.approx(20 * math.log10(255) - 10 * math.log10(5 / 3))
    assert pooled_psnr(one, one) == math.inf


def test_squared_error_matches_float64() -> None:
    one, other = textured(), noisy(textured(), 20)
    expected = ((one.astype(np.float64) - other) ** 2).mean((1, 2, 3))
    assert mean_squared_error(one, other) == pytest.approx(expected, rel=1e-12)


def slow_ssim(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """The 2004 definition, window by window, in two dimensions."""
    offsets = np.arange(11) - 5
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    window /= window.sum()
    values = []
    for top in range(one.shape[0] - 10):
        for left in range(one.shape[1] - 10):
            x, y = one[top : top + 11, left : left + 11], other[top : top + 11, left : left + 11]
            mean_x, mean_y = (window * x).sum(), (window * y).sum()
            variance_x, variance_y = (window * (x - mean_x) ** 2).sum(), (window * (y - mean_y) ** 2).sum()
            covariance = (window * (x - mean_x) * (y - mean_y)).sum()
            c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
            values.append(
                (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
                / ((mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2))
            )  # fmt: skip
    return float(np.mean(values))


@pytest.mark.parametrize("spread", [1, 10, 60])
def test_ssim_matches_the_definition(spread: float) -> None:
    rows, columns = np.mgrid[0:24, 0:30]
    smooth = (
        (128 + 60 * np.sin(rows / 4) * np.cos(columns / 5))[None, ..., None].repeat(3, -1).astype(np.uint8)
    )
    other = noisy(smooth, spread)
    weights = np.array([0.299, 0.587, 0.114])
    assert ssim(smooth, other)[0] == pytest.approx(
        slow_ssim(smooth[0] @ weights, other[0] @ weights), abs=2e-5
    )


@pytest.mark.parametrize(("one", "other"), [(100, 100), (100, 150), (0, 255), (254, 255)])
def test_ssim_of_flat_pictures(one: int, other: int) -> None:
    c1 = (0.01 * 255) ** 2
    expected = (2 * one * other + c1) / (one**2 + other**2 + c1)
    assert ssim(flat(one), flat(other)) == pytest.approx([expected] * 2, abs=1e-5)


def test_ssim_properties() -> None:
    one = textured()
    assert ssim(one, one) == pytest.approx([1, 1], abs=1e-6)
    assert ssim(one, noisy(one, 20)) == pytest.approx(ssim(noisy(one, 20), one), abs=1e-6)
    assert ssim(one, 255 - one).max() < 0
    falling = [average_ssim(ssim(one, noisy(one, spread))) for spread in (2, 10, 40, 120)]
    assert falling == sorted(falling, reverse=True)
    assert falling[0] > 0.99
    assert falling[-1] < 0.8


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 30), (10, 10), (11, 11), (5, 64)])
def test_ssim_of_small_pictures_shrinks_the_window(height: int, width: int) -> None:
    one = textured(1, height, width)
    assert ssim(one, one) == pytest.approx([1], abs=1e-6)
    assert -1 <= ssim(one, 255 - one)[0] < 1


@pytest.mark.parametrize(("side", "taps"), [(1, 1), (2, 1), (3, 3), (10, 9), (11, 11), (500, 11)])
def test_window(side: int, taps: int) -> None:
    window = gaussian_window(side)
    assert len(window) == taps
    assert window.sum() == pytest.approx(1)
    assert (window == window[::-1]).all()


def test_luma_is_bt601() -> None:
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    assert luma(colours)[0] == pytest.approx([76.245, 149.685, 29.07, 255], abs=1e-3)


def test_rates() -> None:
    assert bits_per_pixel(1000, frames=10, height=20, width=40) == 1.0
    assert bpp16(8, 16) == 0.5625
    assert bpp16(16, 16) == 1.0625


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (flat(1), flat(1, frames=3), "cannot compare"),
        (flat(1)[0], flat(1)[0], r"must be \[T, H, W, 3\]"),
        (flat(1).astype(np.float32), flat(1), "must be uint8"),
        (flat(1, frames=0), flat(1, frames=0), "without pixels"),
    ],
)
def test_wrong_arguments(one: Video, other: Video, message: str) -> None:
    for measure in (psnr, ssim):
        with pytest.raises(ValueError, match=message):
            measure(one, other)


def test_rates_of_nothing() -> None:
    with pytest.raises(ValueError, match="pixels"):
        bits_per_pixel(10, 0, 1, 1)
    with pytest.raises(ValueError, match="positions"):
        bpp16(0, 0)
