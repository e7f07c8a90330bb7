"""The ways to code token ids as bytes: what all but the coders need to know of each.

To add one, add a row here, its coder to `infotok_cli/entropy/token_coding.py` and its bytes to
docs/FORMAT.md. Lies below the container, whose header names the coding.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TokenCoding:
    """One row of the table."""

    code: int
    """In the header of a file, 0..255."""
    needs_net: bool
    """Whether ids are read and written with the token net of the file's weights."""
    shortens: bool
    """Whether a segment may take fewer than 2 bytes a token; it never takes more."""
    expected_share: float
    """Of 2 bytes a token, what is assumed before any segment has been coded."""


TOKEN_CODINGS: dict[int, TokenCoding] = {
    coding.code: coding
    for coding in (
        TokenCoding(code=0, needs_net=False, shortens=False, expected_share=1.0),
        TokenCoding(code=1, needs_net=True, shortens=True, expected_share=0.55),
    )
}
"""By code."""


def best_coding(*, has_net: bool) -> int:
    """Code of the coding expected to take the fewest bytes, for weights with or without a token net."""
    usable = (coding for coding in TOKEN_CODINGS.values() if has_net or not coding.needs_net)
    return min(usable, key=lambda coding: coding.expected_share).code
