"""What a source says and holds besides pictures and sound: what is kept of it, and what is not encoded."""

from __future__ import annotations

from av.container import InputContainer
from av.stream import Disposition

from infotok_cli.errors import InfotokError, InputError
from infotok_cli.tags import MAX_DATE_BYTES, MAX_TITLE_BYTES, Tags, shortened
from infotok_cli.wording import counted

DATES = ("date", "creation_time", "com.apple.quicktime.creationdate")
"""Names that containers have for when a video was made, the best first."""

TECHNICAL = frozenset(
    {
        "encoder", "major_brand", "minor_version", "compatible_brands", "handler_name", "vendor_id",
        "language", "duration", "software", "encoded_by", "metadatacreator", "hasvideo", "hasaudio",
    }
)  # fmt: skip
"""Tags about the file that go with it, and of which nobody needs to hear."""

NAMED_TAGS = 5
"""Tags that are left out and named; more are counted."""


def tags_of(container: InputContainer) -> Tags:
    """Title and date of an opened file, as far as an .itk file holds them."""
    said = {name.lower(): value for name, value in container.metadata.items()}
    date = next((said[name] for name in DATES if said.get(name)), "")
    return Tags(shortened(said.get("title", ""), MAX_TITLE_BYTES), shortened(date, MAX_DATE_BYTES))


def left_out(container: InputContainer, name: str, *, audio: bool) -> tuple[InfotokError, ...]:
    """One warning about further tracks, chapters and tags of an opened file; none where there are none.

    audio: whether one sound track is encoded; sound that was not asked for is not mentioned.
    """
    kinds = [stream.type for stream in container.streams if not stream.disposition & Disposition.attached_pic]
    counts = {
        "further video track": kinds.count("video") - 1,
        "further sound track": kinds.count("audio") - 1 if audio else 0,
        "subtitle track": kinds.count("subtitle"),
        "chapter": len(container.chapters()),
        "attachment": kinds.count("attachment"),
    }
    told = [counted(count, what) for what, count in counts.items() if count > 0]
    is_one = sum(max(0, count) for count in counts.values()) == 1
    others = _other_tags(container)
    if others:
        is_one = not told and len(others) == 1
        told.append(_named(others))
    if not told:
        return ()
    listed = " and ".join([", ".join(told[:-1]), told[-1]] if len(told) > 1 else told)
    return (InputError(f"{listed} {'is' if is_one else 'are'} left out", where=name),)


def _other_tags(container: InputContainer) -> list[str]:
    """Names of the tags of a file that have no place in an .itk file."""
    names = {shortened(name.lower(), 40) for name, value in container.metadata.items() if value}
    return sorted(names - TECHNICAL - {"title", *DATES})


def _named(tags: list[str]) -> str:
    """The tags in words."""
    if len(tags) == 1:
        return f"the tag {tags[0]}"
    named = ", ".join(tags[:NAMED_TAGS])
    more = f" and {len(tags) - NAMED_TAGS} more" if len(tags) > NAMED_TAGS else ""
    return f"{len(tags)} tags ({named}{more})"
