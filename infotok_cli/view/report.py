"""A report: .itk files of one clip, their source and their numbers as one page that opens from disk."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infotok_cli.codec.load_engine import check_model
from infotok_cli.container.reader import ItkReader
from infotok_cli.errors import InputError, UsageError
from infotok_cli.model.engine import Engine
from infotok_cli.view.report_data import (
    clip_values,
    curve_values,
    file_values,
    headline,
    read_facts,
    shown_name,
)
from infotok_cli.view.report_page import Page, Published, check_folder, publish
from infotok_cli.view.report_videos import CRF, Film, write_decoded

MOST_FILES = 9
"""A key for each."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a report is made of; UsageError for too many files."""

    files: Sequence[Path]
    """.itk files of one clip, the first of which is shown first."""
    source: Path | None = None
    """The video that was encoded."""
    results: Path | None = None
    """A JSON file of `infotok eval`, for rate-distortion curves."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.files) <= MOST_FILES:
            raise UsageError(
                f"{len(self.files)} files are more than a page has keys for",
                way_out=f"give at most {MOST_FILES}",
            )


@dataclass(frozen=True, kw_only=True)
class Made:
    """What a report wrote."""

    published: Published
    frames: int
    seconds: float
    psnr_db: tuple[float | None, ...]
    """Mean over frames of each file; None without a source."""
    lost: tuple[str, ...]
    """What could not be decoded, a line for each."""


def make_report(
    report: Report,
    target: Path,
    engine: Engine,
    *,
    overwrite: bool = False,
    written: Callable[[int], None] = lambda frames: None,
) -> Made:
    """Decode the files and write the page `target`, and `NAME_files/` beside it where videos do not fit.

    `written` is told of all frames decoded so far. All appears whole or not at all. Raises InputError for
    files that are damaged, of different clips, or not of the source; ModelError for other weights;
    OutputError.
    """
    check_folder(target, overwrite)
    curves = None if report.results is None else curve_values(report.results, report.source)
    with ExitStack() as stack:
        readers = [stack.enter_context(ItkReader(path)) for path in report.files]
        for path, reader in zip(report.files, readers, strict=True):
            check_model(engine, reader.header, str(path))
            _check_same_clip(path, reader, report.files[0], readers[0])
        facts = [read_facts(path, reader) for path, reader in zip(report.files, readers, strict=True)]
        poster = facts[0].where.telling_frame()
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="infotok-report-")))
        films: list[Film] = []
        original: Film | None = None
        for number, reader in enumerate(readers):
            before = number * reader.total_frames
            film, beside = write_decoded(
                reader,
                engine,
                scratch,
                f"file-{number + 1}",
                source=report.source,
                with_source=not number,
                poster=poster,
                written=lambda frames, before=before: written(before + frames),  # type: ignore[misc]
            )
            films.append(film)
            original = original or beside
        values = [file_values(fact, film.psnrs or None) for fact, film in zip(facts, films, strict=True)]
        data: dict[str, Any] = clip_values(readers[0], poster)
        data["files"] = [
            value | {"video": f"video-{number}", "poster": film.poster}
            for number, (value, film) in enumerate(zip(values, films, strict=True), 1)
        ]
        data["source"] = None
        videos = {f"video-{number}": film.path for number, film in enumerate(films, 1)}
        if original is not None and report.source is not None:
            name = shown_name(report.source)
            data["source"] = {"name": name, "video": "video-source", "poster": original.poster}
            videos["video-source"] = original.path
        data["curves"] = curves
        page = Page(
            title=shown_name(report.files[0]),
            headline=headline(facts[0].stats.file, values[0]["psnr"]),
            note=f"Made by infotok. The pictures went through H.264 (crf {CRF}) for this page; "
            "PSNR was measured before that.",
            data=data,
            videos=videos,
        )
        published = publish(page, target, overwrite=overwrite)
    return Made(
        published=published,
        frames=data["frames"],
        seconds=data["seconds"],
        psnr_db=tuple(value["psnr"] for value in values),
        lost=tuple(line for film in films for line in film.lost),
    )


def _check_same_clip(path: Path, reader: ItkReader, first_path: Path, first: ItkReader) -> None:
    """InputError for a file whose pictures cannot stand in the place of the first one's."""
    facts = [
        (one.header.width, one.header.height, one.total_frames, one.duration_seconds)
        for one in (reader, first)
    ]
    if facts[0] != facts[1]:
        here, there = (
            f"{width}x{height}, {frames} frames in {float(seconds):.3f} s"
            for width, height, frames, seconds in facts
        )
        raise InputError(
            f"is {here}, but {first_path.name} is {there}",
            way_out="give files of one clip",
            where=str(path),
        )
