"""Views as files: one picture, a video, or an animation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

from PIL import Image

from infotok_cli.atomic import atomic_path
from infotok_cli.errors import UsageError
from infotok_cli.video.writer import VideoWriter
from infotok_cli.view.drawing import Picture

STILLS = (".png",)
ANIMATIONS = (".gif", ".webp")
VIDEOS = (".mp4", ".webm", ".mkv", ".mov")

CRF = {".webm": 24}
DEFAULT_CRF = 18

ANIMATION_QUALITY = 70
"""Of WebP, 0 to 100."""

SHORTEST_MS = 20
"""Of an animation's frame: browsers show shorter ones at a tenth of a second."""


def is_still(target: Path) -> bool:
    """Whether this name means a picture; UsageError for one that means nothing that can be written."""
    suffix = target.suffix.lower()
    if suffix not in STILLS + ANIMATIONS + VIDEOS:
        known = ", ".join(STILLS + VIDEOS + ANIMATIONS)
        raise UsageError(
            f"cannot write a {target.suffix or 'nameless'} file", way_out=f"choose {known}", where=str(target)
        )
    return suffix in STILLS


def write_still(target: Path, view: Picture, *, overwrite: bool) -> None:
    """Write a view as PNG, whole or not at all; OutputError."""
    with atomic_path(target, overwrite) as temporary:
        Image.fromarray(view).save(temporary, "PNG", optimize=True)


def write_moving(
    target: Path,
    views: Iterator[Picture],
    rate: Fraction,
    *,
    overwrite: bool,
    written: Callable[[int], None] = lambda frames: None,
) -> int:
    """Write views at `rate` a second, whole or not at all; returns how many. `written` is told of each.

    Animations leave views out where these would follow each other faster than browsers show them.
    Raises OutputError.
    """
    count = 0

    def counted() -> Iterator[Picture]:
        nonlocal count
        for view in views:
            count += 1
            yield view
            written(count)

    with atomic_path(target, overwrite) as temporary:
        if target.suffix.lower() in ANIMATIONS:
            _animate(temporary, counted(), rate)
        else:
            _film(temporary, target, counted(), rate)
    return count


def _film(temporary: Path, target: Path, views: Iterator[Picture], rate: Fraction) -> None:
    """A video of the size of the first view."""
    first = next(views)
    height, width, _ = first.shape
    crf = CRF.get(target.suffix.lower(), DEFAULT_CRF)
    with VideoWriter(temporary, width, height, rate, crf=crf, shown_as=target) as writer:
        for view in chain([first], views):
            writer.write(view[None])


def _animate(target: Path, views: Iterator[Picture], rate: Fraction) -> None:
    every = max(1, -(-SHORTEST_MS * rate.numerator // (1000 * rate.denominator)))
    pictures = (Image.fromarray(view) for number, view in enumerate(views) if number % every == 0)
    first = next(pictures)
    duration = round(1000 * every / rate)
    first.save(
        target, save_all=True, append_images=pictures, duration=duration, loop=0, quality=ANIMATION_QUALITY
    )
