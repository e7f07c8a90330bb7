"""Quality and rate figures: PSNR, SSIM, MS-SSIM, bits per pixel, BPP16. Pure numpy on uint8 frames."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

PEAK = 255.0
PSNR_CAP = 100.0
"""What an identical frame counts as in an average, in dB."""

SSIM_TAPS = 11
SSIM_SIGMA = 1.5
SSIM_C1 = (0.01 * PEAK) ** 2
SSIM_C2 = (0.03 * PEAK) ** 2

MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the scales, finest first, as Wang, Simoncelli and Bovik fitted them to viewers."""

LUMA_BT601 = (0.299, 0.587, 0.114)

Pixels = NDArray[np.uint8]
Values = NDArray[np.float64]


def mean_squared_error(reference: Pixels, decoded: Pixels) -> Values:
    """Mean squared error of each frame, `[T]`, of two videos `[T, H, W, 3]`, RGB 0..255."""
    _check_pair(reference, decoded)
    errors = np.empty(len(reference))
    for index, (one, other) in enumerate(zip(reference, decoded, strict=True)):
        # uint8 wraps around on subtraction, so the difference is taken in a signed type.
        difference = one.astype(np.int16) - other
        errors[index] = np.einsum("ijk,ijk->", difference, difference, dtype=np.int64) / difference.size
    return errors


def psnr(reference: Pixels, decoded: Pixels) -> Values:
    """PSNR of each frame in dB, `[T]`, peak 255, over all RGB samples; inf for identical frames."""
    errors = mean_squared_error(reference, decoded)
    with np.errstate(divide="ignore"):
        values: Values = 10 * np.log10(PEAK**2 / errors)
    return values


def psnr_of_error(error: float, *, peak: float = PEAK) -> float:
    """PSNR in dB of a mean squared error, `peak` being the range of values; inf when there is no error."""
    return 10 * math.log10(peak**2 / error) if error else math.inf


def average_psnr(values: Values) -> float:
    """Mean of per-frame PSNR in dB; frames above `PSNR_CAP`, identical ones among them, count as that."""
    return float(np.minimum(values, PSNR_CAP).mean())


def ssim(reference: Pixels, decoded: Pixels) -> Values:
    """SSIM of each frame, `[T]`, -1..1, on BT.601 luma; 1 for identical frames.

    Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to structural
    similarity", IEEE TIP 13(4), 2004: Gaussian window of 11 taps, sigma 1.5, K1 0.01, K2 0.03, peak
    255, mean over all windows that lie inside the picture, no downsampling beforehand. A side shorter
    than 11 pixels takes the largest odd window that fits, renormalised.
    """
    _check_pair(reference, decoded)
    rows = gaussian_window(reference.shape[1])
    columns = gaussian_window(reference.shape[2])
    pairs = zip(reference, decoded, strict=True)
    return np.array([_ssim_of_luma(luma(one), luma(other), rows, columns) for one, other in pairs])


def ms_ssim(reference: Pixels, decoded: Pixels) -> Values:
    """Multi-scale SSIM of each frame, `[T]`, 0..1, on BT.601 luma; 1 for identical frames.

    Wang, Simoncelli, Bovik, "Multi-scale structural similarity for image quality assessment", Asilomar
    2003: contrast and structure at five scales, brightness at the coarsest, each a mean over the
    picture, to the powers of `MS_SSIM_WEIGHTS`. A scale is the one before averaged over 2x2 samples
    and halved; the last row or column of an odd size is paired with itself. A negative mean, which has
    no power, counts as 0.

    Five scales need 161 pixels on the shorter side. A smaller picture takes as many scales as leave
    the 11 taps of the window (`ms_ssim_scales`), and the exponents of those are rescaled to a sum of
    1: such figures do not compare with those of larger pictures. With one scale it is SSIM.
    """
    return ssim_and_ms_ssim(reference, decoded)[1]


def ssim_and_ms_ssim(reference: Pixels, decoded: Pixels) -> tuple[Values, Values]:
    """`ssim` and `ms_ssim` in one go, cheaper than one after the other."""
    _check_pair(reference, decoded)
    pairs = [_both_of_luma(luma(one), luma(other)) for one, other in zip(reference, decoded, strict=True)]
    both: Values = np.array(pairs)
    return both[:, 0], both[:, 1]


def ms_ssim_scales(height: int, width: int) -> int:
    """How many scales `ms_ssim` takes of a picture of this size, 1..5."""
    side, scales = min(height, width), 1
    while scales < len(MS_SSIM_WEIGHTS) and (side + 1) // 2 >= SSIM_TAPS:
        side, scales = (side + 1) // 2, scales + 1
    return scales


def bits_per_pixel(size_bytes: int, frames: int, height: int, width: int) -> float:
    """Real bits of a file per pixel of the video: 8 size / (frames height width)."""
    return 8 * size_bytes / _positive(frames * height * width, "pixels")


