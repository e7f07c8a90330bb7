"""The section `tags`: title and date of the video, behind HEAD in files that have them."""

from __future__ import annotations

from struct import Struct

from infotok_cli.container import checks, layout
from infotok_cli.errors import InputError
from infotok_cli.tags import MAX_DATE_BYTES, MAX_TITLE_BYTES, Tags

_LENGTH = Struct("<H")


def pack_tags(tags: Tags) -> bytes:
    """Payload of the section; InputError for what the format cannot hold."""
    check_tags(tags)
    words = (tags.title.encode(), tags.date.encode())
    return b"".join(_LENGTH.pack(len(word)) + word for word in words)


def unpack_tags(payload: bytes) -> Tags:
    """What a payload whose CRC32C was right says; InputError for what the format does not allow."""
    found, at = [], 0
    for name in ("title", "date"):
        if len(payload) < at + _LENGTH.size:
            raise InputError(f"{at + _LENGTH.size - len(payload)} bytes too few")
        (length,) = _LENGTH.unpack_from(payload, at)
        at += _LENGTH.size + length
        if at > len(payload):
            raise InputError(f"{at - len(payload)} bytes too few")
        found.append(checks.decoded(name, payload[at - length : at]))
    if at != len(payload):
        raise InputError(f"{len(payload) - at} bytes too many")
    tags = Tags(*found)
    check_tags(tags)
    return tags


def check_tags(tags: Tags) -> None:
    """Raise InputError for tags that the format cannot hold."""
    checks.text("title", tags.title, 0, MAX_TITLE_BYTES)
    checks.text("date", tags.date, 0, MAX_DATE_BYTES)
    if not tags:
        raise InputError("neither title nor date")


def tags_of(payload: bytes | None, at: int) -> Tags:
    """What the section at byte `at` says; `payload` is None where its checksum is wrong.

    Raises:
        InputError: the section is damaged, or holds what the format does not allow.
    """
    place = f"section {layout.TAGS.decode()} (byte {at})"
    if payload is None:
        raise InputError(f"{place} is damaged, checksum differs")
    try:
        return unpack_tags(payload)
    except InputError as error:
        raise InputError(f"{place}: {error.what}") from error
