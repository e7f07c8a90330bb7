"""Triton kernel of the error map; README.md beside this has the maths."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def error_map_kernel(
    video, other, out, frames, height, row_units, grid_t, grid_y, grid_x, tiles,
    video_b, video_t, video_y, other_b, other_t, other_y,
    PATCH_T: tl.constexpr, PATCH_Y: tl.constexpr, SPAN: tl.constexpr, PADDED_LINES: tl.constexpr,
    PADDED_SPAN: tl.constexpr, CELLS: tl.constexpr, ALIGNED: tl.constexpr,
):  # fmt: skip
    """CELLS neighbouring patches of one row of patches; each pixel is read once.

    Rows hold 3 W numbers side by side; SPAN = 3 columns of a patch. 3 W (`row_units`) and all strides
    come in units of ALIGNED numbers.
    """
    program = tl.program_id(0)
    tile = program % tiles
    rest = program // tiles
    y_cell = rest % grid_y
    rest = rest // grid_y
    t_cell = rest % grid_t
    batch = (rest // grid_t).to(tl.int64)
    # Multiplied out here, so that the compiler sees how they are aligned; batches in 64 bits.
    row_elements = row_units * ALIGNED
    video_b, video_t, video_y = batch * video_b * ALIGNED, video_t * ALIGNED, video_y * ALIGNED
    other_b, other_t, other_y = batch * other_b * ALIGNED, other_t * ALIGNED, other_y * ALIGNED

    lane = tl.arange(0, CELLS * PADDED_SPAN)
    within = lane % PADDED_SPAN
    element = (tile * CELLS + lane // PADDED_SPAN) * SPAN + within
    line = tl.arange(0, PADDED_LINES)
    t = t_cell * PATCH_T + line // PATCH_Y
    y = y_cell * PATCH_Y + line % PATCH_Y
    real_line = (line < PATCH_T * PATCH_Y) & (t < frames) & (y < height)
    mask = real_line[:, None] & ((within < SPAN) & (element < row_elements))[None, :]
    at = video_b + t.to(tl.int64) * video_t + y.to(tl.int64) * video_y
    one = tl.load(video + at[:, None] + element[None, :], mask=mask, other=0.0).to(tl.float32)
    at = other_b + t.to(tl.int64) * other_t + y.to(tl.int64) * other_y
    two = tl.load(other + at[:, None] + element[None, :], mask=mask, other=0.0).to(tl.float32)
    total = tl.sum(tl.abs(one - two), axis=0)
    sums = tl.sum(tl.reshape(total, [CELLS, PADDED_SPAN]), axis=1)

    x_cell = tile * CELLS + tl.arange(0, CELLS)
    numbers = tl.minimum(row_elements - x_cell * SPAN, SPAN)
    lines = tl.minimum(height - y_cell * PATCH_Y, PATCH_Y) * tl.minimum(frames - t_cell * PATCH_T, PATCH_T)
    mean = sums / tl.maximum(numbers * lines, 1).to(tl.float32)
    place = ((batch * grid_t + t_cell) * grid_y + y_cell) * grid_x + x_cell
    tl.store(out + place, mean, mask=x_cell < grid_x)
