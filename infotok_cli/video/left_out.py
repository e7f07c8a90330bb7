"""What a source holds that is not encoded."""

from __future__ import annotations

from av.container import InputContainer
from av.stream import Disposition

from infotok_cli.errors import InfotokError, InputError
from infotok_cli.wording import counted


def left_out(container: InputContainer, name: str, *, audio: bool) -> tuple[InfotokError, ...]:
    """One warning about further tracks and chapters of an opened file; none where there are none.

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
    if not told:
        return ()
    listed = " and ".join([", ".join(told[:-1]), told[-1]] if len(told) > 1 else told)
    is_one = sum(max(0, count) for count in counts.values()) == 1
    return (InputError(f"{listed} {'is' if is_one else 'are'} left out", where=name),)
