"""Fits what quality to expect of an allocation, and what tokens are worth; both travel with the weights."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from infotok_cli.allocation.allocate import Allocation, allocate_blocks, block_means
from infotok_cli.allocation.distortion import MIN_ERROR, SHARES, Distortion, shares_of
from infotok_cli.allocation.rate_scale import RateScale
from infotok_cli.blocks import LEAD_FRAMES
from infotok_cli.metrics import PEAK, average_psnr, psnr
from infotok_cli.model.engine import Engine, Footage
from infotok_cli.routers import ROUTERS, ErrorMapKind

RATES = (0.17, 0.25, 0.35, 0.5, 0.75, 1.0)
"""Token rates whose allocations are reconstructed and measured."""

KINDS = tuple(dict.fromkeys(router.error_map for router in ROUTERS.values() if router.knows_errors))
"""Error maps that say how hard a segment is; routers of one kind share what is fitted to it."""

_Fit = TypeVar("_Fit")

ErrorMap = NDArray[np.float32]
Measured = list[tuple[ErrorMap, Allocation, NDArray[np.float64], float]]
"""Error map, allocation, squared error of each block on the [-1, 1] scale, mean of frames' PSNR."""


def fit_distortions(engine: Engine, clips: Sequence[NDArray[np.uint8]]) -> dict[str, Distortion]:
    """Fit what quality to expect on clips `[T, H, W, 3]`, by name of the routers whose maps know errors.

    T + 4 a multiple of 8, H and W of 16, so that no block is cut; ValueError for others.
    """
    measured: dict[ErrorMapKind, Measured] = defaultdict(list)
    for clip in clips:
        footage = engine.footage(clip)
        for kind, error in _error_maps(engine, footage).items():
            for rate in RATES:
                (allocation,) = allocate_blocks([error], rate)
                shown = engine.encode(footage, allocation.keep).shown
                row = (error, allocation, _block_mse(clip, shown), average_psnr(psnr(clip, shown)))
                measured[kind].append(row)
    return _by_router({kind: _fit(rows) for kind, rows in measured.items()})


def fit_rate_scales(engine: Engine, clips: Sequence[NDArray[np.uint8]]) -> dict[str, RateScale]:
    """Fit what tokens must be worth on clips `[T, H, W, 3]`, by name of the routers whose maps know errors.

    T + 4 a multiple of 8, H and W of 16, so that no block is cut; ValueError for others.
    """
    maps: dict[ErrorMapKind, list[ErrorMap]] = defaultdict(list)
    for clip in clips:
        for kind, error in _error_maps(engine, engine.footage(clip)).items():
            maps[kind].append(error)
    return _by_router({kind: RateScale.fit(errors) for kind, errors in maps.items()})


def _by_router(fits: Mapping[ErrorMapKind, _Fit]) -> dict[str, _Fit]:
    return {name: fits[router.error_map] for name, router in ROUTERS.items() if router.knows_errors}


def _error_maps(engine: Engine, footage: Footage) -> dict[ErrorMapKind, ErrorMap]:
    """The clip's error maps `[t, h, w]` of all `KINDS`."""
    return {
        kind: engine.exact_errors([footage])[0] if kind == "exact" else engine.predicted_errors([footage])[0]
        for kind in KINDS
    }


def _fit(rows: Measured) -> Distortion:
    share = np.concatenate([shares_of(error, _levels(chosen)).ravel() for error, chosen, _, _ in rows])
    log_error = np.log(np.maximum(np.concatenate([block_means(e).ravel() for e, _, _, _ in rows]), MIN_ERROR))
    mse = np.concatenate([blocks.ravel() for _, _, blocks, _ in rows])
    offsets, slopes = [], []
    for index in range(SHARES):
        x, y = log_error[share == index], mse[share == index]
        slope = float(np.polyfit(x, np.log(y + 1e-9), 1)[0]) if np.ptp(x) > 0 else 2.0
        # The line gives the geometric mean; sums over blocks need the arithmetic one.
        offsets.append(math.log(y.sum() / np.exp(slope * x).sum()))
        slopes.append(slope)
    plain = Distortion(tuple(offsets), tuple(slopes), 0.0)
    bias = np.mean([shown_db - plain.psnr_db(error, chosen) for error, chosen, _, shown_db in rows])
    return Distortion(plain.offsets, plain.slopes, float(bias))


def _levels(allocation: Allocation) -> NDArray[np.uint8]:
    assert allocation.levels is not None
    return allocation.levels


def _block_mse(clip: NDArray[np.uint8], shown: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean squared error of each block of 8x16x16 pixels, `[bt, bh, bw]`, [-1, 1] scale.

    A lead shows nothing: the block that it is in is judged by the four frames after it.
    """
    error = clip.astype(np.float32) - shown
    error = np.concatenate([error[:LEAD_FRAMES], error])
    frames, height, width, _ = error.shape
    if frames % 8 or height % 16 or width % 16:
        raise ValueError(f"clip of {clip.shape} is not made of whole blocks")
    square = error.reshape(frames // 8, 8, height // 16, 16, width // 16, 16, 3)
    mse: NDArray[np.float64] = np.square(square, dtype=np.float64).mean(axis=(1, 3, 5, 6)) * (2 / PEAK) ** 2
    return mse
