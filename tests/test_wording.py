"""Numbers in words."""

from __future__ import annotations

from infotok_cli.wording import counted, size_in_words


def test_sizes_have_three_digits() -> None:
    sizes = (7, 999, 1000, 9_994, 9_995, 41_234, 412_345, 999_499, 999_500, 41_234_567, 5 * 10**12)
    words = ["7 B", "999 B", "1.00 kB", "9.99 kB", "10.0 kB", "41.2 kB", "412 kB", "999 kB", "1.00 MB"]
    assert [size_in_words(size) for size in sizes] == [*words, "41.2 MB", "5.00 TB"]


def test_nouns_follow_their_number() -> None:
    assert [counted(n, "frame") for n in (0, 1, 1200)] == ["0 frames", "1 frame", "1,200 frames"]
