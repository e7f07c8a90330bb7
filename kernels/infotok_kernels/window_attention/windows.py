"""How an axis of the token grid is cut into windows, aligned or shifted.

Windows are runs of neighbouring positions whose borders lie at multiples of `window`, moved back so that
the first window has `shift` positions. At the edges they are simply smaller.
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


def window_count(length: int, window: int, shift: int) -> int:
    """Windows along an axis."""
    return -(-(length + -shift % window) // window)
