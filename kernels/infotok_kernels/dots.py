"""Matrix products in Triton kernels that mean the same compiled and interpreted."""

from __future__ import annotations

import triton
import triton.language as tl

from infotok_kernels.backend import interpreted

_INTERPRETED: tl.constexpr = tl.constexpr(interpreted())


@triton.jit
def dot(left, right, total):
    """total + left right, in float32; float32 operands are multiplied as such (no tf32).

    Triton's interpreter would multiply the bit patterns of bfloat16; there, operands are widened, which
    changes no value.
    """
    if _INTERPRETED:
        return tl.dot(left.to(tl.float32), right.to(tl.float32), total)
    return tl.dot(left, right, total, input_precision="ieee")
