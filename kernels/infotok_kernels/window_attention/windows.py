"""How an axis of the token grid is cut into windows: aligned, shifted, or dilated.

Aligned and shifted windows are runs of neighbouring positions whose borders lie at multiples of
`window`, moved back so that the first window has `shift` positions. Dilated windows take every s-th
position, s = ceil(length / window): window k of s holds k, k + s, k + 2s, ... as far as they exist.
Sizes at the edges, or of dilated windows when s does not divide the length, are simply smaller.
"""

from __future__ import annotations

Run = tuple[int, int, int]
"""`(start, count, size)`: `count` windows of `size` positions, one after another from `start` on."""


def window_runs(length: int, window: int, shift: int) -> list[Run]:
    """Cut an axis of `length` positions into runs of equal windows of neighbours.

    `shift` in 0..window-1 is the length of the first, partial window (0: none). At most three runs.
    """
    runs: list[Run] = []
    head = min(shift, length)
    if head:
        runs.append((0, 1, head))
    count = (length - head) // window
    if count:
        runs.append((head, count, window))
    tail = length - head - count * window
    if tail:
        runs.append((length - tail, 1, tail))
    return runs


def dilation(length: int, window: int) -> int:
    """Distance between the positions of a dilated window, which is also the number of windows."""
    return -(-length // window)


def dilated_order(length: int, window: int) -> list[int]:
    """Positions of an axis, one dilated window after another."""
    step = dilation(length, window)
    return [position for first in range(step) for position in range(first, length, step)]


def dilated_runs(length: int, window: int) -> list[Run]:
    """Runs of equal dilated windows along an axis put into `dilated_order`. At most two."""
    step = dilation(length, window)
    size, larger = divmod(length, step)
    runs = [(0, larger, size + 1), (larger * (size + 1), step - larger, size)]
    return [run for run in runs if run[1]]


def window_count(length: int, window: int, shift: int, dilated: bool) -> int:
    """Windows along an axis."""
    if dilated:
        return dilation(length, window)
    return -(-(length + -shift % window) // window)
