"""Triton kernels of window attention; README.md beside this has the maths, fused.py launches them.

A program handles one window, one head and one tile of its queries (or keys). The positions of a
window are numbered by slots 0..n-1 in (t, y, x) order; a slot's place in memory is worked out from
its number, so no copy of a window is ever made.
"""

from __future__ import annotations

import triton
import triton.language as tl

from infotok_kernels.dots import dot


@triton.jit
def _axis(index, length, window, offset):
    """First position and number of positions of window `index` along an axis; offset: -shift mod window."""
    first = tl.maximum(index * window - offset, 0)
    count = tl.minimum(index * window - offset + window, length) - first
    return first, count


@triton.jit
def _window_of(program, blocks, heads, windows_y, windows_x):
    """Tile, head, window row, window column and batch of a program; tiles of a window are neighbours."""
    tile = program % blocks
    rest = program // blocks
    head = rest % heads
    rest = rest // heads
    column = rest % windows_x
    rest = rest // windows_x
    return tile, head, rest % windows_y, column, (rest // windows_y).to(tl.int64)


@triton.jit
def _places(slot, y0, x0, rows, columns, height, width):
    """Places (t, y, x) inside the window, and the position in the grid `[T, H, W]`, of slots."""
    area = rows * columns
    t = slot // area
    within = slot - t * area
    y = within // columns
    x = within - y * columns
    return t, y, x, (t * height + y0 + y) * width + x0 + x


@triton.jit
def _load_half(start, offsets, inside, HALF: tl.constexpr, part: tl.constexpr):
    """One half of the rows `[N, HALF]` that begin at `start + offsets`, in float32; zeros outside."""
    pointers = start + offsets[:, None] + (part * HALF + tl.arange(0, HALF))[None, :]
    return tl.load(pointers, mask=inside[:, None], other=0.0).to(tl.float32)


@triton.jit
def _angles(cosine, sine, t, y, x, HALF: tl.constexpr, PAIRS_T: tl.constexpr, PAIRS_Y: tl.constexpr):
    """Cosine and sine `[N, HALF]` of the rotary angles at places (t, y, x)."""
    pair = tl.arange(0, HALF)[None, :]
    place = tl.where(pair < PAIRS_T, t[:, None], tl.where(pair < PAIRS_T + PAIRS_Y, y[:, None], x[:, None]))
    at = place * HALF + pair
    return tl.load(cosine + at), tl.load(sine + at)


@triton.jit
def _normal_and_turned(first, second, norm, c, s, epsilon, HALF: tl.constexpr):
    """RMS norm and rotation of rows given as halves; returns both halves and 1 / rms `[N]`."""
    pair = tl.arange(0, HALF)
    weight_1 = tl.load(norm + pair).to(tl.float32)[None, :]
    weight_2 = tl.load(norm + HALF + pair).to(tl.float32)[None, :]
    squares = tl.sum(first * first, axis=1) + tl.sum(second * second, axis=1)
    scale = tl.rsqrt(squares / (2 * HALF) + epsilon)
    normal_1 = first * scale[:, None] * weight_1
    normal_2 = second * scale[:, None] * weight_2
    return normal_1 * c - normal_2 * s, normal_2 * c + normal_1 * s, scale


@triton.jit
def _back_to_raw(turned_1, turned_2, first, second, scale, norm, c, s, HALF: tl.constexpr):
    """Gradient of rows before rotation and norm, from that after; and that of the norm's weights."""
    pair = tl.arange(0, HALF)
    weight_1 = tl.load(norm + pair).to(tl.float32)[None, :]
    weight_2 = tl.load(norm + HALF + pair).to(tl.float32)[None, :]
    normal_1 = turned_1 * c + turned_2 * s
    normal_2 = turned_2 * c - turned_1 * s
    wide = scale[:, None]
    to_weight_1 = tl.sum(normal_1 * first * wide, axis=0)
    to_weight_2 = tl.sum(normal_2 * second * wide, axis=0)
    normal_1 = normal_1 * weight_1
    normal_2 = normal_2 * weight_2
    inner = tl.sum(normal_1 * first, axis=1) + tl.sum(normal_2 * second, axis=1)
    inner = (inner * scale * scale * scale / (2 * HALF))[:, None]
    return normal_1 * wide - first * inner, normal_2 * wide - second * inner, to_weight_1, to_weight_2


@triton.jit
def _rows(
    base, slot, inside, norm, cosine, sine, y0, x0, rows, columns, height, width, pitch, epsilon,
    HALF: tl.constexpr, PAIRS_T: tl.constexpr, PAIRS_Y: tl.constexpr,
):  # fmt: skip
    """Queries or keys of a tile of slots: normalized and turned halves `[N, HALF]`, and positions `[N]`.

    What follows those is for the backward pass: raw halves, 1 / rms, cosine and sine.
    """
    slot = tl.where(inside, slot, 0)
    t, y, x, position = _places(slot, y0, x0, rows, columns, height, width)
    c, s = _angles(cosine, sine, t, y, x, HALF, PAIRS_T, PAIRS_Y)
    offsets = position.to(tl.int64) * pitch
    raw_1 = _load_half(base, offsets, inside, HALF, 0)
    raw_2 = _load_half(base, offsets, inside, HALF, 1)
    turned_1, turned_2, scale = _normal_and_turned(raw_1, raw_2, norm, c, s, epsilon, HALF)
    return turned_1, turned_2, position.to(tl.int64), raw_1, raw_2, scale, c, s


@triton.jit
def forward_kernel(
    qkv, query_norm, key_norm, cosine, sine, out, log_sum,
    steps, height, width, heads, windows_y, windows_x, window, offset, blocks, scale, epsilon,
    HALF: tl.constexpr, PAIRS_T: tl.constexpr, PAIRS_Y: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """One tile of queries of one window and head against all its keys, with an online softmax.

    qkv: `[B, P, 3, heads, 2 HALF]` with P = steps * height * width. out: `[B, P, heads, 2 HALF]`.
    log_sum: `[B, P, heads]`, base-2 logarithm of the softmax's denominator. scale: of scores, times log2(e).
    """
    tile, head, row, column, batch = _window_of(tl.program_id(0), blocks, heads, windows_y, windows_x)
    y0, rows = _axis(row, height, window, offset)
    x0, columns = _axis(column, width, window, offset)
    slots = steps * rows * columns
    if tile * BLOCK_M >= slots:
        return

    size: tl.constexpr = 2 * HALF
    pitch = 3 * heads * size
    positions = steps * height * width
    query_base = qkv + batch * positions * pitch + head * size
    key_base = query_base + heads * size
    value_base = key_base + heads * size

    m = tile * BLOCK_M + tl.arange(0, BLOCK_M)
    m_inside = m < slots
    turned_1, turned_2, m_position, _r1, _r2, _scale, _c, _s = _rows(
        query_base, m, m_inside, query_norm, cosine, sine, y0, x0, rows, columns, height, width,
        pitch, epsilon, HALF, PAIRS_T, PAIRS_Y,
    )  # fmt: skip
    kind = qkv.dtype.element_ty
    query_1, query_2 = turned_1.to(kind), turned_2.to(kind)

    channel = tl.arange(0, size)
    highest = tl.full([BLOCK_M], float("-inf"), tl.float32)
    total = tl.zeros([BLOCK_M], tl.float32)
    mixed = tl.zeros([BLOCK_M, size], tl.float32)
    for start in range(0, slots, BLOCK_N):
        n = start + tl.arange(0, BLOCK_N)
        n_inside = n < slots
        loaded = _rows(
            key_base, n, n_inside, key_norm, cosine, sine, y0, x0, rows, columns, height, width,
            pitch, epsilon, HALF, PAIRS_T, PAIRS_Y,
        )  # fmt: skip
        scores = dot(query_1, tl.trans(loaded[0].to(kind)), tl.zeros([BLOCK_M, BLOCK_N], tl.float32))
        scores = dot(query_2, tl.trans(loaded[1].to(kind)), scores)
        scores = tl.where(n_inside[None, :], scores * scale, float("-inf"))
        higher = tl.maximum(highest, tl.max(scores, axis=1))
        weights = tl.exp2(scores - higher[:, None])
        shrink = tl.exp2(highest - higher)
        total = total * shrink + tl.sum(weights, axis=1)
        value = tl.load(
            value_base + loaded[2][:, None] * pitch + channel[None, :], mask=n_inside[:, None], other=0.0
        )
        mixed = dot(weights.to(kind), value, mixed * shrink[:, None])
        highest = higher

    mixed = mixed / total[:, None]
    rows_out = (batch * positions + m_position) * heads + head
    tl.store(
        out + rows_out[:, None] * size + channel[None, :],
        mixed.to(out.dtype.element_ty),
        mask=m_inside[:, None],
    )
    tl.store(log_sum + rows_out, highest + tl.log2(total), mask=m_inside)


@triton.jit
def backward_query_kernel(
    qkv, query_norm, key_norm, cosine, sine, out, log_sum, grad_out, inner, grad_qkv, grad_norm,
    steps, height, width, heads, windows_y, windows_x, window, offset, blocks, scale, epsilon,
    HALF: tl.constexpr, PAIRS_T: tl.constexpr, PAIRS_Y: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """Gradient of a tile of queries; also leaves `inner` `[B, P, heads]`, the dot of out and its gradient.

    grad_norm: `[programs, 2 HALF]`, each program's share of the gradient of query_norm.
    """
    program = tl.program_id(0)
    tile, head, row, column, batch = _window_of(program, blocks, heads, windows_y, windows_x)
    y0, rows = _axis(row, height, window, offset)
    x0, columns = _axis(column, width, window, offset)
    slots = steps * rows * columns
    if tile * BLOCK_M >= slots:
        return

    size: tl.constexpr = 2 * HALF
    pitch = 3 * heads * size
    positions = steps * height * width
    start_of_batch = batch * positions * pitch + head * size
    query_base = qkv + start_of_batch
    key_base = query_base + heads * size
    value_base = key_base + heads * size
    kind = qkv.dtype.element_ty
    channel = tl.arange(0, size)

    m = tile * BLOCK_M + tl.arange(0, BLOCK_M)
    m_inside = m < slots
    turned_1, turned_2, m_position, m_raw_1, m_raw_2, m_scale, m_cosine, m_sine = _rows(
        query_base, m, m_inside, query_norm, cosine, sine, y0, x0, rows, columns, height, width,
        pitch, epsilon, HALF, PAIRS_T, PAIRS_Y,
    )  # fmt: skip
    query_1, query_2 = turned_1.to(kind), turned_2.to(kind)
    rows_out = (batch * positions + m_position) * heads + head
    at = rows_out[:, None] * size + channel[None, :]
    upstream = tl.load(grad_out + at, mask=m_inside[:, None], other=0.0)
    shown = tl.load(out + at, mask=m_inside[:, None], other=0.0)
    product = tl.sum(upstream.to(tl.float32) * shown.to(tl.float32), axis=1)
    tl.store(inner + rows_out, product, mask=m_inside)
    logs = tl.load(log_sum + rows_out, mask=m_inside, other=0.0)

    to_turned_1 = tl.zeros([BLOCK_M, HALF], tl.float32)
    to_turned_2 = tl.zeros([BLOCK_M, HALF], tl.float32)
    for start in range(0, slots, BLOCK_N):
        n = start + tl.arange(0, BLOCK_N)
        n_inside = n < slots
        loaded = _rows(
            key_base, n, n_inside, key_norm, cosine, sine, y0, x0, rows, columns, height, width,
            pitch, epsilon, HALF, PAIRS_T, PAIRS_Y,
        )  # fmt: skip
        key_1, key_2 = loaded[0].to(kind), loaded[1].to(kind)
        scores = dot(query_1, tl.trans(key_1), tl.zeros([BLOCK_M, BLOCK_N], tl.float32))
        scores = dot(query_2, tl.trans(key_2), scores)
        weights = tl.where(n_inside[None, :], tl.exp2(scores * scale - logs[:, None]), 0.0)
        value = tl.load(
            value_base + loaded[2][:, None] * pitch + channel[None, :], mask=n_inside[:, None], other=0.0
        )
        to_weights = dot(upstream, tl.trans(value), tl.zeros([BLOCK_M, BLOCK_N], tl.float32))
        to_scores = (weights * (to_weights - product[:, None])).to(kind)
        to_turned_1 = dot(to_scores, key_1, to_turned_1)
        to_turned_2 = dot(to_scores, key_2, to_turned_2)

    # Scores were scaled by log2(e) / sqrt(size); their gradient is with respect to the natural ones.
    natural = scale * 0.6931471805599453
    raw_1, raw_2, to_weight_1, to_weight_2 = _back_to_raw(
        to_turned_1 * natural,
        to_turned_2 * natural,
        m_raw_1,
        m_raw_2,
        m_scale,
        query_norm,
        m_cosine,
        m_sine,
        HALF,
    )
    pair = tl.arange(0, HALF)
    target = grad_qkv + start_of_batch + m_position[:, None] * pitch + pair[None, :]
    tl.store(target, raw_1.to(kind), mask=m_inside[:, None])
    tl.store(target + HALF, raw_2.to(kind), mask=m_inside[:, None])
    share = grad_norm + program.to(tl.int64) * size + pair
    tl.store(share, to_weight_1)
    tl.store(share + HALF, to_weight_2)


@triton.jit
def backward_key_kernel(
    qkv, query_norm, key_norm, cosine, sine, log_sum, grad_out, inner, grad_qkv, grad_norm,
    steps, height, width, heads, windows_y, windows_x, window, offset, blocks, scale, epsilon,
    HALF: tl.constexpr, PAIRS_T: tl.constexpr, PAIRS_Y: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """Gradients of a tile of keys and values, over all queries of the window; needs `inner`.

    grad_norm: `[programs, 2 HALF]`, each program's share of the gradient of key_norm.
    """
    program = tl.program_id(0)
    tile, head, row, column, batch = _window_of(program, blocks, heads, windows_y, windows_x)
    y0, rows = _axis(row, height, window, offset)
    x0, columns = _axis(column, width, window, offset)
    slots = steps * rows * columns
    if tile * BLOCK_N >= slots:
        return

    size: tl.constexpr = 2 * HALF
    pitch = 3 * heads * size
    positions = steps * height * width
    start_of_batch = batch * positions * pitch + head * size
    query_base = qkv + start_of_batch
    key_base = query_base + heads * size
    value_base = key_base + heads * size
    kind = qkv.dtype.element_ty
    channel = tl.arange(0, size)

    n = tile * BLOCK_N + tl.arange(0, BLOCK_N)
    n_inside = n < slots
    turned_1, turned_2, n_position, n_raw_1, n_raw_2, n_scale, n_cosine, n_sine = _rows(
        key_base, n, n_inside, key_norm, cosine, sine, y0, x0, rows, columns, height, width,
        pitch, epsilon, HALF, PAIRS_T, PAIRS_Y,
    )  # fmt: skip
    key_1, key_2 = turned_1.to(kind), turned_2.to(kind)
    n_offsets = n_position * pitch
    value = tl.load(value_base + n_offsets[:, None] + channel[None, :], mask=n_inside[:, None], other=0.0)

    to_turned_1 = tl.zeros([BLOCK_N, HALF], tl.float32)
    to_turned_2 = tl.zeros([BLOCK_N, HALF], tl.float32)
    to_value = tl.zeros([BLOCK_N, size], tl.float32)
    for start in range(0, slots, BLOCK_M):
        m = start + tl.arange(0, BLOCK_M)
        m_inside = m < slots
        loaded = _rows(
            query_base, m, m_inside, query_norm, cosine, sine, y0, x0, rows, columns, height, width,
            pitch, epsilon, HALF, PAIRS_T, PAIRS_Y,
        )  # fmt: skip
        query_1, query_2 = loaded[0].to(kind), loaded[1].to(kind)
        rows_out = (batch * positions + loaded[2]) * heads + head
        upstream = tl.load(
            grad_out + rows_out[:, None] * size + channel[None, :], mask=m_inside[:, None], other=0.0
        )
        # Infinity outside: those queries' weights become zero.
        logs = tl.load(log_sum + rows_out, mask=m_inside, other=float("inf"))
        product = tl.load(inner + rows_out, mask=m_inside, other=0.0)
        scores = dot(key_1, tl.trans(query_1), tl.zeros([BLOCK_N, BLOCK_M], tl.float32))
        scores = dot(key_2, tl.trans(query_2), scores)
        weights = tl.exp2(scores * scale - logs[None, :])
        to_value = dot(weights.to(kind), upstream, to_value)
        to_weights = dot(value, tl.trans(upstream), tl.zeros([BLOCK_N, BLOCK_M], tl.float32))
        to_scores = (weights * (to_weights - product[None, :])).to(kind)
        to_turned_1 = dot(to_scores, query_1, to_turned_1)
        to_turned_2 = dot(to_scores, query_2, to_turned_2)

    natural = scale * 0.6931471805599453
    raw_1, raw_2, to_weight_1, to_weight_2 = _back_to_raw(
        to_turned_1 * natural,
        to_turned_2 * natural,
        n_raw_1,
        n_raw_2,
        n_scale,
        key_norm,
        n_cosine,
        n_sine,
        HALF,
    )
    pair = tl.arange(0, HALF)
    target = grad_qkv + start_of_batch + heads * size + n_offsets[:, None]
    tl.store(target + pair[None, :], raw_1.to(kind), mask=n_inside[:, None])
    tl.store(target + HALF + pair[None, :], raw_2.to(kind), mask=n_inside[:, None])
    tl.store(target + heads * size + channel[None, :], to_value.to(kind), mask=n_inside[:, None])
    share = grad_norm + program.to(tl.int64) * size + pair
    tl.store(share, to_weight_1)
    tl.store(share + HALF, to_weight_2)
