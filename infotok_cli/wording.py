"""Numbers as people read them."""

from __future__ import annotations


def counted(count: int, what: str) -> str:
    """A number and its noun: 1 frame, 1,200 frames."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def size_in_words(size_bytes: int) -> str:
    """Bytes in powers of 1000, three digits: 512 B, 45.1 kB, 1.20 GB."""
    value, unit = float(size_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    digits = 0 if unit == "B" or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f} {unit}"


def time_in_words(seconds: float) -> str:
    """Seconds as people estimate them, one or two digits: 0.4 s, 12 s, 4 minutes, 2.5 hours."""
    if seconds < 9.5:
        return f"{seconds:.1g} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    unit, value = ("minutes", seconds / 60) if seconds < 5400 else ("hours", seconds / 3600)
    return f"{value:.2g} {unit}" if value < 99.5 else f"{value:,.0f} {unit}"