def bpp16(kept_tokens: int, positions: int, shown: int) -> float:
    """Nominal rate, counted as the InfoTok paper does: tokens, and 1/16 of one for each bit of raw maps.

    For each of the `shown` positions, which are those of 4x8x8 pixels of the video; a code may have more.
    The keep map has a bit for each position, the motion map a byte for every four that are shown, so it is
    1 + 1/16 + 1/8 when every position is shown and kept.
    """
    return (kept_tokens + positions / 16) / _positive(shown, "positions") + 1 / 8


def luma(picture: Pixels) -> NDArray[np.float32]:
    """BT.601 luma `[H, W]`, 0..255, of RGB `[H, W, 3]`."""
    weighted: NDArray[np.float32] = np.matmul(picture, np.array(LUMA_BT601, np.float32))
    return weighted


def gaussian_window(side: int) -> NDArray[np.float32]:
    """Gaussian of at most 11 taps, an odd number that fits into `side` samples, summing to 1."""
    taps = min(SSIM_TAPS, side if side % 2 else side - 1)
    offsets = np.arange(taps) - taps // 2
    weights = np.exp(-(offsets**2) / (2 * SSIM_SIGMA**2))
    window: NDArray[np.float32] = (weights / weights.sum()).astype(np.float32)
    return window


def _ssim_of_luma(
    one: NDArray[np.float32],
    other: NDArray[np.float32],
    rows: NDArray[np.float32],
    columns: NDArray[np.float32],
) -> float:
    structure, brightness = _ssim_maps(one, other, rows, columns)
    return float((structure * brightness).mean(dtype=np.float64))


def _both_of_luma(one: NDArray[np.float32], other: NDArray[np.float32]) -> tuple[float, float]:
    """SSIM and MS-SSIM of two pictures."""
    scales = ms_ssim_scales(*one.shape)
    weights = np.array(MS_SSIM_WEIGHTS[:scales])
    means = []
    whole = []
    for _ in range(scales):
        structure, brightness = _ssim_maps(one, other, *(gaussian_window(side) for side in one.shape))
        means.append(structure.mean(dtype=np.float64))
        whole.append((structure * brightness).mean(dtype=np.float64))
        one, other = _halved(one), _halved(other)
    if scales == 1:
        return float(whole[0]), float(whole[0])
    factors = np.maximum([*means[:-1], whole[-1]], 0)
    return float(whole[0]), float(np.prod(factors ** (weights / weights.sum())))


def _halved(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of 2x2 samples, `[ceil(H/2), ceil(W/2)]`."""
    even = np.pad(picture, [(0, side % 2) for side in picture.shape], mode="edge")
    quarter = np.float32(0.25)
    return quarter * (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2])


def _ssim_maps(
    one: NDArray[np.float32],
    other: NDArray[np.float32],
    rows: NDArray[np.float32],
    columns: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The contrast-and-structure and the brightness factor of SSIM at every window."""
    # Variances do not depend on an offset, and without one float32 keeps their low digits.
    offset = np.float32((one.mean() + other.mean()) / 2)
    x, y = one - offset, other - offset
    # Both variances enter the formula only as a sum: four filtered maps suffice.
    mean_x, mean_y, squares, product = _filter(np.stack([x, y, x * x + y * y, x * y]), rows, columns)
    covariance = product - mean_x * mean_y
    variances = squares - mean_x * mean_x - mean_y * mean_y
    mean_x += offset
    mean_y += offset
    structure = (2 * covariance + SSIM_C2) / (variances + SSIM_C2)
    brightness = (2 * mean_x * mean_y + SSIM_C1) / (mean_x * mean_x + mean_y * mean_y + SSIM_C1)
    return structure, brightness


def _filter(
    maps: NDArray[np.float32], rows: NDArray[np.float32], columns: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Separable filter of `[N, H, W]` with symmetric windows, whole windows only."""
    return _filter_axis(_filter_axis(maps, rows, axis=1), columns, axis=2)


def _filter_axis(maps: NDArray[np.float32], window: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    taps = len(window)
    length = maps.shape[axis] - taps + 1
    before = (slice(None),) * axis

    def shifted(by: int) -> NDArray[np.float32]:
        return maps[(*before, slice(by, by + length))]

    total: NDArray[np.float32] = shifted(taps // 2) * window[taps // 2]
    pair = np.empty_like(total)
    for tap in range(taps // 2):
        np.add(shifted(tap), shifted(taps - 1 - tap), out=pair)
        pair *= window[tap]
        total += pair
    return total


def _check_pair(reference: Pixels, decoded: Pixels) -> None:
    if reference.shape != decoded.shape or reference.ndim != 4 or reference.shape[3] != 3:
        raise ValueError(f"cannot compare {reference.shape} with {decoded.shape}: both must be [T, H, W, 3]")
    if reference.dtype != np.uint8 or decoded.dtype != np.uint8:
        raise ValueError(f"cannot compare {reference.dtype} with {decoded.dtype}: both must be uint8")
    if not reference.size:
        raise ValueError(f"cannot compare videos without pixels: {reference.shape}")


def _positive(count: int, what: str) -> int:
    if count <= 0:
        raise ValueError(f"a rate needs at least one of its {what}, got {count}")
    return count
