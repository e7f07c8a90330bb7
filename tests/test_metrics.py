"""PSNR, SSIM, MS-SSIM and rates against formulas, a slow reference and known properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from infotok_cli.metrics import (
    average_psnr,
    bits_per_pixel,
    bpp16,
    gaussian_window,
    luma,
    mean_squared_error,
    ms_ssim,
    ms_ssim_scales,
    psnr,
    ssim,
    ssim_and_ms_ssim,
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


def test_psnr_is_not_the_one_that_uint8_inflates() -> None:
    """The plain formula on uint8 arrays squares modulo 256, so that nothing is worse than 24.1 dB."""
    one = textured(height=48, width=48)
    inflated = []
    for spread in (2, 30, 100):
        other = noisy(one, spread)
        real = ((one.astype(np.float64) - other.astype(np.float64)) ** 2).mean((1, 2, 3))
        assert psnr(one, other) == pytest.approx(10 * np.log10(255**2 / real), abs=1e-9)
        wrapped = ((one - other) ** 2).mean((1, 2, 3))
        inflated.append(float(np.mean(10 * np.log10(255**2 / wrapped) - psnr(one, other))))
    assert inflated[0] == pytest.approx(0, abs=0.01)
    assert inflated[1] > 8
    assert inflated[2] > 15


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
    falling = [float(ssim(one, noisy(one, spread)).mean()) for spread in (2, 10, 40, 120)]
    assert falling == sorted(falling, reverse=True)
    assert falling[0] > 0.99
    assert falling[-1] < 0.8


def slow_ms_ssim(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """The 2003 definition in float64: windows cut out one by one, halving by reflected 2x2 means."""
    weights = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]
    offsets = np.arange(11) - 5
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    factors = []
    while min(one.shape) >= 11 and len(factors) < 5:
        patches = [np.lib.stride_tricks.sliding_window_view(a, (11, 11)) for a in (one, other)]
        x, y = (np.einsum("ijkl,kl->ij", a, window) for a in patches)
        xx, yy, xy = (
            np.einsum("ijkl,ijkl,kl->ij", a - m[..., None, None], b - n[..., None, None], window)
            for a, m, b, n in (
                (patches[0], x, patches[0], x), (patches[1], y, patches[1], y), (patches[0], x, patches[1], y)
            )
        )  # fmt: skip
        structure = ((2 * xy + c2) / (xx + yy + c2)).mean()
        whole = ((2 * x * y + c1) / (x**2 + y**2 + c1) * (2 * xy + c2) / (xx + yy + c2)).mean()
        factors.append((structure, whole))
        one, other = (slow_halves(a) for a in (one, other))
    scales = len(factors)
    total = sum(weights[:scales])
    product = 1.0
    for scale, (structure, whole) in enumerate(factors):
        product *= (whole if scale == scales - 1 else structure) ** (weights[scale] / total)
    return product


def slow_halves(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    height, width = picture.shape
    result = np.empty((-(-height // 2), -(-width // 2)))
    for row in range(result.shape[0]):
        for column in range(result.shape[1]):
            below, right = min(2 * row + 1, height - 1), min(2 * column + 1, width - 1)
            corners = [picture[r, c] for r in (2 * row, below) for c in (2 * column, right)]
            result[row, column] = sum(corners) / 4
    return result


@pytest.mark.parametrize(
    ("height", "width", "spread"), [(161, 163, 25), (47, 58, 8), (47, 58, 60), (21, 90, 5)]
)
def test_ms_ssim_matches_the_definition(height: int, width: int, spread: float) -> None:
    rows, columns = np.mgrid[0:height, 0:width]
    smooth = 128 + 60 * np.sin(rows / 6) * np.cos(columns / 9) + 30 * np.sin(columns * rows / 300)
    one = smooth[None, ..., None].repeat(3, -1).astype(np.uint8)
    other = noisy(one, spread)
    weights = np.array([0.299, 0.587, 0.114])
    expected = slow_ms_ssim(one[0] @ weights, other[0] @ weights)
    assert 0.1 < expected < 0.999
    assert ms_ssim(one, other)[0] == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize(
    ("side", "scales"),
    [(1, 1), (20, 1), (21, 2), (40, 2), (41, 3), (80, 3), (81, 4), (160, 4), (161, 5), (2000, 5)],
)
def test_ms_ssim_takes_as_many_scales_as_fit(side: int, scales: int) -> None:
    assert ms_ssim_scales(side, 3000) == ms_ssim_scales(3000, side) == scales


def test_ms_ssim_of_flat_pictures_is_brightness_at_the_coarsest_scale() -> None:
    one, other = flat(100, 2, 161, 170), flat(150, 2, 161, 170)
    c1 = (0.01 * 255) ** 2
    brightness = (2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)
    assert ms_ssim(one, other) == pytest.approx([brightness**0.1333] * 2, abs=1e-5)


def test_ms_ssim_of_a_chequerboard_is_lost_at_the_finest_scale_only() -> None:
    # Means of 2x2 of it are flat. At the finest scale nothing varies in one picture and 20^2 in the other.
    one = flat(100, 1, 176, 176)
    rows, columns = np.mgrid[0:176, 0:176]
    other = (100 + 20 * (-1) ** (rows + columns))[None, ..., None].repeat(3, -1).astype(np.uint8)
    c2 = (0.03 * 255) ** 2
    assert ms_ssim(one, other) == pytest.approx([(c2 / (20**2 + c2)) ** 0.0448], abs=1e-4)


def test_ms_ssim_properties() -> None:
    one = textured(1, 170, 180)
    assert ms_ssim(one, one) == pytest.approx([1], abs=1e-6)
    assert ms_ssim(one, noisy(one, 20)) == pytest.approx(ms_ssim(noisy(one, 20), one), abs=1e-6)
    # A negative has no power, so what is opposed at some scale counts as nothing at all.
    assert ms_ssim(one, 255 - one).tolist() == [0]
    single, multiple = ssim_and_ms_ssim(one, noisy(one, 40))
    assert single == pytest.approx(ssim(one, noisy(one, 40)))
    assert multiple == pytest.approx(ms_ssim(one, noisy(one, 40)))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (20, 400), (5, 64)])
def test_ms_ssim_of_one_scale_is_ssim(height: int, width: int) -> None:
    one = textured(2, height, width)
    other = noisy(one, 30)
    assert ms_ssim(one, other) == pytest.approx(ssim(one, other))


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
    assert bpp16(8, 16, 16) == 0.6875
    assert bpp16(16, 16, 16) == 1.1875
    assert bpp16(8, 32, 16) == 0.75


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
    for measure in (psnr, ssim, ms_ssim):
        with pytest.raises(ValueError, match=message):
            measure(one, other)


def test_rates_of_nothing() -> None:
    with pytest.raises(ValueError, match="pixels"):
        bits_per_pixel(10, 0, 1, 1)
    with pytest.raises(ValueError, match="positions"):
        bpp16(0, 0, 0)
