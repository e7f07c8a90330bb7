"""Triton kernels of finite scalar quantization; README.md beside this has the maths.

The projections are as exact as float32 and still run on tensor cores: a float32 is the sum of three
bfloat16 numbers to within 2^-24, and the products of the parts that matter are added up in float32.
"""

from __future__ import annotations

import triton
import triton.language as tl

from infotok_kernels.dots import dot


@triton.jit
def _split(wide):
    """Three bfloat16 tensors whose sum is the float32 tensor `wide`, largest first."""
    high = wide.to(tl.bfloat16)
    rest = wide - high.to(tl.float32)
    middle = rest.to(tl.bfloat16)
    low = (rest - middle.to(tl.float32)).to(tl.bfloat16)
    return high, middle, low


@triton.jit
def _exact_dot(left, right, total, PARTS: tl.constexpr):
    """total + left right in float32; `left` is the sum of its first PARTS bfloat16 parts exactly."""
    r_high, r_middle, r_low = _split(right)
    l_high, l_middle, l_low = _split(left)
    # Small products first.
    if PARTS == 3:
        total = dot(l_low, r_high, total)
    if PARTS >= 2:
        total = dot(l_middle, r_middle, total)
        total = dot(l_high, r_low, total)
        total = dot(l_middle, r_high, total)
    else:
        total = dot(l_high, r_low, total)
    total = dot(l_high, r_middle, total)
    return dot(l_high, r_high, total)


@triton.jit
def encode_kernel(
    hidden, weight, bias, gain, level_of, radix_of, values, codes, ids, rows, width,
    CHANNELS: tl.constexpr, PADDED: tl.constexpr, PARTS: tl.constexpr, SAVE: tl.constexpr,
    BLOCK: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """hidden `[rows, width]` to codes `[rows, CHANNELS]` and ids `[rows]`; SAVE keeps the projected values.

    gain: `[rows, CHANNELS]`, what projections are divided by, or None.
    level_of, radix_of: int32 `[PADDED]`, 2 levels of radix 0 beyond CHANNELS.
    """
    row = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    row_inside = row < rows
    channel = tl.arange(0, PADDED)
    channel_inside = channel < CHANNELS
    projected = tl.zeros([BLOCK, PADDED], tl.float32)
    for start in range(0, width, BLOCK_D):
        depth = start + tl.arange(0, BLOCK_D)
        inside = depth < width
        left = tl.load(
            hidden + row[:, None] * width + depth[None, :],
            mask=row_inside[:, None] & inside[None, :],
            other=0.0,
        )
        right = tl.load(
            weight + channel[None, :] * width + depth[:, None],
            mask=channel_inside[None, :] & inside[:, None],
            other=0.0,
        )
        projected = _exact_dot(left.to(tl.float32), right.to(tl.float32), projected, PARTS)
    projected += tl.load(bias + channel, mask=channel_inside, other=0.0).to(tl.float32)[None, :]
    place = row[:, None] * CHANNELS + channel[None, :]
    mask = row_inside[:, None] & channel_inside[None, :]
    if gain is not None:
        projected = tl.div_rn(projected, tl.load(gain + place, mask=mask, other=1.0).to(tl.float32))

    half = (tl.load(level_of + channel) - 1).to(tl.float32)[None, :] * 0.5
    scaled = (tl.minimum(tl.maximum(projected, -1.0), 1.0) + 1.0) * half
    # Halves go to the even neighbour, as torch rounds.
    digit = tl.floor(scaled + 0.5)
    tie = (digit - scaled == 0.5) & (tl.floor(digit * 0.5) * 2.0 != digit)
    digit = tl.where(tie, digit - 1.0, digit)
    # Rounded as the reference rounds, because a decoder computes the codes with that.
    tl.store(codes + place, tl.div_rn(digit, half) - 1.0, mask=mask)
    if SAVE:
        tl.store(values + place, projected, mask=mask)
    worth = tl.load(radix_of + channel)[None, :]
    number = tl.sum(tl.where(channel_inside[None, :], digit.to(tl.int32) * worth, 0), axis=1)
    tl.store(ids + row, number.to(tl.int64), mask=row_inside)
