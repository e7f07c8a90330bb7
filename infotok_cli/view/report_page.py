"""One HTML page out of template, style, script, data and videos; whole or not at all.

The page loads nothing: its policy names the very script and style that are in it, and forbids the network.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

from infotok_cli.atomic import atomic_output
from infotok_cli.errors import OutputError

EMBED_LIMIT_BYTES = 20_000_000
"""Of all videos as text; larger ones lie beside the page."""

CHUNK_BYTES = 3 << 16
"""Whole groups of three, so that pieces of base64 can follow each other."""

_OURS = re.compile(r"(source|file-[1-9])-[0-9a-f]{12}\.mp4")


@dataclass(frozen=True)
class Page:
    """What the page shows."""

    title: str
    headline: str
    note: str
    data: Mapping[str, Any]
    videos: Mapping[str, Path]
    """By the id that `data` names them with."""
    posters: Mapping[str, str]
    """Addresses of pictures, by the id that `data` names them with."""


@dataclass(frozen=True)
class Published:
    """What was written."""

    size_bytes: int
    """Of the page with its videos, wherever they are."""
    page_bytes: int
    """Without its videos and their posters."""
    folder: Path | None
    """Where the videos are, if not in the page."""


def folder_of(target: Path) -> Path:
    """Where the videos of a page lie that is too large to hold them."""
    return target.with_name(f"{target.stem}_files")


def check_folder(target: Path, overwrite: bool) -> None:
    """Raise OutputError where the folder for videos is there already and may not be changed."""
    folder = folder_of(target)
    if folder.exists() and (not overwrite or not folder.is_dir()):
        raise OutputError(
            "exists already",
            way_out="choose another name for the page or ask to overwrite it",
            where=str(folder),
        )


def publish(page: Page, target: Path, *, overwrite: bool) -> Published:
    """Write the page, and its videos where they do not fit into it; OutputError.

    Videos go first, under names made of what they hold, so that a page that is there stays whole until the
    new one takes its place.
    """
    check_folder(target, overwrite)
    sizes = {name: path.stat().st_size for name, path in page.videos.items()}
    inside = sum(-(-size // 3) * 4 for size in sizes.values()) <= EMBED_LIMIT_BYTES
    folder = folder_of(target)
    with _beside({} if inside else page.videos, folder) as names:
        addresses = {key: f"{quote(folder.name)}/{name}" for key, name in names.items()}
        before, after = _around_videos(page, inside)
        with atomic_output(target, overwrite) as file:
            file.write(before)
            for key, address in page.posters.items():
                file.write(f"{_opened(key)}{address}</script>\n".encode())
            for key, path in page.videos.items():
                for piece in _video(key, path, addresses.get(key)):
                    file.write(piece)
            file.write(after)
    _sweep(folder, set(names.values()))
    beside = 0 if inside else sum(sizes.values())
    return Published(target.stat().st_size + beside, len(before) + len(after), None if inside else folder)


def as_json(data: Mapping[str, Any]) -> str:
    """JSON that can stand inside a script element, whatever its strings hold."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def policy(script: str, style: str, *, inside: bool) -> str:
    """The page's Content-Security-Policy: this script and style, its own pictures and videos, no network."""
    media = "blob:" if inside else "'self' file:"
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src '{_digest(script)}'",
            f"style-src '{_digest(style)}'",
            "img-src data: blob:",
            f"media-src {media}",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"


@cache
def _part(name: str) -> str:
    return resources.files("infotok_cli.view").joinpath("page", name).read_text("utf-8")


def _around_videos(page: Page, inside: bool) -> tuple[bytes, bytes]:
    """The page before and after its videos."""
    script, style = _part("page.js"), _part("page.css")
    values = {
        "policy": html.escape(policy(script, style, inside=inside)),
        "title": html.escape(page.title),
        "headline": html.escape(page.headline),
        "note": html.escape(page.note),
        "style": style,
        "script": script,
        "data": as_json(page.data),
    }
    before, after = _part("template.html").split("{{videos}}")

    def filled(text: str) -> bytes:
        # One pass, so that what is put in is never looked into.
        return re.sub(r"\{\{(\w+)\}\}", lambda mark: values[mark[1]], text).encode()

    return filled(before), filled(after)


def _video(key: str, path: Path, address: str | None) -> Iterator[bytes]:
    """An element that holds a video as text, or where it is."""
    yield _opened(key, address).encode()
    if address is None:
        with open(path, "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield base64.b64encode(chunk)
    yield b"</script>\n"


def _opened(key: str, address: str | None = None) -> str:
    """The start of an element that holds text which is no script."""
    where = "" if address is None else f' data-src="{html.escape(address)}"'
    return f'<script type="text/plain" id="{html.escape(key)}"{where}>'


@contextmanager
def _beside(videos: Mapping[str, Path], folder: Path) -> Iterator[dict[str, str]]:
    """Copy videos into `folder` and lend their names there; on an exception they go again."""
    names: dict[str, str] = {}
    made: list[Path] = []
    if not videos:
        yield names
        return
    is_new = not folder.exists()
    try:
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot be made ({error.strerror})", way_out="choose another name", where=str(folder)
            ) from error
        for key, path in videos.items():
            names[key] = _name_of(path)
            place = folder / names[key]
            if place.exists():
                continue  # the same bytes already
            with atomic_output(place) as file, open(path, "rb") as video:
                while chunk := video.read(1 << 20):
                    file.write(chunk)
            made.append(place)
        yield names
    except BaseException:
        for place in made:
            with suppress(OSError):
                place.unlink()
        if is_new:
            with suppress(OSError):
                folder.rmdir()
        raise


def _name_of(path: Path) -> str:
    with open(path, "rb") as file:
        return f"{path.stem}-{hashlib.file_digest(file, 'sha256').hexdigest()[:12]}.mp4"


def _sweep(folder: Path, kept: set[str]) -> None:
    """Remove the videos of a page that was replaced; files of others in the folder stay."""
    with suppress(OSError):
        for path in list(folder.iterdir()) if folder.is_dir() else []:
            if _OURS.fullmatch(path.name) and path.name not in kept:
                path.unlink()
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
