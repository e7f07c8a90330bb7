"""What outputs are called: beside their input by default, and never like a file of another kind."""

from __future__ import annotations

import os
from pathlib import Path

from infotok_cli.errors import OutputError, UsageError


def beside(source: Path, suffix: str, *, overwrite: bool) -> Path:
    """The default name: `source` with another suffix.

    OutputError when there is such a file, unless it may be overwritten: nobody named it.
    """
    target = source.with_suffix(suffix)
    if target != source and os.path.lexists(target) and not overwrite:
        raise OutputError(
            "exists already", way_out="replace it with -y, or name another with -o", where=str(target)
        )
    return target


def itk_output(source: Path, output: str | None, *, overwrite: bool) -> Path:
    """Where an encode of `source` goes: beside it, into a folder under its name, or where `output` says.

    Raises OutputError when the folder that is named does not exist, or as `beside`.
    """
    if output is None:
        return beside(source, ".itk", overwrite=overwrite)
    target = Path(output)
    if os.path.isdir(target):
        return target / f"{source.stem}.itk"
    if output.endswith(("/", os.sep)):
        raise OutputError("is not a folder that exists", way_out="create it first", where=output)
    return target


def check_itk_name(target: Path) -> None:
    """Raise UsageError when an .itk file would get the name of a video or a picture."""
    from infotok_cli.video.video_info import MEDIA_SUFFIXES

    if target.suffix.lower() in MEDIA_SUFFIXES:
        raise UsageError(
            f"is the name of a {target.suffix} file, but an .itk file would be written",
            way_out=f"name it {target.with_suffix('.itk').name}; 'infotok decode' makes videos",
            where=str(target),
        )
