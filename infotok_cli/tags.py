"""What a video says of itself in words. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

MAX_TITLE_BYTES = 1024
MAX_DATE_BYTES = 64
"""What an .itk file holds of each, in UTF-8."""


@dataclass(frozen=True)
class Tags:
    """Title and date of a video, as its maker wrote them; printable, "" for what it does not say."""

    title: str = ""
    date: str = ""

    def __bool__(self) -> bool:
        return bool(self.title or self.date)


NO_TAGS = Tags()


def shortened(text: str, longest: int) -> str:
    """The text on one line, in printable characters and at most `longest` bytes of UTF-8."""
    words = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return words.encode()[:longest].decode(errors="ignore").rstrip()
